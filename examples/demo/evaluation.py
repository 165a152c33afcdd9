"""What the replayed scores were worth, told honestly: coverage, calibration and baselines with intervals."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BOOTSTRAP_ROUNDS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with the ends of its 95 % block-bootstrap interval."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 3) -> str:
        """Value and interval, for people."""
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Rows of similar P(up): what was said, and how often it happened."""

    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything the report says about quality."""

    rows: int
    days: int
    horizon_bars: int
    target_coverage: float
    coverage: Estimate
    coverage_by_symbol: dict[str, tuple[float, int]]
    winkler_ratio: Estimate
    brier: Estimate
    brier_base_rate: Estimate
    brier_gain: Estimate
    accuracy: Estimate
    accuracy_majority: Estimate
    accuracy_momentum: Estimate
    accuracy_always_up: Estimate
    base_rate: float
    reliability: tuple[ReliabilityBin, ...]
    inside_interval: str
    signals: dict[str, int]
    trusted_rows: int


def training_facts(bars: pl.DataFrame, horizon_bars: int) -> tuple[float, float]:
    """Share of rising outcomes, and the 90 % quantile of |return| in units of the 20-bar volatility.

    Both are taken from the bars the model was trained on: they make the baselines' constants.
    """
    facts = with_outcomes(bars, horizon_bars).drop_nulls(["outcome", "volatility"])
    base_rate = facts.select((pl.col("outcome") > 0).mean()).item()
    ratio = facts.filter(pl.col("volatility") > 0).select(
        (pl.col("outcome").abs() / pl.col("volatility")).quantile(0.9)
    )
    return float(base_rate), float(ratio.item())


def with_outcomes(bars: pl.DataFrame, horizon_bars: int) -> pl.DataFrame:
    """Adds `outcome` (forward log return), `momentum` (past log return) and `volatility` over the horizon."""
    close = pl.col("close").log()
    return bars.sort("symbol", "open_time_ns").with_columns(
        outcome=(close.shift(-horizon_bars) - close).over("symbol"),
        momentum=(close - close.shift(horizon_bars)).over("symbol"),
        volatility=(close.diff().rolling_std(20) * np.sqrt(horizon_bars)).over("symbol"),
    )


def evaluate(
    scores: pl.DataFrame,
    bars: pl.DataFrame,
    *,
    horizon_bars: int,
    base_rate: float,
    volatility_quantile: float,
    target_coverage: float,
) -> Evaluation:
    """Joins scores with what happened and compares them with their baselines.

    Args:
        scores: One row a score: symbol, open_time_ns, probability_up, probability_low, probability_high,
            band_low, band_high, signal, trusted.
        bars: The replayed bars with their history: symbol, open_time_ns, close.
        horizon_bars: Bars ahead that the scores speak of.
        base_rate: Share of rising outcomes in the training bars.
        volatility_quantile: Half-width of the baseline band, in units of the 20-bar volatility.
        target_coverage: Coverage that the bands aim at.
    """
    known = (
        scores.join(with_outcomes(bars, horizon_bars), on=["symbol", "open_time_ns"], how="inner")
        .drop_nulls(["outcome", "momentum", "volatility"])
        .sort("open_time_ns", "symbol")
    )
    outcome = known["outcome"].to_numpy()
    rose = (outcome > 0).astype(float)
    probability = known["probability_up"].to_numpy()
    low, high = known["band_low"].to_numpy(), known["band_high"].to_numpy()
    half = known["volatility"].to_numpy() * volatility_quantile
    blocks = known["open_time_ns"].to_numpy()

    def estimate(values: Floats) -> Estimate:
        return block_bootstrap(values, blocks, block_days=4 * horizon_bars)

    covered = ((outcome >= low) & (outcome <= high)).astype(float)
    squared, squared_base = (probability - rose) ** 2, (base_rate - rose) ** 2
    miss_rate = 1 - target_coverage
    return Evaluation(
        rows=known.height,
        days=known["open_time_ns"].n_unique(),
        horizon_bars=horizon_bars,
        target_coverage=target_coverage,
        coverage=estimate(covered),
        coverage_by_symbol={
            str(symbol): (float(covered[mask].mean()), int(mask.sum()))
            for symbol in sorted(known["symbol"].unique())
            if (mask := (known["symbol"] == symbol).to_numpy()).any()
        },
        winkler_ratio=ratio_bootstrap(
            winkler(outcome, low, high, miss_rate),
            winkler(outcome, -half, half, miss_rate),
            blocks,
            block_days=4 * horizon_bars,
        ),
        brier=estimate(squared),
        brier_base_rate=estimate(squared_base),
        brier_gain=estimate(squared_base - squared),
        accuracy=estimate(((probability >= 0.5) == (rose == 1)).astype(float)),
        accuracy_majority=estimate(((base_rate >= 0.5) == (rose == 1)).astype(float)),
        accuracy_momentum=estimate(((known["momentum"].to_numpy() > 0) == (rose == 1)).astype(float)),
        accuracy_always_up=estimate(rose),
        base_rate=base_rate,
        reliability=reliability(probability, rose),
        inside_interval=interval_sentence(known, rose),
        signals={str(row["signal"]): int(row["len"]) for row in known.group_by("signal").len().to_dicts()},
        trusted_rows=int(known["trusted"].sum()),
    )


def winkler(outcome: Floats, low: Floats, high: Floats, miss_rate: float) -> Floats:
    """Winkler interval score: width plus 2/alpha times the miss; lower is better (Winkler, 1972)."""
    miss = np.maximum(low - outcome, 0) + np.maximum(outcome - high, 0)
    return (high - low) + 2 / miss_rate * miss


def reliability(probability: Floats, rose: Floats, bins: int = 8) -> tuple[ReliabilityBin, ...]:
    """Equal-count bins of P(up) against the observed frequency."""
    order = np.argsort(probability, kind="stable")
    return tuple(
        ReliabilityBin(
            predicted=float(probability[part].mean()), observed=float(rose[part].mean()), rows=part.size
        )
        for part in np.array_split(order, bins)
        if part.size
    )


def interval_sentence(known: pl.DataFrame, rose: Floats) -> str:
    """Whether the mean outcome lies inside the mean interval of P(up)."""
    low, high = float(known["probability_low"].mean() or 0), float(known["probability_high"].mean() or 0)  # type: ignore[arg-type]
    frequency = float(rose.mean())
    verdict = "inside" if low <= frequency <= high else "outside"
    return f"prices rose in {frequency:.3f} of the cases, {verdict} the mean interval [{low:.3f}, {high:.3f}]"


def _day_groups(blocks: NDArray[np.int64], block_days: int) -> list[NDArray[np.int64]]:
    _, day = np.unique(blocks, return_inverse=True)
    block = day // block_days
    return [np.flatnonzero(block == index) for index in range(int(block.max()) + 1)]


def block_bootstrap(values: Floats, blocks: NDArray[np.int64], *, block_days: int) -> Estimate:
    """Mean with a 95 % interval from resampled blocks of days, whose outcomes overlap."""
    return ratio_bootstrap(values, np.ones_like(values), blocks, block_days=block_days)


def ratio_bootstrap(
    numerator: Floats, denominator: Floats, blocks: NDArray[np.int64], *, block_days: int
) -> Estimate:
    """Ratio of sums with a 95 % interval from resampled blocks of days."""
    groups = _day_groups(blocks, block_days)
    top = np.array([numerator[group].sum() for group in groups])
    bottom = np.array([denominator[group].sum() for group in groups])
    draws = np.random.default_rng(7).integers(len(groups), size=(BOOTSTRAP_ROUNDS, len(groups)))
    ratios = top[draws].sum(axis=1) / bottom[draws].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Estimate(value=float(numerator.sum() / denominator.sum()), low=float(low), high=float(high))
