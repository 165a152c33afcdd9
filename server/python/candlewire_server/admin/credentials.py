"""TLS of the admin port, with the files of the data port; they are read again when they change."""

from pathlib import Path

import grpc

from candlewire_server.errors import StartError
from candlewire_server.settings.sections import Tls


class CertificateFiles:
    """The certificate, key and client authorities, as gRPC wants them."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._paths = (certificate, key) + ((client_ca,) if client_ca is not None else ())
        self._seen = self._stamp()

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """Reads the files."""
        certificate, key, *client_ca = (path.read_bytes() for path in self._paths)
        return grpc.ssl_server_certificate_configuration(
            [(key, certificate)], root_certificates=client_ca[0] if client_ca else None
        )

    def fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """The configuration when the files changed; None, also when they cannot be read, changes nothing."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return None
            configuration = self.configuration()
        except OSError:
            return None
        self._seen = stamp
        return configuration

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        found = [path.stat() for path in self._paths]
        return tuple((status.st_mtime_ns, status.st_ino) for status in found)


def server_credentials(tls: Tls) -> grpc.ServerCredentials | None:
    """Credentials of the admin port; None when nothing is to be encrypted.

    Raises:
        StartError: A file cannot be read.
    """
    if tls.certificate is None or tls.key is None:
        return None
    try:
        files = CertificateFiles(tls.certificate, tls.key, tls.client_ca)
        first = files.configuration()
    except OSError as error:
        raise StartError(f"tls: cannot read {error.filename}: {error.strerror}") from error
    return grpc.dynamic_ssl_server_credentials(
        first,
        files.fetch,  # type: ignore[arg-type]  # None changes nothing
        require_client_authentication=tls.client_ca is not None,
    )
