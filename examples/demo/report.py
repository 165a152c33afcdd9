"""The report: one self-contained HTML page, no script, no outside resource."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from examples.demo.evaluation import Evaluation

STYLE = """
:root { color-scheme: light; --ink: #1f2933; --muted: #616e7c; --line: #e4e7eb; --accent: #0b6e99; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f7fa; color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 36px 0 10px; }
p.lead, .note { color: var(--muted); margin: 0 0 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 12px;
  margin: 22px 0; }
.tile { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.tile b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: 13px; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px;
  overflow-x: auto; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 12px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 600; font-size: 13px; }
td.n, th.n { text-align: right; }
svg { max-width: 100%; height: auto; display: block; margin: 0 auto; }
code { background: #eef2f6; padding: 1px 5px; border-radius: 4px; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Facts of the run itself that the page shows beside the evaluation."""

    model: str
    version: int
    feature_spec_hash: str
    trained_until: str
    replayed_from: str
    replayed_to: str
    bars_published: int
    scores_received: int
    refused: Sequence[str]
    replay_seconds: float
    streamed_scores_per_second: float
    latency_ms: Mapping[str, tuple[float, float, int]]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def cell(tag: str, index: int, text: str) -> str:
        return f"<{tag}{' class=n' if index else ''}>{escape(text)}</{tag}>"

    lines = ["".join(cell("th", index, text) for index, text in enumerate(head))]
    lines += ["".join(cell("td", index, text) for index, text in enumerate(row)) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _tile(value: str, label: str) -> str:
    return f"<div class=tile><b>{escape(value)}</b><span>{escape(label)}</span></div>"


def verdict(evaluation: Evaluation) -> str:
    """One honest sentence on whether the probabilities beat the training base rate."""
    gain = evaluation.brier_gain
    if gain.low > 0:
        return "The probabilities beat the training base rate, by more than the interval's width."
    if gain.high < 0:
        return "The probabilities are worse than the training base rate: do not trade on their direction."
    return (
        "The probabilities cannot be told apart from the training base rate on this stretch: "
        "no directional skill is shown, which is what daily bars of a few stocks usually give."
    )


def page(run: Run, evaluation: Evaluation, charts: Mapping[str, str]) -> str:
    """The whole page as HTML text."""
    first_latency = next(iter(run.latency_ms.values()))
    tiles = [
        _tile(f"{run.scores_received:,}", "scores received by the subscriber"),
        _tile(
            f"{evaluation.coverage.value:.1%}",
            f"of outcomes inside the band; long-run target {evaluation.target_coverage:.0%}",
        ),
        _tile(f"{first_latency[0]:.2f} ms", f"median {next(iter(run.latency_ms))}"),
        _tile(f"{run.streamed_scores_per_second:,.0f}/s", "scores through one client's stream, bars in"),
    ]
    quality = [
        ["Brier score (lower is better)", evaluation.brier.text(4), evaluation.brier_base_rate.text(4)],
        ["Gain over the base rate", evaluation.brier_gain.text(4), "0"],
        [
            "Direction right",
            evaluation.accuracy.text(),
            f"majority class {evaluation.accuracy_majority.text()}",
        ],
        ["", "", f"momentum {evaluation.accuracy_momentum.text()}"],
        ["", "", f"always up (buy and hold) {evaluation.accuracy_always_up.text()}"],
        ["Winkler score of the band, ratio", evaluation.winkler_ratio.text(), "1 = 20-bar volatility band"],
    ]
    latency = [
        [name, f"{p50:.3f}", f"{p99:.3f}", f"{count:,}"] for name, (p50, p99, count) in run.latency_ms.items()
    ]
    coverage = [
        [symbol, f"{share:.3f}", f"{rows:,}"]
        for symbol, (share, rows) in evaluation.coverage_by_symbol.items()
    ]
    signals = ", ".join(f"{name} {count:,}" for name, count in sorted(evaluation.signals.items()))
    refused = "".join(f"<li>{escape(text)}</li>" for text in run.refused)
    untrusted = evaluation.rows - evaluation.trusted_rows
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Candlewire demo report</title><style>{STYLE}</style></head><body><main>
<h1>Candlewire demo report</h1>
<p class=lead>Model <code>{escape(run.model)}</code> version <code>{
        run.version
    }</code>, trained on real daily bars
until {escape(run.trained_until)}, then scored live on the unseen bars from {escape(run.replayed_from)}
to {escape(run.replayed_to)}. Horizon: {evaluation.horizon_bars} bars.</p>
<div class=tiles>{"".join(tiles)}</div>

<h2>The band</h2>
<p class=note>Inside the band: {escape(evaluation.coverage.text())} of {evaluation.rows:,} outcomes on
{evaluation.days:,} days (95 % block-bootstrap interval: outcomes overlap, so the rows say
much less than their number). The target of {
        evaluation.target_coverage:.0%} is a long-run aim, not a promise for a day, a symbol or a
crash.</p>
<div class=card>{charts["price"]}</div>
<div class=pair style="margin-top:12px"><div class=card>{charts["coverage"]}</div>
<div class=card>{_table(["Symbol", "Inside", "Outcomes"], coverage)}</div></div>

<h2>The probabilities, against baselines</h2>
<p class=note>{escape(verdict(evaluation))} Over all rows {escape(evaluation.inside_interval)}.</p>
<div class=card>{_table(["", "Model [95 % interval]", "Baseline [95 % interval]"], quality)}</div>
<div class=pair style="margin-top:12px"><div class=card>{charts["reliability"]}</div>
<div class=card><p class=note>Signals: {escape(signals)}. Not trusted: {untrusted:,} of {evaluation.rows:,}.
BUY and SELL need a calibrated probability of 0.60: a calibrated model of a nearly unpredictable thing
seldom says so.</p></div></div>

<h2>Latency, as the Python client saw it</h2>
<p class=note>Publisher, subscriber and the live table shared one Python process, and all shared one
machine with
the server: the table's redrawing makes the tail of the second row. The third is the server's own time.</p>
<div class=card>{charts["latency"]}
{_table(["Call", "p50, ms", "p99, ms", "Calls"], latency)}</div>

<h2>What was refused, and why</h2>
<p class=note>The demo sends these on purpose. Nothing of them reached the features,
and the stream went on.</p>
<div class=card><ul>{refused}</ul></div>

<h2>Provenance</h2>
<div class=card>{
        _table(
            ["", ""],
            [
                ["Feature spec (SHA-256)", run.feature_spec_hash],
                ["Bars published", f"{run.bars_published:,} in {run.replay_seconds:.1f} s"],
                ["Training base rate of rising outcomes", f"{evaluation.base_rate:.3f}"],
            ],
        )
    }</div>
</main></body></html>
"""
