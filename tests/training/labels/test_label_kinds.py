"""Every kind of label says what it means, and no bar after its known-from time can change it."""

import numpy as np
import pytest
from candlewire_training.arrays import F64, I64
from candlewire_training.errors import SettingsError
from candlewire_training.labels.barriers import BOTH, PROFIT, STOP, TIME_OUT, follow_trades
from candlewire_training.labels.catalogue import LABELLERS, label_bars
from candlewire_training.labels.contract import CLASSES_OF_KIND, NEVER_NS, Labels, LabelSettings
from candlewire_training.labels.patterns import pattern_sides
from candlewire_training.labels.r_multiples import fit_r_multiples
from candlewire_training.labels.weights import balanced_weights, uniqueness
from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import DAY_NS, random_walk

BARS = 240
COLUMNS: dict[str, F64 | I64] = {
    name: values.to_numpy()
    for name, values in random_walk("AAA", bars=BARS, seed=11).drop("symbol").to_dict().items()
}
KINDS = sorted(CLASSES_OF_KIND)


def labels_of(kind: str, columns: dict[str, F64 | I64] = COLUMNS, *, horizon: int = 5) -> Labels:
    settings = LabelSettings(kind=kind, unique_rows=True)
    return label_bars(columns, settings, horizon=horizon, bar_ns=DAY_NS)


def test_every_kind_has_a_labeller() -> None:
    assert set(LABELLERS) == set(CLASSES_OF_KIND)


@pytest.mark.parametrize("kind", KINDS)
def test_times_and_shapes(kind: str) -> None:
    labels = labels_of(kind)
    labelled = labels.target >= 0
    assert labelled.sum() > 20
    assert set(np.unique(labels.target[labelled])) == set(range(len(labels.classes)))
    assert (labels.settled_from_ns[labelled] > labels.decision_time_ns[labelled]).all()
    assert (labels.settled_from_ns[labelled] <= labels.known_from_ns[labelled]).all()
    assert (labels.known_from_ns[labelled] < NEVER_NS).all()
    assert not labelled[-5:].any()
    assert ((labels.weight[labelled] > 0) & (labels.weight[labelled] <= 1)).all()
    np.testing.assert_array_equal(
        labels.up[labelled] == 1, labels.target[labelled] == len(labels.classes) - 1
    )


@pytest.mark.parametrize("kind", KINDS)
@given(bar=st.integers(0, BARS - 1), factor=st.floats(0.5, 2.0))
def test_a_bar_changes_no_label_known_before_it_closed(kind: str, bar: int, factor: float) -> None:
    before = labels_of(kind)
    changed = {name: values.copy() for name, values in COLUMNS.items()}
    for name in ("open", "high", "low", "close"):
        changed[name][bar] *= factor
    after = labels_of(kind, changed)
    close_of_bar = COLUMNS["open_time_ns"][bar] + DAY_NS
    settled = before.settled_from_ns < close_of_bar
    np.testing.assert_array_equal(before.target[settled], after.target[settled])
    np.testing.assert_array_equal(before.settled_from_ns[settled], after.settled_from_ns[settled])
    known = before.known_from_ns < close_of_bar
    for name in ("forward_return", "forward_variance", "r_multiple"):
        np.testing.assert_array_equal(getattr(before, name)[known], getattr(after, name)[known])


def test_the_neutral_zone_takes_its_width_from_volatility() -> None:
    quiet = labels_of("up_down_sideways")
    wide = label_bars(
        COLUMNS, LabelSettings(kind="up_down_sideways", neutral_width=3.0), horizon=5, bar_ns=DAY_NS
    )
    known = quiet.target >= 0
    assert 0.2 < float(np.mean(quiet.target[known] == 1)) < 0.5
    assert float(np.mean(wide.target[known] == 1)) > 0.95
    scaled = {name: values if "time" in name else values**2 for name, values in COLUMNS.items()}
    # Twice the volatility on twice the moves leaves every label where it was.
    np.testing.assert_array_equal(labels_of("up_down_sideways", scaled).target, quiet.target)
    np.testing.assert_array_equal(labels_of("bull_neutral_bear").target, quiet.target)


def one_trade(bars: list[tuple[float, float, float, float]], *, side: int = 1) -> tuple[int, int, float]:
    """Exit, exit bar and R of a trade from a close of 0 (log) with barriers at 1 and -0.5."""
    table = np.exp(np.array([(0.0, 0.0, 0.0, 0.0), *bars]))
    columns = dict(zip(("open", "high", "low", "close"), table.T, strict=True))
    size = len(bars) + 1
    trades = follow_trades(
        columns,
        np.full(size, side, dtype=np.int32),
        np.ones(size),
        horizon=len(bars),
        profit_multiple=1.0,
        stop_multiple=0.5,
    )
    return int(trades.exit[0]), int(trades.exit_bar[0]), float(trades.r_multiple[0])


