"""``candlewire serve``, ``replay-decisions`` and ``score-file``.

Every call of ``candlewire`` imports this module: what takes long to import is imported by the command itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from candlewire_server.errors import AddressInUseError, ServerError, SettingsError
from candlewire_server.tokens import command as tokens_command

if TYPE_CHECKING:
    from candlewire_server.settings import ServerSettings

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_SERVER = "Server"
_SECURITY = "Security"
_JOURNAL = "Journal"
_LIMITS = "Limits"
_TELEMETRY = "Telemetry"
_TREE_KERNEL = (
    "auto: trees on the tree kernel where it gives ONNX Runtime's bits and is faster; off: on ONNX Runtime's "
    "own operators; else always on the kernel, with these instructions at most."
)


def register(app: typer.Typer) -> None:
    """Adds the server's commands to the ``candlewire`` command."""
    app.command()(serve)
    app.command()(replay_decisions)
    app.command()(score_file)
    tokens_command.register(app)


def serve(
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file of settings.", envvar="CANDLEWIRE_CONFIG", rich_help_panel=_SERVER),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.NAME=VALUE",
            help="Any setting; may be repeated.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    show_config: Annotated[
        bool,
        typer.Option("--show-config", help="Print every setting with its origin.", rich_help_panel=_SERVER),
    ] = False,
    store: Annotated[
        Path | None, typer.Option(help="Folder of model bundles.", rich_help_panel=_SERVER)
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address of the data port.", rich_help_panel=_SERVER)
    ] = None,
    port: Annotated[int | None, typer.Option(help="Data port; 0 picks one.", rich_help_panel=_SERVER)] = None,
    admin_port: Annotated[
        int | None, typer.Option(help="Admin port; 0 picks one.", rich_help_panel=_SERVER)
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Metrics port; 0 picks one.", rich_help_panel=_SERVER)
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            help="Written once all ports are served: their addresses as JSON.", rich_help_panel=_SERVER
        ),
    ] = None,
    accept_unknown_symbols: Annotated[
        bool | None,
        typer.Option(
            "--accept-unknown-symbols",
            help="Score bars of symbols no model was trained on.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of the certificate chain.", rich_help_panel=_SECURITY)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM file of the private key.", rich_help_panel=_SECURITY)
    ] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(help="Ask clients for certificates of these authorities.", rich_help_panel=_SECURITY),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(help="File of tokens; only their holders may call.", rich_help_panel=_SECURITY),
    ] = None,
    insecure_any_host: Annotated[
        bool | None,
        typer.Option(
            "--insecure-any-host",
            help="Serve unencrypted where other machines reach it.",
            rich_help_panel=_SECURITY,
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the journal; a restart continues from it bit for bit.", rich_help_panel=_JOURNAL
        ),
    ] = None,
    journal_fsync: Annotated[
        Literal["never", "interval", "always"] | None,
        typer.Option(help="When a bar counts as journaled.", rich_help_panel=_JOURNAL),
    ] = None,
    worker_threads: Annotated[
        int | None, typer.Option(help="Threads; 0 is one a core.", rich_help_panel=_LIMITS)
    ] = None,
    executors: Annotated[
        int | None, typer.Option(help="Engines a model; 0 is one a core.", rich_help_panel=_LIMITS)
    ] = None,
    queue_rows: Annotated[
        int | None, typer.Option(help="Rows that may wait for one model.", rich_help_panel=_LIMITS)
    ] = None,
    max_batch_rows: Annotated[
        int | None, typer.Option(help="Rows that run together.", rich_help_panel=_LIMITS)
    ] = None,
    drain_timeout_ms: Annotated[
        int | None,
        typer.Option(help="Longest wait for running requests at the end.", rich_help_panel=_LIMITS),
    ] = None,
    tree_kernel: Annotated[
        Literal["auto", "off", "portable", "avx2", "avx512"] | None,
        typer.Option(help=_TREE_KERNEL, rich_help_panel=_SERVER),
    ] = None,
    log_level: Annotated[
        Literal["error", "warn", "info", "debug"] | None,
        typer.Option(help="Least level logged.", rich_help_panel=_TELEMETRY),
    ] = None,
    log_format: Annotated[
        Literal["pretty", "json"] | None,
        typer.Option(help="How log lines look.", rich_help_panel=_TELEMETRY),
    ] = None,
    otlp_endpoint: Annotated[
        str | None, typer.Option(help="Collector of traces, OTLP over gRPC.", rich_help_panel=_TELEMETRY)
    ] = None,
) -> None:
    """Serve the models of a store: scores, bar streams and signals over gRPC.

    Every setting comes from its flag (or --set), else from the environment (CANDLEWIRE_SERVER_PORT and so
    on), else from the TOML file, else from its default. SIGTERM and Ctrl-C answer what was accepted, then end
    the server.
    """
    from candlewire_server.settings import load, show

    flags: dict[str, tuple[str, object]] = {
        "server.store": ("--store", store),
        "server.host": ("--host", host),
        "server.port": ("--port", port),
        "server.admin_port": ("--admin-port", admin_port),
        "server.metrics_port": ("--metrics-port", metrics_port),
        "server.ready_file": ("--ready-file", ready_file),
        "server.insecure_any_host": ("--insecure-any-host", insecure_any_host),
        "server.worker_threads": ("--worker-threads", worker_threads),
        "server.drain_timeout_ms": ("--drain-timeout-ms", drain_timeout_ms),
        "tls.certificate": ("--tls-cert", tls_cert),
        "tls.key": ("--tls-key", tls_key),
        "tls.client_ca": ("--tls-client-ca", tls_client_ca),
        "auth.tokens": ("--tokens", tokens),
        "engine.executors": ("--executors", executors),
        "engine.tree_kernel": ("--tree-kernel", tree_kernel),
        "batcher.queue_rows": ("--queue-rows", queue_rows),
        "batcher.max_batch_rows": ("--max-batch-rows", max_batch_rows),
        "bars.accept_unknown_symbols": ("--accept-unknown-symbols", accept_unknown_symbols),
        "journal.folder": ("--journal", journal),
        "journal.fsync": ("--journal-fsync", journal_fsync),
        "telemetry.log_level": ("--log-level", log_level),
        "telemetry.log_format": ("--log-format", log_format),
        "telemetry.otlp_endpoint": ("--otlp-endpoint", otlp_endpoint),
    }
    said = {key: flag for key, flag in flags.items() if flag[1] is not None}
    try:
        loaded = load(config=config, flags=_said_once(said, setting or []))
    except ServerError as error:
        for line in str(error).splitlines():
            typer.echo(f"candlewire serve: {line}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    if show_config:
        typer.echo(show(loaded))
        return
    run(loaded.settings)


def _said_once(flags: Mapping[str, tuple[str, object]], texts: Sequence[str]) -> dict[str, object]:
    """Values by key: those of `flags`, each with its flag's name, and those of the texts after ``--set``.

    Raises:
        SettingsError: A text assigns nothing, or a setting is said twice: neither value may win unseen.
    """
    values = {key: value for key, (_, value) in flags.items()}
    said_by = {key: name for key, (name, _) in flags.items()}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise SettingsError(
                f"--set {text}: write SECTION.NAME=VALUE, for example limits.max_connections=100"
            )
        if key in values:
            raise SettingsError(
                f"{key}: said twice, by {said_by[key]} and by --set {key}=...; leave one of them out"
            )
        values[key], said_by[key] = value, f"--set {key}=..."
    return values


def replay_decisions(
    store: Annotated[Path, typer.Option(help="Folder of model bundles.")],
    journal: Annotated[Path, typer.Option(help="Folder of the journal.")],
) -> None:
    """Compute every logged decision again and compare it bit for bit: exit code 0 when all are the same."""
    from candlewire_server.auditing import replay

    try:
        audit = replay(store, journal)
    except ServerError as error:
        typer.echo(f"candlewire replay-decisions: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    for difference in audit.differences:
        typer.echo(difference, err=True)
    typer.echo(
        f"{audit.identical} of {audit.decisions} decisions are the same bit for bit, "
        f"{audit.without_model} have no model in the store, {audit.torn_segments} segments are torn"
    )
    if audit.identical != audit.decisions:
        raise typer.Exit(EXIT_FAILED)


def score_file(
    store: Annotated[Path, typer.Option(help="Folder of model bundles.")],
    model: Annotated[str, typer.Option(help="Model.")],
    source: Annotated[
        Path, typer.Option("--in", help="Parquet file with a float column for each feature, by name.")
    ],
    target: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    version: Annotated[int | None, typer.Option(help="Version; the one in production without it.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Columns that pass through, with commas; without it all that are no features."),
    ] = None,
    members: Annotated[bool, typer.Option("--members", help="Write the members' probabilities.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it is there.")] = False,
    batch_rows: Annotated[int, typer.Option(min=1, max=1 << 20, help="Rows scored together.")] = 4_096,
    threads: Annotated[int, typer.Option(min=0, max=1_024, help="Workers; 0 is one a core.")] = 0,
    tree_kernel: Annotated[
        Literal["auto", "off", "portable", "avx2", "avx512"], typer.Option(help=_TREE_KERNEL)
    ] = "auto",
    compression: Annotated[
        Literal["none", "snappy", "zstd"], typer.Option(help="How --out is compressed.")
    ] = "snappy",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
) -> None:
    """Score every row of a Parquet file with a model of a store, bit for bit as the server would.

    Rows with a NaN or infinite feature get a status and no score. The output appears whole or not at all.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from candlewire_server.file_scoring import FileScoring

    console = Console(stderr=True)
    request = FileScoring(
        store=store,
        model=model,
        source=source,
        target=target,
        version=version,
        columns=None if columns is None else tuple(name for name in columns.split(",") if name),
        members=members,
        overwrite=overwrite,
        batch_rows=batch_rows,
        threads=threads,
        tree_kernel=tree_kernel,
        compression=compression,
    )
    bar = Progress(
        TextColumn("{task.fields[rate]}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )
    try:
        with bar:
            task = bar.add_task("rows", total=None, rate="loading the model")

            def progress(done: int, total: int) -> None:
                speed = bar.tasks[0].speed or 0.0
                bar.update(task, completed=done, total=total, rate=f"{speed / 1e6:.2f} M rows/s")

            scored = request.run(progress)
    except ServerError as error:
        typer.echo(f"candlewire score-file: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        typer.echo("candlewire score-file: interrupted; nothing was written", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if not quiet:
        typer.echo(
            f"{scored.rows} rows with {scored.model} {scored.version} in {scored.elapsed_s:.1f} s "
            f"({scored.rows_per_second / 1e6:.2f} M/s): {scored.rows_not_ready} not ready, "
            f"{scored.rows_not_finite} not finite; {scored.threads} threads spent {scored.read_s:.1f} s "
            f"reading, {scored.score_s:.1f} s scoring, {scored.write_s:.1f} s writing",
            err=True,
        )


def run(settings: "ServerSettings") -> None:
    """Serves; an error becomes one line and an exit code: 2 when a port is taken, else 1."""
    from candlewire_server.serving import serve as serve_until_stopped

    try:
        drained = serve_until_stopped(settings)
    except ServerError as error:
        typer.echo(f"candlewire serve: {error}", err=True)
        raise typer.Exit(EXIT_USAGE if isinstance(error, AddressInUseError) else EXIT_FAILED) from None
    if not drained:
        typer.echo(
            "candlewire serve: some requests were still running at the end of the drain timeout", err=True
        )
        raise typer.Exit(EXIT_FAILED)
