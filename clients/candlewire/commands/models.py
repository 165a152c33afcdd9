"""`candlewire models`: what a running server serves, and the operator's switch between versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from candlewire.commands import connecting
from candlewire.commands.top import DEFAULT_ADMIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from candlewire.models import ModelVersion

Admin = Annotated[
    str,
    typer.Option(
        "--admin", "-a", envvar="CANDLEWIRE_ADMIN", metavar="HOST:PORT", help="Admin port of the server."
    ),
]
Reason = Annotated[str, typer.Option(help="Who asks, and why; kept in the promotion ledger.", metavar="TEXT")]

models_app = typer.Typer(no_args_is_help=True, help="List, promote and roll back the models of a server.")


def register(app: typer.Typer) -> None:
    """Adds the group of commands."""
    app.add_typer(models_app, name="models")


@models_app.command("list")
def list_models(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    admin: Admin = DEFAULT_ADMIN,
    as_json: connecting.AsJson = False,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """List every version with its state and role, newest first within each model."""
    from candlewire.models import ModelAdministration

    asked = connecting.connection(admin, token=token, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
    with ModelAdministration(asked) as administration:
        _show(administration.versions(model or ""), as_json=as_json)


@models_app.command("show")
def show_model(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[int, typer.Option(help="Version; production when absent.")] = 0,
    admin: Admin = DEFAULT_ADMIN,
    as_json: connecting.AsJson = False,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Show one version: what it foretells, from which features, and what evaluates its trees."""
    from rich.console import Console
    from rich.table import Table

    from candlewire.commands.presentation import to_json
    from candlewire.models import ModelAdministration

    asked = connecting.connection(admin, token=token, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
    with ModelAdministration(asked) as administration:
        found = administration.version(model, version)
    if as_json:
        typer.echo(to_json(found))
        return
    table = Table(title=f"{found.model} {found.version}", show_header=False, title_justify="left")
    rows = {
        "state": found.state + (f": {found.failure}" if found.failure else ""),
        "role": found.role or "not deployed",
        "foretells": f"{', '.join(found.classes)} over {found.horizon_bars} bars of {found.timeframe}",
        "band": f"long-run target {found.target_coverage:.0%}",
        "members": ", ".join(found.members),
        "features": f"{len(found.feature_names)}, spec {found.feature_spec_hash}",
        "graph": found.model_hash,
        "trees": "\n".join(found.tree_nodes) or "none",
        "scored rows": f"{found.scored_rows:,}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console(highlight=False).print(table)


@models_app.command("promote")
def promote_model(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[int, typer.Argument(help="Version to make production.")],
    reason: Reason = "",
    admin: Admin = DEFAULT_ADMIN,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Make a version production; requests under way end on the old one."""
    from candlewire.models import ModelAdministration

    asked = connecting.connection(admin, token=token, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
    with ModelAdministration(asked) as administration:
        now, before = administration.promote(model, version, reason)
    typer.echo(f"{model}: {now} is production, before it {before or 'none'}")


@models_app.command("rollback")
def rollback_model(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    reason: Reason = "",
    admin: Admin = DEFAULT_ADMIN,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Make the version before production again."""
    from candlewire.models import ModelAdministration

    asked = connecting.connection(admin, token=token, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
    with ModelAdministration(asked) as administration:
        now, before = administration.rollback(model, reason)
    typer.echo(f"{model}: {now} is production again, before it {before}")


@models_app.command("reload")
def reload_models(
    admin: Admin = DEFAULT_ADMIN,
    as_json: connecting.AsJson = False,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Read the store again and list what is there."""
    from candlewire.models import ModelAdministration

    asked = connecting.connection(admin, token=token, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
    with ModelAdministration(asked) as administration:
        _show(administration.reload(), as_json=as_json)


def _show(versions: Sequence[ModelVersion], *, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from candlewire.commands.presentation import to_json

    if as_json:
        typer.echo(to_json(versions))
        return
    table = Table()
    for heading in ("model", "version", "state", "role", "timeframe", "members", "scored rows"):
        table.add_column(heading, justify="right" if heading == "scored rows" else "left")
    for one in versions:
        table.add_row(
            one.model,
            str(one.version),
            one.state + (f": {one.failure}" if one.failure else ""),
            one.role,
            one.timeframe,
            ", ".join(one.members),
            f"{one.scored_rows:,}",
        )
    Console(highlight=False).print(table)


__all__: list[Any] = ["register"]
