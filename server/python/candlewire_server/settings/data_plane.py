"""The part of the settings that the data plane reads, in its own names."""

import json

from candlewire_server.settings.sections import ServerSettings

# What only the control plane reads.
_CONTROL = {
    "server": {
        "host",
        "port",
        "admin_host",
        "admin_port",
        "metrics_host",
        "metrics_port",
        "ready_file",
        "insecure_any_host",
    },
    "telemetry": {"log_level", "log_format"},
}
# Sections whose names are part of the data plane's own.
_PREFIXED = {"journal", "tls"}


def data_plane_json(settings: ServerSettings) -> str:
    """The settings as the data plane takes them."""
    values: dict[str, object] = {}
    for section, content in settings.model_dump(mode="json").items():
        for name, value in content.items():
            if name in _CONTROL.get(section, ()):
                continue
            values[f"{section}_{name}" if section in _PREFIXED else name] = value
    values["journal"] = values.pop("journal_folder")
    headers = settings.telemetry.otlp_headers
    values["otlp_headers"] = headers.get_secret_value() if headers is not None else None
    values["listen"] = socket_address(settings.server.host, settings.server.port)
    values["metrics_listen"] = socket_address(settings.server.metrics_host, settings.server.metrics_port)
    return json.dumps(values)


def socket_address(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
