"""Bearer tokens: who may call, with which roles.

The file holds the SHA-256 of each token; the token itself is shown once, when it is made. Tokens are 256
random bits, so a fast hash is enough: there is nothing to guess.
"""

import hashlib
import json
import os
import re
import secrets
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from candlewire_server.errors import TokensError

ROLES = ("score", "publish", "subscribe", "admin")
PREFIX = "cw_"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_HEAD = "# Tokens of a Candlewire server, as SHA-256; change this file with `candlewire tokens`.\n"


@dataclass(frozen=True, kw_only=True)
class TokenEntry:
    """One token, without the token."""

    name: str
    sha256: str
    roles: tuple[str, ...]
    created: str


def read(path: Path) -> list[TokenEntry]:
    """The entries of the file, in its order; none when there is no file.

    Raises:
        TokensError: The file cannot be read, or is not what it should be.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise TokensError(f"tokens: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TokensError(f"tokens: {path} is no TOML file of tokens") from error
    try:
        return [
            TokenEntry(
                name=entry["name"],
                sha256=entry["sha256"],
                roles=tuple(entry["roles"]),
                created=entry.get("created", ""),
            )
            for entry in document.get("token", [])
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise TokensError(f"tokens: {path}: every [[token]] needs name, sha256 and roles") from error


def add(path: Path, name: str, roles: Sequence[str]) -> str:
    """Adds a token to the file and returns it; nobody can read it from the file again.

    Raises:
        TokensError: The name is taken or no name, a role does not exist, or the file cannot be written.
    """
    if not NAME.fullmatch(name):
        raise TokensError(f"name: {name!r} is no name; use letters, digits, dots, dashes and underscores")
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        raise TokensError(
            f"role: {', '.join(unknown) or 'none given'}; give one or more of {', '.join(ROLES)}"
        )
    entries = read(path)
    if any(entry.name == name for entry in entries):
        raise TokensError(f"name: {name!r} has a token; revoke it first or choose another name")
    token = PREFIX + secrets.token_urlsafe(32)
    fresh = TokenEntry(
        name=name,
        sha256=hashlib.sha256(token.encode()).hexdigest(),
        roles=tuple(role for role in ROLES if role in roles),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    _write(path, [*entries, fresh])
    return token


def revoke(path: Path, name: str) -> None:
    """Takes the token of `name` out of the file; a running server forgets it within a second.

    Raises:
        TokensError: There is none, or the file cannot be written.
    """
    entries = read(path)
    kept = [entry for entry in entries if entry.name != name]
    if len(kept) == len(entries):
        known = ", ".join(entry.name for entry in entries) or "none"
        raise TokensError(f"name: {name!r} has no token in {path}; known names: {known}")
    _write(path, kept)


def _write(path: Path, entries: Sequence[TokenEntry]) -> None:
    """Writes beside the file and moves it there: a server reads all of it or what was there before."""
    text = _HEAD + "".join(
        # JSON's strings and lists of strings are TOML's.
        f"\n[[token]]\nname = {json.dumps(entry.name)}\nsha256 = {json.dumps(entry.sha256)}\n"
        f"roles = {json.dumps(list(entry.roles))}\ncreated = {json.dumps(entry.created)}\n"
        for entry in entries
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise TokensError(f"tokens: cannot write {path}: {error.strerror}") from error
