"""The compiled data plane."""

from pathlib import Path
from typing import final

__version__: str

class StartFailed(Exception):
    """The data plane did not start; one line for people."""

class AddressInUse(StartFailed):
    """A port is taken."""

class Refused(Exception):
    """A request was refused; ``args`` is (gRPC code, message, encoded google.rpc.Status)."""

    args: tuple[int, str, bytes]

@final
class DataPlane:
    """A running data plane: ports taken, models loaded, serving until `stop`.

    Requests and responses of the methods are encoded messages of ``candlewire.v1``.
    """

    def __new__(cls, settings_json: str, onnxruntime_library: Path) -> DataPlane: ...
    @property
    def data_address(self) -> str: ...
    @property
    def metrics_address(self) -> str: ...
    def stop(self) -> bool: ...
    def list_models(self, request: bytes) -> bytes: ...
    def get_model(self, request: bytes) -> bytes: ...
    def promote_model(self, request: bytes) -> bytes: ...
    def rollback_model(self, request: bytes) -> bytes: ...
    def reload_models(self, request: bytes) -> bytes: ...
    def list_outcomes(self, request: bytes) -> bytes: ...
    def get_coverage(self, request: bytes) -> bytes: ...

def start_logging(filter: str, format: str) -> None: ...
