"""Converts between the client's values and the contract's messages; decides nothing.

`Score` requests are written as bytes: protobuf packs `features` exactly as `pack_row` does, and concatenated
encodings merge, so a row costs one copy instead of one Python float a feature.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from candlewire_proto.v1 import bars_pb2, scoring_pb2, signals_pb2

from candlewire.errors import InvalidInputError, error_from_status
from candlewire.packed_floats import FLOAT32_BYTES, float32_column, pack_row, pack_rows
from candlewire.status_details import StatusDetails
from candlewire.types import (
    Bar,
    BarFate,
    BarRejection,
    ConfidenceLevel,
    DeploymentRole,
    DistrustReason,
    HealthStatus,
    LatestSignals,
    MemberScore,
    PriceBand,
    PublishAck,
    ReturnBand,
    Score,
    ScoreBatch,
    ServerTimings,
    Signal,
    SignalEvent,
    StreamedScore,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from candlewire.types import ScoreQuery, SlowSubscriberPolicy

Message = TypeVar("Message")

# A server newer than this client may send numbers that the enumerations do not have: those read as
# UNSPECIFIED.
SIGNALS = {int(member): member for member in Signal}
CONFIDENCE_LEVELS = {int(member): member for member in ConfidenceLevel}
DISTRUST_REASONS = {int(member): member for member in DistrustReason}
DEPLOYMENT_ROLES = {int(member): member for member in DeploymentRole}
BAR_FATES = {int(member): member for member in BarFate}
BAR_REJECTIONS = {int(member): member for member in BarRejection}
HEALTH_STATUSES = {int(member): member for member in HealthStatus}
STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}

# Key of `repeated float features = 2 [packed = true]`: field 2, length-delimited.
FEATURES_KEY = b"\x12"


def _build(message: Callable[..., Message], **fields: Any) -> Message:  # noqa: ANN401 - as protobuf takes them
    try:
        return message(**fields)
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r}"[:60] for name, value in fields.items() if value)
        raise InvalidInputError(f"{error} (in {given})") from None


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


@lru_cache(maxsize=512)
def _score_prefix(**fields: Any) -> bytes:  # noqa: ANN401 - as protobuf takes them
    return _build(scoring_pb2.ScoreRequest, **fields).SerializeToString()


@lru_cache(maxsize=64)
def _features_key(size_bytes: int) -> bytes:
    return FEATURES_KEY + _varint(size_bytes)


def encode_score_request(
    features: Any,  # noqa: ANN401 - anything that holds floats
    bars: Iterable[Bar] | None,
    **fields: Any,  # noqa: ANN401 - as protobuf takes them
) -> bytes:
    """A `ScoreRequest`, encoded.

    Raises:
        InvalidInputError: Not exactly one of `features` and `bars`, or a value of the wrong type.
    """
    if (features is None) == (bars is None):
        raise InvalidInputError("give exactly one of `features` and `bars`")
    if bars is not None:
        messages = [bar_to_message(bar) for bar in bars]
        return _build(scoring_pb2.ScoreRequest, bars=messages, **fields).SerializeToString()
    packed = pack_row(features)
    try:
        prefix = _score_prefix(**fields)
    except TypeError as error:  # an argument that cannot be hashed cannot be encoded either
        raise InvalidInputError(f"{error} (in {fields})") from None
    return prefix + _features_key(len(packed)) + packed


def score_query_to_message(query: ScoreQuery) -> scoring_pb2.ScoreRequest:
    """One request of a score stream."""
    encoded = encode_score_request(
        query.features,
        query.bars or None,
        model=query.model,
        symbol=query.symbol,
        timeframe=query.timeframe,
        model_version=query.model_version,
        reference_price=query.reference_price,
        include_members=query.include_members,
        feature_spec_hash=query.feature_spec_hash,
    )
    return scoring_pb2.ScoreRequest.FromString(encoded)


def stream_request(sequence: int, query: ScoreQuery) -> scoring_pb2.ScoreStreamRequest:
    """One request of a score stream, numbered."""
    return scoring_pb2.ScoreStreamRequest(client_sequence=sequence, request=score_query_to_message(query))


def publish_request(sequence: int, bar: Bar) -> bars_pb2.PublishRequest:
    """One bar to publish, numbered."""
    return bars_pb2.PublishRequest(client_sequence=sequence, bar=bar_to_message(bar))


def latest_request(symbols: Sequence[str], timeframe: str) -> signals_pb2.GetLatestRequest:
    """A `GetLatestRequest`."""
    return _build(signals_pb2.GetLatestRequest, symbols=names("symbols", symbols), timeframe=timeframe)


def batch_request(rows: Any, **fields: Any) -> scoring_pb2.ScoreBatchRequest:  # noqa: ANN401 - rows of floats
    """A `ScoreBatchRequest`."""
    packed, count = pack_rows(rows)
    return _build(scoring_pb2.ScoreBatchRequest, features=packed, rows=count, **fields)


def subscribe_request(
    *,
    symbols: Sequence[str],
    timeframes: Sequence[str],
    minimum_confidence: float,
    after_sequence: int | None,
    slow_policy: SlowSubscriberPolicy,
    buffer_signals: int,
    include_not_ready: bool,
) -> signals_pb2.SubscribeRequest:
    """A `SubscribeRequest`."""
    return _build(
        signals_pb2.SubscribeRequest,
        symbols=names("symbols", symbols),
        timeframes=names("timeframes", timeframes),
        minimum_confidence=minimum_confidence,
        after_sequence=after_sequence,
        slow_policy=int(slow_policy),
        buffer_signals=buffer_signals,
        include_not_ready=include_not_ready,
    )


def names(field: str, values: Sequence[str]) -> list[str]:
    """A list of names; a single string would silently read as its letters."""
    if isinstance(values, str):
        raise InvalidInputError(f"{field} is the string {values!r}; pass a list: [{values!r}]")
    return list(values)


def bar_to_message(bar: Bar) -> bars_pb2.Bar:
    """A bar as the contract's message."""
    if not isinstance(bar, Bar):
        raise InvalidInputError(f"{bar!r:.80} is {type(bar).__name__}; pass candlewire.Bar")
    return _build(
        bars_pb2.Bar,
        symbol=bar.symbol,
        timeframe=bar.timeframe,
        open_time_ns=bar.open_time_ns,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        is_final=bar.is_final,
    )


