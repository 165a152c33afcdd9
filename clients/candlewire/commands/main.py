"""The `candlewire` command: the client's sub-commands and those of whatever else is installed.

A distribution adds its own through the entry-point group `candlewire.commands`; each entry is a function
`register(app: typer.Typer) -> None`. One that breaks costs a warning, never the other commands.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Annotated

import typer

from candlewire.commands import health, latest, load_test, models, publish, score, subscribe, top
from candlewire.errors import CandlewireError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

PLUGINS = "candlewire.commands"
DEBUG = "CANDLEWIRE_DEBUG"

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130


def say(message: str) -> None:
    """One line to standard error."""
    sys.stderr.write(f"candlewire: {' '.join(message.split())}\n")


def print_version(value: bool) -> None:
    """Callback of `--version`."""
    if value:
        typer.echo(f"candlewire {version('candlewire-client')}")
        raise typer.Exit


def options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    """Trading scores with honest confidence bands, over gRPC."""


def command_names(app: typer.Typer) -> list[str]:
    """Names of the commands and groups registered so far."""
    functions = [
        command.name or (command.callback.__name__.replace("_", "-") if command.callback else "")
        for command in app.registered_commands
    ]
    return functions + [str(group.name) for group in app.registered_groups]


def add_plugins(app: typer.Typer, plugins: Iterable[EntryPoint]) -> None:
    """Lets every plug-in add its commands; names that are taken stay with who had them first."""
    for plugin in sorted(plugins, key=lambda entry: entry.name):
        commands, groups = len(app.registered_commands), len(app.registered_groups)
        taken = set(command_names(app))
        owner = plugin.dist.name if plugin.dist is not None else plugin.value
        try:
            plugin.load()(app)
        except Exception as error:  # noqa: BLE001 - whatever a plug-in raises, the rest must work
            del app.registered_commands[commands:], app.registered_groups[groups:]
            say(f"warning: the commands of {owner} are missing: {type(error).__name__}: {error}")
            continue
        added = command_names(app)
        clashes = sorted({name for name in added if added.count(name) > 1} & taken)
        if clashes:
            del app.registered_commands[commands:], app.registered_groups[groups:]
            say(f"warning: the commands of {owner} are missing: it redefines {', '.join(clashes)}")


def build_app(plugins: Iterable[EntryPoint] | None = None) -> typer.Typer:
    """The whole command; `plugins` defaults to those installed."""
    app = typer.Typer(
        name="candlewire",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        callback=options,
    )
    for module in (score, publish, subscribe, latest, health, load_test, top, models):
        module.register(app)
    add_plugins(app, entry_points(group=PLUGINS) if plugins is None else plugins)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Runs the command and exits: 0, 1 for a failure, 2 for wrong usage or input; never a traceback."""
    app = build_app()
    try:
        app(args=arguments, prog_name="candlewire")
    except CandlewireError as error:
        say(f"error: {error}")
        sys.exit(EXIT_USAGE if isinstance(error, InvalidInputError) else EXIT_FAILURE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe has left, as `head` does; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILURE)
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        say(f"internal error: {type(error).__name__}: {error} (set {DEBUG}=1 to see where)")
        sys.exit(EXIT_INTERNAL)


if __name__ == "__main__":
    main()
