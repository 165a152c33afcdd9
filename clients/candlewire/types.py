"""What goes into a call and what comes out: frozen values in the field's words, free of protobuf.

Enumerations carry the numbers of the contract (`proto/candlewire/v1`); a test holds them equal. Times are
nanoseconds since the Unix epoch, UTC; returns are natural logs; prices are in quote currency.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from candlewire.errors import CandlewireError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_time(time_ns: int) -> datetime:
    """The time as an aware datetime; digits below a microsecond are cut."""
    return EPOCH + timedelta(microseconds=time_ns // 1000)


class Signal(IntEnum):
    """What the policy makes of a score."""

    UNSPECIFIED = 0
    BUY = 1
    SELL = 2
    HOLD = 3
    NOT_READY = 4


class ConfidenceLevel(IntEnum):
    """Confidence in words; UNSPECIFIED when there is no score."""

    UNSPECIFIED = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3


class DistrustReason(IntEnum):
    """Why a score should not be acted on."""

    UNSPECIFIED = 0
    OUTLIER = 1
    NOT_READY = 2
    COVERAGE = 3
    EXPIRED = 4
    GAP = 5


class DeploymentRole(IntEnum):
    """Role in which the version served; UNSPECIFIED when it was asked for by number."""

    UNSPECIFIED = 0
    PRODUCTION = 1
    CANARY = 2
    SHADOW = 3


class BarFate(IntEnum):
    """What the server did with a published bar."""

    UNSPECIFIED = 0
    ACCEPTED = 1
    DUPLICATE = 2
    REPLACED = 3
    LATE_APPLIED = 4
    REJECTED = 5


class BarRejection(IntEnum):
    """Why a bar was refused; UNSPECIFIED unless it was."""

    UNSPECIFIED = 0
    MISSING = 1
    INVALID_SYMBOL = 2
    INVALID_TIMEFRAME = 3
    INVALID_TIME = 4
    INVALID_PRICE = 5
    INCONSISTENT_PRICES = 6
    INVALID_VOLUME = 7
    NOT_FINAL = 8
    TOO_LATE = 9
    TOO_MANY_SERIES = 10
    DRAINING = 11
    UNKNOWN_SYMBOL = 12


class SlowSubscriberPolicy(IntEnum):
    """What happens to a subscriber that falls behind."""

    UNSPECIFIED = 0
    DROP_OLDEST = 1
    DISCONNECT = 2


class HealthStatus(IntEnum):
    """Answer of the standard gRPC health service."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar (candle) of one symbol.

    Attributes:
        symbol: As the server's models know it, for example "AAPL".
        timeframe: "1m", "5m", "15m", "1h", "4h", "1d", "1w" or "1M" (M is months).
        open_time_ns: Open time; a daily bar of an exchange carries its session date at 00:00 UTC.
        open: First traded price.
        high: Highest traded price.
        low: Lowest traded price.
        close: Last traded price.
        volume: Traded volume in the market's own unit.
        is_final: False while the bar is still forming; the server then rejects it.
    """

    symbol: str
    timeframe: str
    open_time_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    is_final: bool = True

    @property
    def open_time(self) -> datetime:
        """Open time, UTC."""
        return utc_time(self.open_time_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnBand:
    """Band of the forward log return over the horizon: a long-run target, not a guarantee.

    Attributes:
        low: Lower end.
        mid: Centre.
        high: Upper end.
        target_coverage: Coverage aimed at in the long run, 0 to 1.
        achieved_coverage: Share of realised outcomes inside lately; None before the first outcome.
        outcomes: Outcomes behind `achieved_coverage`.
        width_multiplier: What the online controller put on the model's half-widths.
    """

    low: float
    mid: float
    high: float
    target_coverage: float
    achieved_coverage: float | None
    outcomes: int
    width_multiplier: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBand:
    """The return band in prices at the end of the horizon."""

    low: float
    mid: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberScore:
    """What one member of the ensemble said, before stacking and calibration."""

    name: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTimings:
    """Where the server's time went, nanoseconds; `batch_rows` rows ran together."""

    queue_ns: int
    inference_ns: int
    features_ns: int
    total_ns: int
    batch_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One score with its provenance.

    Attributes:
        probabilities: Calibrated, in the order of the model's classes.
        probability_up: Calibrated P(price is higher after `horizon_bars`).
        probability_low: Lower end of the calibrated interval of P(up).
        probability_high: Upper end of the calibrated interval of P(up).
        signal: What the policy makes of it.
        confidence_level: Confidence in words.
        confidence: The larger of P(up) and P(down), 0 to 1.
        return_band: Band of the forward log return; None while features warm up.
        price_band: The same in prices; None without a reference price.
        dissimilarity: Distance from the training data; above 1 is outside.
        trusted: False when the score should not be acted on.
        distrust_reasons: Why not; empty when trusted.
        model: Name of the model that scored.
        model_version: Its version, UTC time of training as YYYYMMDDHHMMSS.
        feature_spec_hash: SHA-256 of the feature spec's canonical JSON.
        bar_open_time_ns: Open time of the bar scored; None for a bare feature vector.
        horizon_bars: Bars ahead that the score speaks of.
        members: The members' own probabilities, when asked for.
        timings: Where the server's time went; None when the server did not say.
        role: Role in which the version served.
        decision_id: Identifier in the decision log; None when not logged.
    """

    probabilities: tuple[float, ...]
    probability_up: float
    probability_low: float
    probability_high: float
    signal: Signal
    confidence_level: ConfidenceLevel
    confidence: float
    return_band: ReturnBand | None
    price_band: PriceBand | None
    dissimilarity: float
    trusted: bool
    distrust_reasons: tuple[DistrustReason, ...]
    model: str
    model_version: int
    feature_spec_hash: str
    bar_open_time_ns: int | None
    horizon_bars: int
    members: tuple[MemberScore, ...]
    timings: ServerTimings | None
    role: DeploymentRole
    decision_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBatch:
    """Scores of a batch, one column a field.

    Columns are memoryviews of the response (float32, or uint8 for `signals` and `trusted`): index them,
    iterate them, or hand them to `numpy.asarray` without a copy. `probabilities` has shape (rows, classes),
    the others (rows,).
    """

    rows: int
    classes: int
    probabilities: memoryview[float]
    probability_low: memoryview[float]
    probability_high: memoryview[float]
    band_low: memoryview[float]
    band_mid: memoryview[float]
    band_high: memoryview[float]
    dissimilarity: memoryview[float]
    signals: memoryview
    trusted: memoryview
    model: str
    model_version: int
    feature_spec_hash: str
    target_coverage: float
    timings: ServerTimings | None

    def __len__(self) -> int:
        return self.rows

    def signal(self, row: int) -> Signal:
        """The signal of one row."""
        return Signal(self.signals[row])


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreQuery:
    """One request of a score stream; the fields are those of `Client.score`."""

    features: object = None
    bars: tuple[Bar, ...] = ()
    model: str = ""
    symbol: str = ""
    timeframe: str = ""
    model_version: int = 0
    reference_price: float = 0.0
    include_members: bool = False
    feature_spec_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedScore:
    """One answer of a score stream, in the order of the requests.

    Attributes:
        client_sequence: Position of the request in the stream, from 0.
        score: The score; None when the request failed.
        error: Why the request failed; None when it did not. The stream goes on either way.
    """

    client_sequence: int
    score: Score | None = None
    error: CandlewireError | None = None

    def result(self) -> Score:
        """The score, or raises the request's error."""
        if self.error is not None:
            raise self.error
        if self.score is None:
            raise ValueError("a StreamedScore holds a score or an error; this one holds neither")
        return self.score


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishAck:
    """What became of one published bar.

    Attributes:
        client_sequence: Position of the bar among those published, from 0.
        symbol: As sent.
        timeframe: As sent.
        open_time_ns: As sent.
        fate: What the server did with it.
        rejection: Why it was refused; UNSPECIFIED unless it was.
        message: One sentence for people; empty unless refused.
        gap_bars: Bars missing before this one, where the server can know.
        journaled: True when the bar is in the journal under the configured fsync policy.
    """

    client_sequence: int
    symbol: str
    timeframe: str
    open_time_ns: int
    fate: BarFate
    rejection: BarRejection
    message: str
    gap_bars: int
    journaled: bool

    @property
    def applied(self) -> bool:
        """True when the bar changed its series."""
        return self.fate in (BarFate.ACCEPTED, BarFate.REPLACED, BarFate.LATE_APPLIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalEvent:
    """The score of one closed bar.

    Attributes:
        sequence: Position in the server's sequence of signals; resume behind it with `after_sequence`.
        bar: The bar scored.
        score: Its score; `score.signal` is NOT_READY while features warm up.
        received_time_ns: When the server received the bar.
        bar_to_signal_ns: From receiving the bar to handing out the signal.
        fate: Accepted, replaced or late-applied.
        dropped_signals: Signals dropped for this subscriber since the event before; zero outside
            subscriptions.
    """

    sequence: int
    bar: Bar
    score: Score
    received_time_ns: int
    bar_to_signal_ns: int
    fate: BarFate
    dropped_signals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestSignals:
    """The newest signal of each series asked for.

    Attributes:
        signals: One a series, by symbol and timeframe.
        unknown_symbols: Symbols asked for that the server has not seen.
    """

    signals: tuple[SignalEvent, ...]
    unknown_symbols: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[SignalEvent]:
        return iter(self.signals)

    def __len__(self) -> int:
        return len(self.signals)
