"""Settings of the server: `sections` says what there is, `sources` where values come from."""

from candlewire_server.settings.data_plane import data_plane_json, socket_address
from candlewire_server.settings.sections import ServerSettings
from candlewire_server.settings.sources import LoadedSettings, load, show

__all__ = ["LoadedSettings", "ServerSettings", "data_plane_json", "load", "show", "socket_address"]