def bar_from_message(message: bars_pb2.Bar) -> Bar:
    """A bar of the contract as the client's value."""
    return Bar(
        symbol=message.symbol,
        timeframe=message.timeframe,
        open_time_ns=message.open_time_ns,
        open=message.open,
        high=message.high,
        low=message.low,
        close=message.close,
        volume=message.volume,
        is_final=message.is_final,
    )


def return_band_from_message(message: scoring_pb2.ReturnBand) -> ReturnBand:
    """A return band; coverage before the first outcome is None, not zero."""
    outcomes = message.outcomes
    return ReturnBand(
        low=message.low,
        mid=message.mid,
        high=message.high,
        target_coverage=message.target_coverage,
        achieved_coverage=message.achieved_coverage if outcomes else None,
        outcomes=outcomes,
        width_multiplier=message.width_multiplier,
    )


def timings_from_message(message: scoring_pb2.ServerTimings) -> ServerTimings:
    """Where the server's time went."""
    return ServerTimings(
        queue_ns=message.queue_ns,
        inference_ns=message.inference_ns,
        features_ns=message.features_ns,
        total_ns=message.total_ns,
        batch_rows=message.batch_rows,
    )


def score_from_message(message: scoring_pb2.ScoreResponse) -> Score:
    """A score of the contract as the client's value."""
    price_band = None
    if message.HasField("price_band"):
        prices = message.price_band
        price_band = PriceBand(low=prices.low, mid=prices.mid, high=prices.high)
    distrusted = message.distrust_reasons
    members = message.members
    return Score(
        probabilities=tuple(message.probabilities),
        probability_up=message.probability_up,
        probability_low=message.probability_low,
        probability_high=message.probability_high,
        signal=SIGNALS.get(message.signal, Signal.UNSPECIFIED),
        confidence_level=CONFIDENCE_LEVELS.get(message.confidence_level, ConfidenceLevel.UNSPECIFIED),
        confidence=message.confidence,
        return_band=return_band_from_message(message.return_band)
        if message.HasField("return_band")
        else None,
        price_band=price_band,
        dissimilarity=message.dissimilarity,
        trusted=message.trusted,
        distrust_reasons=tuple(DISTRUST_REASONS.get(r, DistrustReason.UNSPECIFIED) for r in distrusted)
        if distrusted
        else (),
        model=message.model,
        model_version=message.model_version,
        feature_spec_hash=message.feature_spec_hash,
        bar_open_time_ns=message.bar_open_time_ns or None,
        horizon_bars=message.horizon_bars,
        members=tuple(MemberScore(name=m.name, probabilities=tuple(m.probabilities)) for m in members)
        if members
        else (),
        timings=timings_from_message(message.timings) if message.HasField("timings") else None,
        role=DEPLOYMENT_ROLES.get(message.role, DeploymentRole.UNSPECIFIED),
        decision_id=message.decision_id or None,
    )


