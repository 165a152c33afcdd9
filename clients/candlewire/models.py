"""The admin port's view of the models: versions, promotion and rollback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from candlewire_proto.v1 import models_pb2
from candlewire_proto.v1.models_pb2_grpc import ModelServiceStub
from candlewire_proto.v1.scoring_pb2 import DeploymentRole

from candlewire.connection import seconds
from candlewire.methods import open_channel

if TYPE_CHECKING:
    from typing import Self

    from candlewire.connection import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of a model, as the server knows it.

    Attributes:
        model, version: Name, and UTC time of training as YYYYMMDDHHMMSS.
        state: available, ready or failed; `failure` says why.
        role: production, canary or shadow; empty when not deployed.
        tree_nodes: What evaluates each tree ensemble of the graph, and why.
        scored_rows: Rows scored since the server started.
    """

    model: str
    version: int
    state: str
    role: str
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    feature_spec_hash: str
    timeframe: str
    horizon_bars: int
    target_coverage: float
    members: tuple[str, ...]
    model_hash: str
    failure: str
    scored_rows: int
    tree_nodes: tuple[str, ...]


class ModelAdministration:
    """A connection to the admin port. Every method raises `CandlewireError` when the server refuses."""

    def __init__(self, connection: Connection) -> None:
        self._channel = open_channel(connection)
        self._service: Any = ModelServiceStub(self._channel)
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def versions(self, model: str = "") -> tuple[ModelVersion, ...]:
        """Every version of `model`, or of all models."""
        answer = self._ask(self._service.ListModels, models_pb2.ListModelsRequest(model=model))
        return tuple(_version(info) for info in answer.models)

    def version(self, model: str, version: int = 0) -> ModelVersion:
        """One version; 0 is production."""
        request = models_pb2.GetModelRequest(model=model, version=version)
        return _version(self._ask(self._service.GetModel, request).model)

    def promote(self, model: str, version: int, reason: str) -> tuple[int, int]:
        """Makes a version production; the versions of now and before, 0 for none."""
        request = models_pb2.PromoteModelRequest(model=model, version=version, reason=reason)
        answer = self._ask(self._service.PromoteModel, request)
        return answer.model.version, answer.previous_version

    def rollback(self, model: str, reason: str) -> tuple[int, int]:
        """Makes the version before production again; the versions of now and before."""
        request = models_pb2.RollbackModelRequest(model=model, reason=reason)
        answer = self._ask(self._service.RollbackModel, request)
        return answer.model.version, answer.previous_version

    def reload(self) -> tuple[ModelVersion, ...]:
        """Lets the server read its store again; what it found."""
        answer = self._ask(self._service.ReloadModels, models_pb2.ReloadModelsRequest())
        return tuple(_version(info) for info in answer.models)

    def _ask(self, call: Any, request: Any) -> Any:  # noqa: ANN401 - generated messages
        try:
            return call(
                request,
                timeout=seconds(self._connection.timeout_ms),
                metadata=self._connection.metadata(),
            )
        except grpc.RpcError as failed:
            raise self._connection.error(failed) from None


def _version(info: models_pb2.ModelInfo) -> ModelVersion:
    texts = {name: getattr(info, name) for name in ModelVersion.__dataclass_fields__}
    texts |= {name: tuple(texts[name]) for name in ("classes", "feature_names", "members", "tree_nodes")}
    texts["state"] = models_pb2.ModelState.Name(info.state).removeprefix("MODEL_STATE_").lower()
    role = DeploymentRole.Name(info.role).removeprefix("DEPLOYMENT_ROLE_").lower()
    texts["role"] = "" if role == "unspecified" else role
    return ModelVersion(**texts)


__all__ = ["ModelAdministration", "ModelVersion"]
