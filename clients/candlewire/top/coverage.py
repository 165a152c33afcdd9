"""Asks the admin port how often the bands held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from candlewire_proto.v1.outcomes_pb2 import GetCoverageRequest
from candlewire_proto.v1.outcomes_pb2_grpc import OutcomeServiceStub

from candlewire.methods import open_channel

if TYPE_CHECKING:
    from typing import Self

    from candlewire.connection import Connection

TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCoverage:
    """How the band of one pool did: asset class, timeframe and horizon of one version."""

    model: str
    model_version: int
    asset_class: str
    timeframe: str
    horizon_bars: int
    target_coverage: float
    achieved_coverage: float
    outcomes: int
    recent_coverage: float
    recent_outcomes: int
    width_multiplier: float
    hit_rate: float


class CoverageReader:
    """A connection to the admin port."""

    def __init__(self, connection: Connection) -> None:
        self._channel = open_channel(connection)
        self._ask: Any = OutcomeServiceStub(self._channel).GetCoverage
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def read(self) -> tuple[PoolCoverage, ...]:
        """The pools that have seen an outcome.

        Raises:
            CandlewireError: Nobody answers there, or it is not the admin port.
        """
        try:
            answer = self._ask(GetCoverageRequest(), timeout=TIMEOUT_S, metadata=self._connection.metadata())
        except grpc.RpcError as failed:
            raise self._connection.error(failed) from None
        names = PoolCoverage.__dataclass_fields__
        return tuple(
            PoolCoverage(**{name: getattr(pool, name) for name in names})
            for pool in answer.pools
            if pool.outcomes
        )
