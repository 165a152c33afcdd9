"""Errors of the package as one line on standard error and an exit code, for every command of this room."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from candlewire_training.errors import GateError, InterruptedRunError, ParityError, TrainingError

BAD_INPUT_EXIT = 2
PARITY_EXIT = 3
INTERRUPTED_EXIT = 130


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Runs a command's body.

    Raises:
        typer.Exit: The body raised an error of this package, or was interrupted.
    """
    try:
        yield
    except InterruptedRunError as error:
        typer.echo(f"candlewire: {error}", err=True)
        raise typer.Exit(INTERRUPTED_EXIT) from error
    except TrainingError as error:
        typer.echo(f"candlewire: {error}", err=True)
        raise typer.Exit(
            PARITY_EXIT if isinstance(error, ParityError | GateError) else BAD_INPUT_EXIT
        ) from error
    except KeyboardInterrupt as error:
        typer.echo("candlewire: interrupted; nothing was written", err=True)
        raise typer.Exit(INTERRUPTED_EXIT) from error


__all__ = ["BAD_INPUT_EXIT", "INTERRUPTED_EXIT", "PARITY_EXIT", "one_line_errors"]
