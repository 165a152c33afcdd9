"""Authorities and certificates made for one test run."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """An authority and PEM files of it: for a server at 127.0.0.1 and for a client."""

    authority: trustme.CA
    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def server(self) -> tuple[Path, Path]:
        return self.folder / "server.pem", self.folder / "server.key"

    @property
    def client(self) -> tuple[Path, Path]:
        return self.folder / "client.pem", self.folder / "client.key"

    def issue(self, name: str, identity: str) -> None:
        """Writes ``name.pem`` and ``name.key``, each in one move."""
        made = self.authority.issue_cert(identity)
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        for path, content in (
            (self.folder / f"{name}.key", made.private_key_pem.bytes()),
            (self.folder / f"{name}.pem", chain),
        ):
            temporary = path.with_suffix(".new")
            temporary.write_bytes(content)
            temporary.replace(path)


def make(folder: Path) -> Certificates:
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(authority=trustme.CA(), folder=folder)
    made.authority.cert_pem.write_to_path(str(made.ca))
    made.issue("server", "127.0.0.1")
    made.issue("client", "client.example")
    return made
