"""Everything a model card shows, as plain values: no model, no samples, nothing that must be computed.

A section whose field is empty is left out, so a run fills what it measured.
"""

import itertools
from dataclasses import dataclass

from candlewire_training.validation.block_bootstrap import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share over some rows: accuracy or coverage of a group.

    Attributes:
        name: The group.
        rows: Rows in it.
        share: The share with its 95 % block-bootstrap interval.
    """

    name: str
    rows: int
    share: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSpan:
    """A fold on the calendar.

    Attributes:
        name: Its name.
        spans: (part, first decision, last decision, rows); times in nanoseconds since the epoch, UTC.
    """

    name: str
    spans: tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastScores:
    """Scores of the model, a member or a baseline; None where the score does not apply.

    Attributes:
        gain: Log loss of the majority baseline minus this one's, nats a row.
        information_coefficient: Rank correlation of the forecast with the forward return.
    """

    name: str
    log_loss: Estimate
    brier: Estimate
    hit_rate: Estimate
    gain: Estimate
    information_coefficient: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BandScores:
    """Scores of a band on unseen rows, in log return; `winkler_ratio` is to the control's."""

    name: str
    level: float
    coverage: Estimate
    width: float
    winkler: float
    winkler_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Rows of similar P(last class): what was forecast and what happened."""

    rows: int
    forecast: float
    happened: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedR:
    """Rows of similar expected R-multiple: what was expected of their trades, and what they made."""

    rows: int
    expected: float
    realised: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line: points (x, y)."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPrice:
    """What a member costs and what it adds.

    Attributes:
        weight: Its weight in the ensemble.
        one_row_us: Microseconds at batch 1.
        batch_64_us_per_row: Microseconds a row at batch 64.
        megabytes: Its size in the graph.
        gain: What the proper score loses without it; None where it was not measured.
    """

    name: str
    weight: float
    one_row_us: float
    batch_64_us_per_row: float
    megabytes: float
    gain: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardData:
    """The contents of a card.

    Attributes:
        title: Model and version.
        verdicts: Sentences that come first, honest before flattering.
        facts: What the model is: (name, value).
        data: Where the bars come from: (name, value).
        notes: What was done to the bars.
        labels: What is foretold and from when it is known: (name, value).
        class_shares: (class, share in train, share in test).
        folds: How rows were parted.
        forecasts: The model first, then baselines.
        sample_note: Sample size, design effect, what the intervals mean.
        reliability: Bins of the calibration plot.
        classes: Names of the classes.
        confusion: Rows by what happened (outer) and what was called (inner).
        accuracy_by_confidence: From the least to the greatest confidence.
        accuracy_by_time: By time.
        expected_r: What trades were expected to make and made, the least expectation first.
        bands: The band at its levels, then controls at the target level.
        band_candidates: (kind, Winkler score by the admitted one's, coverage), in walk-forward on train rows.
        coverage_by_regime: By tercile of volatility and other regimes.
        coverage_by_symbol: By symbol.
        importances: (feature, share of the total gain), greatest first.
        shap: (feature, mean absolute contribution), greatest first.
        shap_of: What the contributions add up to.
        learning_curves: Log loss by boosting round, or by trees of a forest.
        learning_of: Member that they are of.
        trials: How many settings were tried, and what that does to the score: (name, value).
        members: What each member costs and adds.
        graph: Size, latency, parity: (name, value).
        limits: Limits of use.
    """

    title: str
    verdicts: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    data: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    class_shares: tuple[tuple[str, float, float], ...] = ()
    folds: tuple[FoldSpan, ...] = ()
    forecasts: tuple[ForecastScores, ...] = ()
    sample_note: str = ""
    reliability: tuple[ReliabilityBin, ...] = ()
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    accuracy_by_confidence: tuple[Share, ...] = ()
    accuracy_by_time: tuple[Share, ...] = ()
    expected_r: tuple[ExpectedR, ...] = ()
    bands: tuple[BandScores, ...] = ()
    band_candidates: tuple[tuple[str, float, float], ...] = ()
    coverage_by_regime: tuple[Share, ...] = ()
    coverage_by_symbol: tuple[Share, ...] = ()
    importances: tuple[tuple[str, float], ...] = ()
    shap: tuple[tuple[str, float], ...] = ()
    shap_of: str = "the margin"
    learning_curves: tuple[Curve, ...] = ()
    learning_of: str = ""
    trials: tuple[tuple[str, str], ...] = ()
    members: tuple[MemberPrice, ...] = ()
    graph: tuple[tuple[str, str], ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def confidence_is_monotone(self) -> bool:
        """Whether accuracy never falls as confidence grows."""
        values = [group.share.value for group in self.accuracy_by_confidence]
        return all(later >= earlier for earlier, later in itertools.pairwise(values))


__all__ = [
    "BandScores",
    "CardData",
    "Curve",
    "ExpectedR",
    "FoldSpan",
    "ForecastScores",
    "MemberPrice",
    "ReliabilityBin",
    "Share",
]
