"""The page shows what it is given, loads nothing, and its charts are sound."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from candlewire_training.card.card_data import (
    BandScores,
    CardData,
    Curve,
    ExpectedR,
    FoldSpan,
    ForecastScores,
    MemberPrice,
    ReliabilityBin,
    Share,
)
from candlewire_training.card.charts import Axis
from candlewire_training.card.html import render_html
from candlewire_training.export.bundle import Bundle
from candlewire_training.validation.block_bootstrap import Estimate

YEAR_NS = 365 * 86_400 * 10**9


def about(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.01, high=value + 0.01)


def shares(*values: float) -> tuple[Share, ...]:
    return tuple(
        Share(name=f"g{number}", rows=100, share=about(value)) for number, value in enumerate(values)
    )


FULL = CardData(
    title="demo <1>",
    verdicts=("No skill & no pretence.",),
    facts=(("Members", "xgboost"),),
    data=(("Fingerprint", "abc"),),
    notes=("adjusted for splits",),
    labels=(("Horizon", "5 bars"),),
    expected_r=(ExpectedR(rows=90, expected=-0.21, realised=Estimate(value=-0.2, low=-0.4, high=0.1)),),
    class_shares=(("DOWN", 0.4, 0.5), ("UP", 0.6, 0.5)),
    folds=(
        FoldSpan(
            name="fold 1",
            spans=(("train", 0, 5 * YEAR_NS, 1000), ("test", 5 * YEAR_NS, 6 * YEAR_NS, 200)),
        ),
    ),
    forecasts=(
        ForecastScores(
            name="model",
            log_loss=about(0.69),
            brier=about(0.25),
            hit_rate=about(0.51),
            gain=about(0.0),
            information_coefficient=about(0.02),
        ),
    ),
    sample_note="8 rows count as one",
    reliability=tuple(ReliabilityBin(rows=50, forecast=p, happened=about(p + 0.01)) for p in (0.4, 0.5, 0.6)),
    classes=("DOWN", "UP"),
    confusion=((30, 20), (10, 40)),
    accuracy_by_confidence=shares(0.5, 0.52, 0.55),
    accuracy_by_time=shares(0.5, 0.49),
    bands=(
        BandScores(name="model", level=0.9, coverage=about(0.9), width=0.1, winkler=0.15, winkler_ratio=0.95),
        BandScores(
            name="model at 80%",
            level=0.8,
            coverage=about(0.8),
            width=0.08,
            winkler=0.12,
            winkler_ratio=float("nan"),
        ),
    ),
    band_candidates=(("log_har (admitted)", 1.0, 0.9), ("deviation", 1.04, 0.9)),
    coverage_by_regime=shares(0.88, 0.9, 0.93),
    coverage_by_symbol=shares(*[0.9] * 100),
    importances=tuple((f"feature_{number}", 0.1) for number in range(30)),
    shap=tuple((f"shap_{number}", 0.01) for number in range(30)),
    learning_curves=(
        Curve(name="train", points=((1.0, 0.69), (100.0, 0.65))),
        Curve(name="test", points=((1.0, 0.69), (100.0, 0.69))),
    ),
    trials=(("Trials", "1"),),
    members=(
        MemberPrice(
            name="xgboost",
            weight=1.0,
            one_row_us=20.0,
            batch_64_us_per_row=3.0,
            megabytes=0.1,
            gain=about(0.001),
        ),
    ),
    graph=(("Size", "0.1 MB"),),
    limits=("Not for leverage.",),
)
SECTIONS = (
    "What it is",
    "Data",
    "Labels",
    "Folds",
    "Forecast on unseen bars",
    "Calibration",
    "Accuracy",
    "Expected R-multiple",
    "Return band",
    "What it looks at",
    "Learning curves",
    "Walk forward and trials",
    "Members and graph",
    "Limits of use",
)


class Balance(HTMLParser):
    """Collects open tags; void ones never open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass


def check_page(page: str) -> None:
    """Tags close, charts are XML with finite numbers, nothing is loaded."""
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    charts = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert charts
    for chart in charts:
        ET.fromstring(chart)  # noqa: S314 - our own text
    assert not re.search(r"https?://|src=|@import|url\(|<script|<link", page)
    assert not re.search(r"[>\s\"](nan|inf)[<\s\"]", page)


def test_every_section_is_shown() -> None:
    page = render_html(FULL)
    check_page(page)
    assert re.findall(r"<h2>(.*?)</h2>", page) == list(SECTIONS)
    assert "demo &lt;1&gt;" in page
    assert "No skill &amp; no pretence." in page
    assert page.count("<svg") == 8
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    # The longest lists are cut, and many symbols become quantiles.
    assert "shap_9<" in page
    assert "shap_10<" not in page
    assert "Coverage over 100 groups by symbol" in page


def test_sections_without_contents_are_left_out() -> None:
    page = render_html(CardData(title="t", verdicts=("v",), facts=(("a", "b"),), limits=("l",)))
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["What it is", "Limits of use"]


@pytest.mark.parametrize(
    ("values", "said"), [((0.5, 0.5, 0.6), "never falls"), ((0.5, 0.6, 0.55), "NOT monotone")]
)
def test_the_page_says_whether_confidence_is_worth_its_name(values: tuple[float, ...], said: str) -> None:
    assert said in render_html(replace(FULL, accuracy_by_confidence=shares(*values)))


def test_one_flat_group_is_drawn_without_a_crash() -> None:
    flat = Estimate(value=0.5, low=0.5, high=0.5)
    groups = (Share(name="all", rows=10, share=flat),)
    check_page(render_html(replace(FULL, accuracy_by_time=groups, importances=(("nothing", 0.0),))))


def test_ticks_are_round_and_inside() -> None:
    axis = Axis(low=-0.013, high=0.47, start=0.0, end=100.0)
    assert axis.ticks() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert axis.at(0.47) == pytest.approx(100.0)


def test_a_bundle_carries_the_page(bundle: Bundle) -> None:
    page = (bundle.folder / "card.html").read_text(encoding="utf-8")
    check_page(page)
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == list(SECTIONS)
    for text in ("SHAP, top 10", "model at 80%", "log_har", "confusion".capitalize(), "momentum"):
        assert text in page


def test_an_axis_of_one_value_has_a_middle() -> None:
    # A model that early stopping left with a single round has a curve of one point.
    axis = Axis(low=1.0, high=1.0, start=10.0, end=30.0)
    assert axis.at(1.0) == 20.0
    assert axis.ticks() == [1.0]