def batch_from_message(message: scoring_pb2.ScoreBatchResponse) -> ScoreBatch:
    """A batch's columns as buffers over the response."""
    rows, classes = message.rows, message.classes

    def column(data: bytes) -> memoryview[float]:
        return float32_column(data, [len(data) // FLOAT32_BYTES])

    return ScoreBatch(
        rows=rows,
        classes=classes,
        probabilities=float32_column(message.probabilities, [rows, classes]),
        probability_low=column(message.probability_low),
        probability_high=column(message.probability_high),
        band_low=column(message.band_low),
        band_mid=column(message.band_mid),
        band_high=column(message.band_high),
        dissimilarity=column(message.dissimilarity),
        signals=memoryview(message.signals),
        trusted=memoryview(message.trusted),
        model=message.model,
        model_version=message.model_version,
        feature_spec_hash=message.feature_spec_hash,
        target_coverage=message.target_coverage,
        timings=timings_from_message(message.timings) if message.HasField("timings") else None,
    )


def streamed_score_from_message(message: scoring_pb2.ScoreStreamResponse, *, target: str) -> StreamedScore:
    """One answer of a score stream: the score, or the error that the unary call would have raised."""
    if message.HasField("score"):
        return StreamedScore(client_sequence=message.client_sequence, score=score_from_message(message.score))
    failed = message.error
    code = STATUS_CODES.get(failed.code, grpc.StatusCode.UNKNOWN)
    details = StatusDetails(reason=failed.reason)
    return StreamedScore(
        client_sequence=message.client_sequence,
        error=error_from_status(code, failed.message, details, target=target),
    )


def health_from_message(message: Any) -> HealthStatus:  # noqa: ANN401 - a HealthCheckResponse
    """Answer of the health service."""
    return HEALTH_STATUSES.get(message.status, HealthStatus.UNKNOWN)


def ack_from_message(message: bars_pb2.PublishResponse) -> PublishAck:
    """What became of one bar."""
    return PublishAck(
        client_sequence=message.client_sequence,
        symbol=message.symbol,
        timeframe=message.timeframe,
        open_time_ns=message.open_time_ns,
        fate=BAR_FATES.get(message.fate, BarFate.UNSPECIFIED),
        rejection=BAR_REJECTIONS.get(message.rejection, BarRejection.UNSPECIFIED),
        message=message.message,
        gap_bars=message.gap_bars,
        journaled=message.journaled,
    )


def signal_from_message(message: signals_pb2.SignalEvent, dropped_signals: int = 0) -> SignalEvent:
    """The score of one closed bar."""
    return SignalEvent(
        sequence=message.sequence,
        bar=bar_from_message(message.bar),
        score=score_from_message(message.score),
        received_time_ns=message.received_time_ns,
        bar_to_signal_ns=message.bar_to_signal_ns,
        fate=BAR_FATES.get(message.fate, BarFate.UNSPECIFIED),
        dropped_signals=dropped_signals,
    )


def latest_from_message(message: signals_pb2.GetLatestResponse) -> LatestSignals:
    """The newest signals, and the symbols that have none."""
    return LatestSignals(
        signals=tuple(signal_from_message(event) for event in message.signals),
        unknown_symbols=tuple(message.unknown_symbols),
    )
