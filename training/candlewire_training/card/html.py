"""The card as one HTML file that needs nothing beside it: inline SVG, light and dark, fit to print."""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from candlewire_training.card.card_data import BandScores, CardData, ForecastScores, MemberPrice, Share
from candlewire_training.card.charts import (
    bar_chart,
    curve_chart,
    fold_chart,
    reliability_chart,
    share_chart,
)
from candlewire_training.validation.block_bootstrap import Estimate

SHAP_ROWS = 10
IMPORTANCE_ROWS = 15
MOST_SYMBOLS = 40
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #57606a; --paper: #fff; --rule: #d8dee4; --soft:
#f3f5f7; --blue: #0b62c4; --orange: #b45309; --green: #1a7f37; --violet: #7a3fc9; --warn: #fff4d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --quiet: #9aa4af; --paper: #14181d; --rule:
#333b44; --soft: #1d232a; --blue: #6cb0ff; --orange: #f0a35e; --green: #5fd07f; --violet: #c09bff; --warn:
#3a3113; } }
* { box-sizing: border-box; } body { font: 15px/1.55 system-ui, sans-serif; color: var(--ink); background:
var(--paper); max-width: 76rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .75rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; border-bottom:
1px solid var(--rule); padding-bottom: .25rem; } h3 { font-size: .95rem; margin: 0 0 .35rem; }
p { margin: .4rem 0; max-width: 60rem; } .quiet, figcaption { color: var(--quiet); font-size: .88rem; }
.verdict { background: var(--warn); border-left: 4px solid var(--orange); padding: .6rem .9rem; margin: .5rem
0; border-radius: 0 4px 4px 0; }
nav { font-size: .9rem; margin: 1rem 0; } nav a { margin-right: .9rem; color: var(--blue); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1.25rem
2rem; align-items: start; } .wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0; font-variant-numeric: tabular-nums;
font-size: .92rem; } th, td { text-align: left; padding: .28rem .6rem; border-bottom: 1px solid var(--rule);
vertical-align: top; } th { color: var(--quiet); font-weight: 600; } td.number, th.number { text-align: right;
white-space: nowrap; } tr.ours td { font-weight: 600; } td.heat { text-align: center; }
td { overflow-wrap: anywhere; } .wide td { overflow-wrap: normal; } .wide table { font-size: .84rem; }
.wide th, .wide td { padding: .28rem .4rem; } .wide th.number { white-space: normal; }
figure { margin: .4rem 0 1rem; }
svg { width: 100%;
height: auto; max-width: 42rem; display: block; }
svg text { fill: var(--ink); font: 11.5px system-ui, sans-serif; } svg text.tick, svg text.name { fill:
var(--quiet); } .grid { stroke: var(--rule); stroke-width: 1; } .reference { stroke: var(--orange);
stroke-width: 1.5; stroke-dasharray: 5 4; } .interval { stroke: var(--blue); stroke-width: 2; opacity: .55; }
.mark, .bar { fill: var(--blue); } .curve { fill: none; stroke-width: 2; } .curve.c0 { stroke: var(--blue); }
.curve.c1 { stroke: var(--orange); } .curve.c2 { stroke: var(--green); } .curve.c3 { stroke: var(--violet); }
svg text.c0 { fill: var(--blue); } svg text.c1 { fill: var(--orange); } svg text.c2 { fill: var(--green); }
svg text.c3 { fill: var(--violet); } .part.train { fill: var(--blue); } .part.calibration { fill:
var(--violet); } .part.test { fill: var(--orange); } .key::before { content: ""; display: inline-block; width:
.8em; height: .8em; border-radius: 2px; margin: 0 .35em 0 1em; background: var(--key); }
@media print { nav { display: none; } body { max-width: none; padding: 0; font-size: 11px; } h2 {
break-after: avoid; } figure, tr { break-inside: avoid; } }
"""


def render_html(card: CardData) -> str:
    """The card of one version."""
    sections: tuple[tuple[str, Callable[[CardData], str]], ...] = (
        ("What it is", _identity),
        ("Data", _data),
        ("Labels", _labels),
        ("Folds", _folds),
        ("Forecast on unseen bars", _forecasts),
        ("Calibration", _calibration),
        ("Accuracy", _accuracy),
        ("Expected R-multiple", _expected_r),
        ("Return band", _bands),
        ("What it looks at", _explanations),
        ("Learning curves", _curves),
        ("Walk forward and trials", _trials),
        ("Members and graph", _graph),
        ("Limits of use", _limits),
    )
    made = [(title, body) for title, make in sections if (body := make(card))]
    links = "".join(f'<a href="#{_anchor(title)}">{title}</a>' for title, _ in made)
    bodies = "".join(
        f'<section id="{_anchor(title)}"><h2>{title}</h2>{body}</section>' for title, body in made
    )
    verdicts = "".join(f'<p class="verdict">{escape(line)}</p>' for line in card.verdicts)
    return page(card.title, f"{verdicts}<nav>{links}</nav>{bodies}")


def page(title: str, body: str) -> str:
    """A whole page around a body."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1>{body}</html>\n"
    )


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _estimate(value: Estimate | None, digits: int = 3) -> str:
    if value is None:
        return "–"
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def html_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int = 1, ours: str | None = None
) -> str:
    """A table; columns from `numbers_from` on are numbers, the row named `ours` stands out."""

    def cell(tag: str, column: int, text: str) -> str:
        kind = ' class="number"' if column >= numbers_from else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    head = "".join(cell("th", column, text) for column, text in enumerate(header))
    lines = [
        f"<tr{' class=ours' if row[0] == ours else ''}>"
        + "".join(cell("td", column, text) for column, text in enumerate(row))
        + "</tr>"
        for row in rows
    ]
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def html_facts(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and values; nothing for no rows."""
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows
    )
    return f"<table>{lines}</table>" if rows else ""


def html_figure(chart: str, caption: str, title: str = "") -> str:
    """A chart with what it shows."""
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return f"<figure>{heading}{chart}<figcaption>{escape(caption)}</figcaption></figure>"


def _pair(*parts: str) -> str:
    shown = "".join(f"<div>{part}</div>" for part in parts if part)
    return f'<div class="pair">{shown}</div>' if shown else ""


def _identity(card: CardData) -> str:
    return html_facts(card.facts)


def _data(card: CardData) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in card.notes)
    return html_facts(card.data) + (f"<ul>{notes}</ul>" if notes else "")


def _labels(card: CardData) -> str:
    shares = [(name, f"{train:.3f}", f"{test:.3f}") for name, train, test in card.class_shares]
    return _pair(html_facts(card.labels), html_table(("class", "train", "test"), shares) if shares else "")


def _folds(card: CardData) -> str:
    if not card.folds:
        return ""
    colours = {"train": "--blue", "calibration": "--violet", "test": "--orange"}
    key = "".join(
        f'<span class="key" style="--key: var({var})">{name}</span>' for name, var in colours.items()
    )
    rows = [(fold.name, part, f"{count:,}") for fold in card.folds for part, _, _, count in fold.spans]
    return (
        _pair(
            html_figure(fold_chart(card.folds), "Parts on the calendar."),
            html_table(("fold", "part", "rows"), rows, numbers_from=2),
        )
        + f'<p class="quiet">{key}</p>'
    )


def _forecasts(card: CardData) -> str:
    if not card.forecasts:
        return ""

    def row(one: ForecastScores) -> tuple[str, ...]:
        return (
            one.name,
            _estimate(one.log_loss, 4),
            _estimate(one.gain, 4),
            _estimate(one.brier, 4),
            _estimate(one.hit_rate),
            _estimate(one.information_coefficient),
        )

    header = ("forecast", "log loss", "gain over majority", "Brier", "called right", "rank IC")
    table = html_table(header, [row(one) for one in card.forecasts], ours=card.forecasts[0].name)
    return f'<p class="quiet">{escape(card.sample_note)}</p>{table}'


def _calibration(card: CardData) -> str:
    if not card.reliability:
        return ""
    rows = [(f"{one.forecast:.3f}", f"{one.rows:,}", _estimate(one.happened)) for one in card.reliability]
    return _pair(
        html_figure(
            reliability_chart(card.reliability), "A calibrated forecast lies on the dashed diagonal."
        ),
        html_table(("forecast", "rows", "happened"), rows, numbers_from=0),
    )


def _accuracy(card: CardData) -> str:
    parts = []
    if card.accuracy_by_confidence:
        monotone = (
            "Accuracy never falls as confidence grows."
            if card.confidence_is_monotone
            else "Accuracy is NOT monotone in confidence: more confidence was not always more often right."
        )
        chart = share_chart(
            card.accuracy_by_confidence, name="called right", group_name="confidence", reference=None
        )
        parts.append(html_figure(chart, monotone, "By confidence"))
    if card.accuracy_by_time:
        chart = share_chart(card.accuracy_by_time, name="called right", group_name="time", reference=None)
        parts.append(html_figure(chart, "95 % block-bootstrap intervals.", "By time"))
    confusion = _confusion(card)
    return _pair(*parts) + confusion


def _confusion(card: CardData) -> str:
    if not card.confusion:
        return ""
    rows = []
    for name, counts in zip(card.classes, card.confusion, strict=True):
        total = max(sum(counts), 1)
        cells = "".join(
            f'<td class="heat" style="background: color-mix(in srgb, var(--blue) {40 * count / total:.0f}%, '
            f'transparent)">{count:,}<br><span class="quiet">{count / total:.1%}</span></td>'
            for count in counts
        )
        rows.append(f'<tr><th scope="row">{escape(name)} happened</th>{cells}</tr>')
    head = "".join(f'<th class="heat">called {escape(name)}</th>' for name in card.classes)
    return f"<h3>Confusion matrix</h3><table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _expected_r(card: CardData) -> str:
    if not card.expected_r:
        return ""
    rows = [(f"{one.expected:+.3f}", f"{one.rows:,}", _estimate(one.realised)) for one in card.expected_r]
    return (
        '<p class="quiet">Rows of the test part in fifths of the R-multiple that their probabilities expect '
        "of a trade: its log return by the distance of its stop, before costs.</p>"
        + html_table(("expected", "rows", "made"), rows, numbers_from=0)
    )


def _bands(card: CardData) -> str:
    if not card.bands:
        return ""

    def row(one: BandScores) -> tuple[str, ...]:
        return (
            one.name,
            f"{one.level:.0%}",
            _estimate(one.coverage),
            f"{one.width:.4f}",
            f"{one.winkler:.4f}",
            f"{one.winkler_ratio:.3f}" if math.isfinite(one.winkler_ratio) else "–",
        )

    header = ("band", "target", "covered", "mean width", "Winkler", "by 20-bar deviation's")
    target = next((one.level for one in card.bands if one.name == card.bands[0].name), None)
    candidates = [(kind, f"{ratio:.3f}", f"{coverage:.3f}") for kind, ratio, coverage in card.band_candidates]
    tried = (
        "<h3>Kinds tried in walk-forward on train rows</h3>"
        + html_table(("kind", "Winkler by the admitted one's", "covered"), candidates)
        if candidates
        else ""
    )
    return (
        html_table(header, [row(one) for one in card.bands], ours=card.bands[0].name)
        + _pair(_coverage(card.coverage_by_regime, "regime", target), tried)
        + _pair(_coverage(card.coverage_by_symbol, "symbol", target))
        + '<p class="quiet">Widths and Winkler scores are in log return. The target is a long-run one: '
        "not per day, week, symbol or crash.</p>"
    )


def _coverage(groups: Sequence[Share], name: str, target: float | None) -> str:
    if not groups:
        return ""
    if len(groups) > MOST_SYMBOLS:
        shares = sorted(group.share.value for group in groups)
        low, middle, high = (shares[int(q * (len(shares) - 1))] for q in (0.05, 0.5, 0.95))
        return (
            f"<p>Coverage over {len(groups)} groups by {name}: 5 % {low:.3f}, median {middle:.3f}, "
            f"95 % {high:.3f}.</p>"
        )
    chart = share_chart(groups, name="covered", group_name=name, reference=target)
    return html_figure(chart, "The dashed line is the target.", f"Coverage by {name}")


def _explanations(card: CardData) -> str:
    gains = card.importances[:IMPORTANCE_ROWS]
    shap = card.shap[:SHAP_ROWS]
    return _pair(
        html_figure(bar_chart(gains, name="Share of gain"), "Share in what was learnt.", "Importance")
        if gains
        else "",
        html_figure(
            bar_chart(shap, name="Mean absolute SHAP value", digits=4),
            f"Mean absolute SHAP value on {card.shap_of}, unseen rows. It tells what the model uses, not "
            "what moves the price.",
            "SHAP, top 10",
        )
        if shap
        else "",
    )


def _curves(card: CardData) -> str:
    if not card.learning_curves:
        return ""
    chart = curve_chart(card.learning_curves, x_name="rounds", y_name="log loss")
    member = f"Of {card.learning_of}, b" if card.learning_of else "B"
    return _pair(html_figure(chart, f"{member}efore calibration. Lines that part are overfitting."))


def _trials(card: CardData) -> str:
    return html_facts(card.trials)


def _graph(card: CardData) -> str:
    def row(one: MemberPrice) -> tuple[str, ...]:
        return (
            one.name,
            f"{one.weight:.3f}",
            f"{one.one_row_us:.1f}",
            f"{one.batch_64_us_per_row:.2f}",
            f"{one.megabytes:.2f}",
            _estimate(one.gain, 4),
        )

    header = ("member", "weight", "µs at batch 1", "µs/row at 64", "MB", "adds to log loss")
    prices = html_table(header, [row(one) for one in card.members]) if card.members else ""
    return prices + html_facts(card.graph)


def _limits(card: CardData) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in card.limits)
    return f"<ul>{lines}</ul>" if lines else ""


__all__ = ["html_facts", "html_figure", "html_table", "page", "render_html"]
