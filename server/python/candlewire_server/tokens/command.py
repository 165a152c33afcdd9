"""``candlewire tokens``: make, list and revoke the tokens of a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

EXIT_USAGE = 2

TokensFile = Annotated[
    Path,
    typer.Option("--file", help="File of tokens; the server's --tokens.", envvar="CANDLEWIRE_AUTH_TOKENS"),
]
DEFAULT_FILE = Path("tokens.toml")


def register(app: typer.Typer) -> None:
    """Adds ``candlewire tokens`` to the command."""
    commands = typer.Typer(no_args_is_help=True, help="Make, list and revoke the tokens of a server.")
    commands.command()(add)
    commands.command("list")(list_tokens)
    commands.command()(revoke)
    app.add_typer(commands, name="tokens")


def add(
    name: Annotated[str, typer.Argument(help="Whom the token is for.")],
    role: Annotated[list[str], typer.Option(help="score, publish, subscribe or admin; may be repeated.")],
    file: TokensFile = DEFAULT_FILE,
) -> None:
    """Make a token and print it, once: the file keeps only its SHA-256."""
    from candlewire_server.tokens import book

    with _one_line():
        typer.echo(book.add(file, name, role))


def list_tokens(file: TokensFile = DEFAULT_FILE) -> None:
    """List whose tokens there are, with their roles."""
    from candlewire_server.tokens import book

    with _one_line():
        for entry in book.read(file):
            typer.echo(f"{entry.name}\t{','.join(entry.roles)}\t{entry.created}")


def revoke(
    name: Annotated[str, typer.Argument(help="Whose token.")], file: TokensFile = DEFAULT_FILE
) -> None:
    """Revoke a token; a running server forgets it within a second."""
    from candlewire_server.tokens import book

    with _one_line():
        book.revoke(file, name)


@contextmanager
def _one_line() -> Iterator[None]:
    from candlewire_server.errors import ServerError

    try:
        yield
    except ServerError as error:
        typer.echo(f"candlewire tokens: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
