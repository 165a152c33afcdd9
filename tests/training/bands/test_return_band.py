"""The band breathes, covers what it aims at on unseen rows, and its graph agrees."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from candlewire_training.arrays import F32, F64, I64
from candlewire_training.bands.admission import KINDS, BandSettings, admitted, fit_return_band
from candlewire_training.bands.band_inputs import VolatilityColumns
from candlewire_training.bands.return_band import LEVELS, Candidate, ReturnBand, conformalise
from candlewire_training.bands.volatility_scale import deviation_scale, fit_volatility_scale
from candlewire_training.errors import SettingsError
from candlewire_training.export.graph_builder import GraphBuilder
from candlewire_training.validation.block_bootstrap import Estimate
from candlewire_training.validation.proper_scores import winkler

from tests.training.conftest import run_graph


def columns(variances: list[int], linear: list[int], pairs: list[tuple[int, int]]) -> VolatilityColumns:
    return VolatilityColumns(
        variances=np.array(variances, dtype=np.int32),
        linear=np.array(linear, dtype=np.int32),
        pairs=np.array(pairs, dtype=np.int32).reshape(-1, 2),
        deviation=(0, 1),
    )


# Column 0 is a variance, 1 the logarithm of another over it, 2 and 3 a clock; 4 the scale cannot see.
COLUMNS = columns([0], [1, 2, 3], [(1, 2), (2, 2)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    X: F32
    forward_return: F64
    forward_variance: F64
    decision_time_ns: I64
    known_from_ns: I64


def breathing(seed: int, rows: int = 6_000, *, tails: bool = False) -> Rows:
    """Rows whose variance the first four columns foretell; `tails` lets the fifth widen the spread, too."""
    generator = np.random.default_rng(seed)
    angle = 2 * np.pi * generator.uniform(size=rows)
    level = np.exp(0.5 * generator.standard_normal(rows))
    volatility = 0.02 * level * np.exp(0.3 * np.sin(2 * angle))
    noise = 0.4 * generator.standard_normal((2, rows))
    X = np.column_stack(
        (
            (0.02 * level) ** 2 * np.exp(noise[0]),
            noise[1] - noise[0],
            np.sin(angle),
            np.cos(angle),
            generator.standard_normal(rows),
        )
    ).astype(np.float32)
    spread = np.where(X[:, 4] > 0, 3.0, 0.5) if tails else 1.0
    return Rows(
        X=X,
        forward_return=volatility * generator.standard_normal(rows) * spread,
        forward_variance=volatility**2 * generator.chisquare(5, rows) / 5,
        decision_time_ns=np.arange(rows),
        known_from_ns=np.arange(rows) + 1,
    )


def fitted(
    seed: int, *, kind: str | None = "log_har", coverage: float = 0.9, tails: bool = False
) -> ReturnBand:
    settings = BandSettings(target_coverage=coverage, horizon=1, kind=kind)
    band = fit_return_band(breathing(seed, tails=tails), settings=settings, volatility=COLUMNS)
    after = breathing(seed + 1, tails=tails)
    return conformalise(band, after.X, after.forward_return, np.arange(after.forward_return.size))


@pytest.mark.parametrize("kind", KINDS)
def test_coverage_on_rows_never_seen_at_every_level(kind: str) -> None:
    band = fitted(10, kind=kind)
    rows = breathing(99, 20_000)
    assert band.at_level(0.9).multiplier == band.multiplier
    for level in LEVELS:
        low, mid, high = band.at_level(level).apply(rows.X)
        assert ((low < mid) & (mid < high)).all()
        covered = float(np.mean((rows.forward_return >= low) & (rows.forward_return <= high)))
        assert covered == pytest.approx(level, abs=0.02)


def test_a_target_that_is_no_usual_level() -> None:
    band = fitted(12, coverage=0.7)
    assert [level for level, _ in band.level_multipliers] == [0.7, *LEVELS]
    assert band.multiplier == dict(band.level_multipliers)[0.7]


def test_the_width_follows_volatility_and_beats_a_constant_one() -> None:
    rows = breathing(77, 20_000)
    scores = {}
    for kind in ("log_har", "deviation", "quantile_regression"):
        low, _, high = fitted(20, kind=kind).apply(rows.X)
        scores[kind] = winkler(low, high, rows.forward_return, target_coverage=0.9).mean()
    constant = np.quantile(np.abs(breathing(21).forward_return), 0.9)
    ends = np.full(20_000, constant)
    scores["constant"] = winkler(-ends, ends, rows.forward_return, target_coverage=0.9).mean()
    assert scores["log_har"] < 0.95 * min(scores["deviation"], scores["constant"])
    assert scores["quantile_regression"] < 0.95 * scores["constant"]


def test_the_clock_s_second_harmonic_is_learnt() -> None:
    rows = breathing(78, 20_000)
    blind = columns([0], [1, 2, 3], [])
    errors = []
    for chosen in (COLUMNS, blind):
        scale = fit_volatility_scale(rows.X, rows.forward_variance, columns=chosen, horizon=1)
        errors.append(np.std(np.log(scale.apply(rows.X)) - 0.5 * np.log(rows.forward_variance)))
    assert errors[0] < 0.95 * errors[1]


def test_a_crash_beyond_the_training_range_widens_the_band() -> None:
    rows = breathing(80)
    scale = fit_volatility_scale(rows.X, rows.forward_variance, columns=COLUMNS, horizon=1)
    wildest = rows.X[np.argmax(scale.apply(rows.X))][None, :]
    crash = wildest.copy()
    crash[:, 0] *= 25.0  # five times the volatility of the wildest row
    ratio = scale.apply(crash)[0] / scale.apply(wildest)[0]
    assert ratio > 3.0
    # A number that is no price move at all does not make the band useless for ever.
    crash[:, 0] = 1e30
    assert scale.apply(crash)[0] < 20.0 * scale.apply(wildest)[0]


def test_the_deviation_scale_is_the_20_bar_standard_deviation() -> None:
    rows = breathing(79)
    scale = deviation_scale(rows.X, columns=COLUMNS, horizon=4)
    assert scale is not None
    wanted = np.sqrt(4 * rows.X[:, 0].astype(np.float64) * np.exp(rows.X[:, 1]))
    within = rows.X[:, 0] > np.quantile(rows.X[:, 0], 0.01)
    np.testing.assert_allclose(scale.apply(rows.X)[within], wanted[within], rtol=1e-6)


def test_the_conformal_width_repairs_a_scale_that_is_wrong() -> None:
    rows = breathing(30)
    narrow = Rows(
        X=rows.X,
        forward_return=rows.forward_return / 3,
        forward_variance=rows.forward_variance,
        decision_time_ns=rows.decision_time_ns,
        known_from_ns=rows.known_from_ns,
    )
    band = fit_return_band(narrow, settings=BandSettings(horizon=1, kind="log_har"), volatility=COLUMNS)
    blocks = np.arange(rows.forward_return.size)
    assert conformalise(band, rows.X, rows.forward_return, blocks).multiplier == pytest.approx(3.0, rel=0.1)


def test_dependent_calibration_rows_widen_the_band() -> None:
    rows = breathing(31, 600)
    band = fit_return_band(rows, settings=BandSettings(horizon=1), volatility=COLUMNS)
    X, realised, numbers = rows.X[:300], rows.forward_return[:300], np.arange(300)
    alone = conformalise(band, X, realised, numbers)
    copies = conformalise(band, np.repeat(X, 5, axis=0), np.repeat(realised, 5), np.repeat(numbers, 5))
    assert copies.multiplier == pytest.approx(alone.multiplier, rel=0.02)


def test_every_kind_is_tried_and_the_best_one_admitted() -> None:
    plain = fitted(40, kind=None)
    assert plain.kind == "log_har"
    assert plain.trees is None
    assert [kind for kind, _ in plain.candidates] == list(KINDS)
    assert all(abs(candidate.coverage - 0.9) < 0.05 for _, candidate in plain.candidates)
    earned = fitted(41, kind=None, tails=True)
    assert earned.kind == "log_har_trees"
    assert earned.trees_winkler_ratio is not None
    assert earned.trees_winkler_ratio < 0.98


@pytest.mark.parametrize(
    ("kind", "by_fold", "chosen"),
    [
        ("log_har_trees", (0.98, 0.98, 0.98), "log_har_trees"),
        ("log_har_trees", (0.90, 0.90, 1.01), "log_har"),
        ("log_har_trees", (0.998, 0.998, 0.998), "log_har"),
        ("deviation", (0.998, 0.998, 0.998), "deviation"),
        ("quantile_regression", (1.1, 1.1, 1.1), "log_har"),
    ],
    ids=["better", "not in every fold", "too little for trees", "enough for plain", "worse"],
)
def test_a_challenger_must_be_better_in_every_fold(
    kind: str, by_fold: tuple[float, ...], chosen: str
) -> None:
    assert admitted({"log_har": candidate((1.0, 1.0, 1.0)), kind: candidate(by_fold)}) == chosen


def test_a_challenger_whose_gain_may_be_chance_is_not_admitted() -> None:
    plain, sure = candidate((1.0, 1.0, 1.0)), candidate((0.98, 0.98, 0.98))
    unsure = replace(sure, gain=replace(sure.gain, low=-0.001))
    assert admitted({"log_har": plain, "log_har_trees": sure}) == "log_har_trees"
    assert admitted({"log_har": plain, "log_har_trees": unsure}) == "log_har"
    # A better score that is unsure does not stand in the way of one that is sure.
    best = replace(unsure, winkler=0.9)
    assert admitted({"log_har": plain, "log_har_trees": best, "log_har_skewed": sure}) == "log_har_skewed"


def test_gains_are_told_with_their_intervals() -> None:
    kinds = dict(fitted(40, kind=None).candidates)
    assert kinds["log_har"].gain.value == 0.0
    for kind, one in kinds.items():
        assert one.gain.value == pytest.approx(kinds["log_har"].winkler - one.winkler)
        assert one.gain.low <= one.gain.value <= one.gain.high, kind
    assert kinds["deviation"].gain.high < 0.0


def candidate(scores: tuple[float, ...]) -> Candidate:
    gain = 1.0 - float(np.mean(scores))
    return Candidate(
        winkler=float(np.mean(scores)),
        coverage=0.9,
        by_fold=scores,
        gain=Estimate(value=gain, low=gain - 0.0005, high=gain + 0.0005),
    )


def test_what_settles_late_is_not_used_in_admission() -> None:
    """Rows whose outcome is known only after everything leave nothing to try bands on."""
    rows = breathing(42)
    late = Rows(
        X=rows.X,
        forward_return=rows.forward_return,
        forward_variance=rows.forward_variance,
        decision_time_ns=rows.decision_time_ns,
        known_from_ns=np.full(rows.known_from_ns.size, 10**9),
    )
    assert fit_return_band(late, settings=BandSettings(horizon=1), volatility=COLUMNS).candidates == ()


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_agrees(kind: str) -> None:
    band = fitted(50, kind=kind)
    edges = [np.full((1, 5), value, np.float32) for value in (0.0, 1e30, -1e30, 3e38, 1e-40)]
    X = np.concatenate((breathing(51, 3_000).X, *edges))

    def build(graph: GraphBuilder) -> list[str]:
        return list(band.export(graph, "features"))

    for ours, exported in zip(band.apply(X), run_graph(build, X), strict=True):
        np.testing.assert_allclose(exported[:, 0], ours, rtol=5e-5, atol=1e-8)


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_the_graph_gives_the_same_bits_in_any_batch(rows: int) -> None:
    band = fitted(52)
    X = breathing(53, 448).X

    def build(graph: GraphBuilder) -> list[str]:
        return list(band.export(graph, "features"))

    whole = run_graph(build, X)
    parts = [run_graph(build, X[start : start + rows]) for start in range(0, min(448, 20 * rows), rows)]
    for number, output in enumerate(whole):
        got = np.concatenate([part[number] for part in parts])
        np.testing.assert_array_equal(got.view(np.int32), output[: got.shape[0]].view(np.int32))


def test_without_volatility_features_the_width_is_constant() -> None:
    rows = breathing(60)
    nothing = VolatilityColumns(
        variances=np.zeros(0, np.int32),
        linear=np.zeros(0, np.int32),
        pairs=np.zeros((0, 2), np.int32),
        deviation=None,
    )
    scale = fit_volatility_scale(rows.X, rows.forward_variance, columns=nothing, horizon=1)
    assert np.unique(scale.apply(rows.X)).size == 1
    band = fit_return_band(rows, settings=BandSettings(horizon=1), volatility=nothing)
    assert "deviation" not in dict(band.candidates)
    exported = run_graph(lambda graph: list(band.export(graph, "features")), rows.X)
    for ours, graph in zip(band.apply(rows.X), exported, strict=True):
        np.testing.assert_allclose(graph[:, 0], ours, rtol=1e-5, atol=1e-8)
    with pytest.raises(SettingsError, match="band_scale"):
        fit_return_band(rows, settings=BandSettings(kind="deviation"), volatility=nothing)


def test_prices_that_never_moved_still_get_an_open_band() -> None:
    rows = breathing(61)
    still = Rows(
        X=rows.X,
        forward_return=np.zeros_like(rows.forward_return),
        forward_variance=np.zeros_like(rows.forward_variance),
        decision_time_ns=rows.decision_time_ns,
        known_from_ns=rows.known_from_ns,
    )
    for kind in ("log_har", "log_har_skewed"):
        band = fit_return_band(still, settings=BandSettings(kind=kind), volatility=COLUMNS)
        low, mid, high = band.apply(rows.X)
        assert ((low < mid) & (mid < high)).all()


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(SettingsError, match="use one of"):
        BandSettings(kind="garch")