@pytest.mark.parametrize(
    ("bars", "side", "expected"),
    [
        ([(0, 0.2, -0.2, 0.1), (0.1, 1.1, 0.0, 0.9)], 1, (PROFIT, 2, 2.0)),
        ([(0, 0.2, -0.6, 0.1), (0.1, 1.1, 0.0, 0.9)], 1, (STOP, 1, -1.0)),
        ([(-0.8, -0.7, -0.9, -0.7), (0, 0, 0, 0)], 1, (STOP, 1, -1.6)),
        ([(1.5, 1.6, -0.9, 0.0), (0, 0, 0, 0)], 1, (PROFIT, 1, 3.0)),
        ([(0, 1.2, -0.6, 0.1), (0, 0, 0, 0)], 1, (BOTH, 1, -1.0)),
        ([(0, 0.2, -0.2, 0.1), (0, 0.3, -0.1, 0.25)], 1, (TIME_OUT, 2, 0.5)),
        ([(0, 0.2, -1.2, 0.1), (0, 0, 0, 0)], -1, (PROFIT, 1, 2.0)),
        ([(0, 0.6, -0.2, 0.1), (0, 0, 0, 0)], -1, (STOP, 1, -1.0)),
    ],
    ids=["profit", "stop", "gap-stop", "gap-profit", "both", "time-out", "short-profit", "short-stop"],
)
def test_trades_end_at_the_barrier_they_meet_first(
    bars: list[tuple[float, float, float, float]], side: int, expected: tuple[int, int, float]
) -> None:
    exit_, bar, r = one_trade(bars, side=side)
    assert (exit_, bar) == expected[:2]
    assert r == pytest.approx(expected[2])


def test_touch_times_reach_the_labels() -> None:
    labels = labels_of("triple_barrier", horizon=10)
    labelled = labels.target >= 0
    early = labelled & (labels.settled_from_ns < labels.known_from_ns)
    assert early.sum() > labelled.sum() / 4
    # A label that is settled early was met by a barrier, so it is not sideways unless one bar spans both.
    assert float(np.mean(labels.target[early] != 1)) > 0.9


def test_patterns_are_judged_where_they_fire_and_on_their_side() -> None:
    settings = LabelSettings(kind="pattern_success", patterns=("cdlengulfing",))
    labels = label_bars(COLUMNS, settings, horizon=5, bar_ns=DAY_NS)
    side = pattern_sides(COLUMNS, settings.patterns)
    assert set(np.unique(side)) == {-1, 0, 1}
    np.testing.assert_array_equal(labels.target[:-5] >= 0, (side[:-5] != 0) & (np.arange(BARS - 5) >= 20))
    wins = labels.target == 1
    assert (labels.r_multiple[wins] >= 1.0 - 1e-12).all()
    assert (labels.r_multiple[labels.target == 0] < 1.0).all()


def test_short_entries_win_where_long_ones_lose() -> None:
    long, short = (
        label_bars(COLUMNS, LabelSettings(kind="entry_quality", side=side), horizon=5, bar_ns=DAY_NS)
        for side in ("long", "short")
    )
    known = long.target >= 0
    assert ((long.target[known] == 1) == (long.r_multiple[known] > 0)).all()
    assert float(np.mean(long.target[known] != short.target[known])) > 0.9


def test_the_expected_r_multiple_is_the_mean_over_classes() -> None:
    target = np.array([0, 0, 1, 1], dtype=np.int32)
    fitted = fit_r_multiples(target, np.array([-1.0, np.nan, 1.0, 3.0]), np.array([1, 1, 1, 3.0]), classes=2)
    assert fitted.by_class == (-1.0, 2.5)
    np.testing.assert_allclose(fitted.expected(np.array([[0.5, 0.5], [1.0, 0.0]])), [0.75, -1.0])


def test_uniqueness_is_the_mean_share_of_a_label_in_its_bars() -> None:
    # Bars 1..2, 2..3 and 6: the first two share bar 2.
    weight = uniqueness(np.array([0, 1, 5]), np.array([2, 3, 6]), np.array([True, True, True]))
    np.testing.assert_allclose(weight, [0.75, 0.75, 1.0])


def test_balanced_classes_weigh_the_same() -> None:
    target = np.array([0] * 90 + [2] * 10, dtype=np.int32)
    weight = balanced_weights(target, np.ones(100), classes=3)
    assert weight[target == 0].sum() == pytest.approx(50.0)
    assert weight[target == 2].sum() == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "sideways"),
        ("side", "both"),
        ("neutral_width", 0.0),
        ("profit_multiple", float("nan")),
        ("volatility_bars", 1),
        ("patterns", ("rsi",)),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match="use"):
        LabelSettings(**{name: value})  # type: ignore[arg-type]
