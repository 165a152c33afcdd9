"""Runs the server: data plane, control plane, ready file, and an orderly end."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from candlewire_server import _data_plane
from candlewire_server.errors import AddressInUseError, LibraryNotFoundError, StartError
from candlewire_server.settings import ServerSettings, data_plane_json

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(settings: ServerSettings) -> bool:
    """Serves until SIGTERM or SIGINT; returns whether everything accepted was answered in time.

    Raises:
        AddressInUseError: A port is taken.
        StartError: No model can serve, or a setting is refused.
        LibraryNotFoundError: onnxruntime ships no library.
    """
    _data_plane.start_logging(settings.telemetry.log_level, settings.telemetry.log_format)
    _allow_many_connections()
    ready_file = settings.server.ready_file
    if ready_file is not None:
        # A server that was killed left its own behind: it must not speak for this one.
        ready_file.unlink(missing_ok=True)
    # grpc takes long to import; the data plane loads its models meanwhile, without the interpreter's lock.
    threading.Thread(target=import_module, args=("candlewire_server.admin",), daemon=True).start()
    try:
        plane = _data_plane.DataPlane(data_plane_json(settings), onnxruntime_library())
    except _data_plane.AddressInUseError as error:
        raise AddressInUseError(str(error)) from error
    except _data_plane.StartFailedError as error:
        raise StartError(str(error)) from error
    try:
        return asyncio.run(_control(settings, plane))
    finally:
        # Only after an error is there anything left to stop.
        plane.stop()


async def _control(settings: ServerSettings, plane: _data_plane.DataPlane) -> bool:
    from candlewire_server.admin import AdminServer, server_credentials  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    admin = AdminServer(
        plane, server_credentials(settings.tls), open_reflection=settings.auth.open_reflection
    )
    server, grace_seconds = settings.server, 0.0
    try:
        admin_address = await admin.start(server.admin_host, server.admin_port)
        addresses = {"data": plane.data_address, "admin": admin_address, "metrics": plane.metrics_address}
        if server.ready_file is not None:
            _write_ready_file(server.ready_file, addresses)
        await stop.wait()
        drained = await asyncio.to_thread(plane.stop)
        grace_seconds = server.drain_timeout_ms / 1_000
    finally:
        # After an error too: a server that is only dropped complains when its loop is gone.
        await admin.stop(grace_seconds)
        for number in STOP_SIGNALS:
            # The loop would give them back to the system: one more would kill a server that is about to end.
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        if server.ready_file is not None:
            server.ready_file.unlink(missing_ok=True)
    return drained


def _allow_many_connections() -> None:
    """Takes all the file handles that the system would give: every connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _write_ready_file(path: Path, addresses: dict[str, str]) -> None:
    """Writes the file beside its place and moves it there: a reader sees all of it or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(addresses) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StartError(
            f"ready_file: {path}: {error.strerror}; name a file in a folder that exists"
        ) from error


def onnxruntime_library() -> Path:
    """The shared library inside the installed onnxruntime package; the package itself is not imported.

    Raises:
        LibraryNotFoundError: It is not there.
    """
    package = find_spec("onnxruntime")
    for folder in (package.submodule_search_locations or []) if package else []:
        found = sorted((Path(folder) / "capi").glob("libonnxruntime.so*"))
        if found:
            return found[0]
    raise LibraryNotFoundError("onnxruntime: no libonnxruntime.so in the package; install onnxruntime again")
