"""The control plane: models, outcomes and health, on a port of its own."""

from candlewire_server.admin.credentials import server_credentials
from candlewire_server.admin.services import AdminServer

__all__ = ["AdminServer", "server_credentials"]
