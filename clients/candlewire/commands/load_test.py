"""`candlewire load-test`: how a server answers under an open-loop load."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from candlewire.commands import connecting  # noqa: TC001 - typer reads the annotations when it runs
from candlewire.connection import DEFAULT_TARGET, DEFAULT_TIMEOUT_MS, Connection
from candlewire.load_test.feature_count import discover_feature_count
from candlewire.load_test.schedule import Arrivals
from candlewire.load_test.scoring import ScoreLoad, run_score_load

if TYPE_CHECKING:
    from candlewire.load_test.recorder import Recorder, Summary


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("load-test")(load_test)


def load_test(
    rate: Annotated[float, typer.Option("--rate", "-r", min=0.001, help="Requests per second.")] = 1_000.0,
    duration_s: Annotated[
        float, typer.Option("--duration-s", "-d", min=0.01, help="Length of the load.")
    ] = 10.0,
    feature_count: Annotated[
        int, typer.Option("--feature-count", min=0, help="Values in a row; 0 asks the server.")
    ] = 0,
    model: Annotated[str, typer.Option(help="Model; by default the one that the deployment routes to.")] = "",
    arrivals: Annotated[
        Arrivals, typer.Option(help="Poisson: as independent callers arrive.")
    ] = Arrivals.POISSON,
    connections: Annotated[
        int, typer.Option(min=1, max=1024, help="Connections to spread the calls over.")
    ] = 4,
    seed: Annotated[int, typer.Option(help="Of rows and arrivals.")] = 1,
    as_json: connecting.AsJson = False,
    target: connecting.Target = DEFAULT_TARGET,
    timeout_ms: connecting.TimeoutMs = DEFAULT_TIMEOUT_MS,
    token: connecting.Token = None,
) -> None:
    """Send scores at a rate, on time whatever the answers do, and report latency percentiles.

    Latency counts from the moment a request was due (no coordinated omission). Exits with 1 when any failed.
    """
    from candlewire.commands.presentation import to_json

    connection = Connection(target=target, timeout_ms=timeout_ms, token=token)
    load = ScoreLoad(
        rate=rate,
        duration_s=duration_s,
        arrivals=arrivals,
        connections=connections,
        feature_count=feature_count or discover_feature_count(connection, model),
        model=model,
        timeout_ms=timeout_ms,
        seed=seed,
    )
    live = not as_json and sys.stderr.isatty()
    summary = run_score_load(connection, load, progress=show_progress if live else None)
    if live:
        sys.stderr.write("\r\x1b[2K")
    typer.echo(to_json(summary) if as_json else describe(summary))
    if summary.failed:
        raise typer.Exit(1)


def show_progress(seconds: float, recorder: Recorder) -> None:
    """One live line on standard error."""
    answers, p99_us, failures = recorder.recent()
    sys.stderr.write(
        f"\r\x1b[2K{seconds:5.1f} s  {2 * answers:8,}/s  p99 {p99_us:9,.0f} µs  failed {failures:,}"
    )
    sys.stderr.flush()


def describe(summary: Summary) -> str:
    """The summary for people."""
    failed = ", ".join(f"{count:,} {code}" for code, count in summary.failed.items())
    percentiles = ", ".join(f"{name} {value:,.0f}" for name, value in summary.latency_us.items())
    answered = (
        f"answered {summary.answered:,} in {summary.answering_s:,.1f} s ({summary.answered_rate:,.0f}/s)"
    )
    lines = [
        f"asked {summary.asked_rate:,.0f}/s for {summary.duration_s:g} s: sent {summary.sent:,}, {answered}",
        f"failed {failed or 'none'}",
        f"latency from the due time: mean {summary.mean_us:,.0f} µs, {percentiles}",
    ]
    if summary.late_p99_us > 0.5 * summary.latency_us["p99"]:
        lines.append(
            f"this generator was late itself (p99 {summary.late_p99_us:,.0f} µs): the latencies say "
            "little of the server; lower the rate, or run it on another machine"
        )
    return "\n".join(lines)
