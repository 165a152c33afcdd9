"""Candlewire's server: a Rust data plane and, in the same process, its Python control plane.

``candlewire serve`` (`command`) reads `settings`, starts the data plane (the compiled ``_data_plane`` module:
gRPC, batching, models, bars, subscribers; no Python on any of its paths) and runs the control plane beside it
(`admin`).

Errors of this package::

    ServerError
    ├── StartError              the server did not start; the message is one line for people
    │   └── AddressInUseError   a port is taken
    ├── FileScoringError        a file was not scored; the message is one line for people
    ├── SettingsError           a setting is unknown or refused; one line a problem
    ├── TokensError             the file of tokens cannot be read or changed as asked
    └── LibraryNotFoundError    the onnxruntime package ships no library that the data plane could load
"""

from typing import TYPE_CHECKING, Any

from candlewire_server.errors import (
    AddressInUseError,
    FileScoringError,
    LibraryNotFoundError,
    ServerError,
    SettingsError,
    StartError,
    TokensError,
)

if TYPE_CHECKING:
    from candlewire_server.settings import ServerSettings

__all__ = [
    "AddressInUseError",
    "FileScoringError",
    "LibraryNotFoundError",
    "ServerError",
    "ServerSettings",
    "SettingsError",
    "StartError",
    "TokensError",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any attribute
    """Imports the settings when they are asked for: pydantic takes a third of a second."""
    if name == "ServerSettings":
        from candlewire_server.settings import ServerSettings  # noqa: PLC0415

        return ServerSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
