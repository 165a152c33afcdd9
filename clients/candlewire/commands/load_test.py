"""`candlewire load-test`: how a server answers under an open-loop load."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from candlewire.commands import connecting
from candlewire.connection import DEFAULT_TARGET
from candlewire.errors import InvalidInputError
from candlewire.load_test.plan import LoadPlan, Scenario
from candlewire.load_test.schedule import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable

    from candlewire.load_test.crew import LoadResult
    from candlewire.load_test.find_rate import FoundRate, Step
    from candlewire.load_test.tally import Moment

DEFAULT_LOAD_TIMEOUT_MS = 1_000.0
MOST_PROCESSES = 64
REPORTS = (".html", ".json")
BARS, SEARCH, OUTPUT = "Bar scenarios", "Search", "Output"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("load-test")(load_test)


def load_test(
    scenario: Annotated[
        Scenario, typer.Argument(help="What to load: scores, bars to their signal, signals to many.")
    ] = Scenario.SCORING,
    rate: Annotated[
        float, typer.Option("--rate", "-r", min=0.001, help="Requests, or bars, per second.")
    ] = 1_000.0,
    duration_s: Annotated[
        float, typer.Option("--duration-s", "-d", min=0.01, help="Length of the load.")
    ] = 10.0,
    arrivals: Annotated[
        Arrivals, typer.Option(help="Poisson: as independent callers arrive.")
    ] = Arrivals.POISSON,
    processes: Annotated[
        int, typer.Option(min=0, max=MOST_PROCESSES, help="Processes that send; 0 chooses.")
    ] = 0,
    connections: Annotated[int, typer.Option(min=1, max=1024, help="Connections to spread scores over.")] = 4,
    feature_count: Annotated[
        int, typer.Option("--feature-count", min=0, help="Values in a row; 0 asks the server.")
    ] = 0,
    model: Annotated[str, typer.Option(help="Model; by default the one that the deployment routes to.")] = "",
    seed: Annotated[int, typer.Option(help="Of rows, arrivals and prices.")] = 1,
    symbol: Annotated[
        list[str] | None,
        typer.Option(
            help="Symbols of the made-up bars; may be given again, or with commas.", rich_help_panel=BARS
        ),
    ] = None,
    timeframe: Annotated[str, typer.Option(help="Of the made-up bars.", rich_help_panel=BARS)] = "1d",
    subscribers: Annotated[
        int, typer.Option(min=1, help="Subscribers of the fan-out.", rich_help_panel=BARS)
    ] = 100,
    find_rate: Annotated[
        bool,
        typer.Option(
            "--find-rate", help="Search the highest rate that keeps --p99-ms.", rich_help_panel=SEARCH
        ),
    ] = False,
    p99_ms: Annotated[
        float, typer.Option(min=0.001, help="Latency to keep in the search.", rich_help_panel=SEARCH)
    ] = 10.0,
    report: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Write the report, as .html or .json; may be given again.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)] = False,
    target: connecting.Target = DEFAULT_TARGET,
    timeout_ms: connecting.TimeoutMs = DEFAULT_LOAD_TIMEOUT_MS,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Send at a rate, on time whatever the answers do, and report latency percentiles.

    Latency counts from the moment a request was due (no coordinated omission). Exits with 1 when any failed.
    The bar scenarios publish made-up bars: never point them at a server that trades.
    """
    from candlewire.load_test.crew import Crew
    from candlewire.load_test.feature_count import discover_feature_count

    for path in report or ():
        if path.suffix not in REPORTS:
            raise InvalidInputError(f"--report {path}: write {' or '.join(REPORTS)}")
    connection = connecting.connection(target, timeout_ms, token, tls_ca, tls_cert, tls_key)
    if scenario is Scenario.SCORING and feature_count == 0:
        feature_count = discover_feature_count(connection, model)
    plan = LoadPlan(
        scenario=scenario,
        rate=rate,
        duration_s=duration_s,
        arrivals=arrivals,
        processes=processes or max(min(os.cpu_count() or 1, 4) // 2, 1),
        connections=connections,
        feature_count=feature_count or 1,
        model=model,
        symbols=tuple(name for group in symbol or () for name in group.split(",") if name),
        timeframe=timeframe,
        subscribers=subscribers,
        timeout_ms=timeout_ms,
        seed=seed,
    )
    with Crew(connection, processes=plan.workers) as crew:
        found = search(crew.run, plan, p99_ms, told=not as_json) if find_rate else None
        result = best_of(found) if found is not None else run_with_progress(crew.run, plan, shown=not as_json)
    for path in report or ():
        write_report(path, result, found)
    if as_json:
        typer.echo(json.dumps(figures(result, found)))
    else:
        typer.echo(describe(result, found))
    if found is not None:
        raise typer.Exit(0 if found.rate else 1)
    if result.summary.failed:
        raise typer.Exit(1)


def run_with_progress(run: Callable[..., LoadResult], plan: LoadPlan, *, shown: bool) -> LoadResult:
    """Runs a load under a live line on standard error, when somebody looks."""
    if not shown or not sys.stderr.isatty():
        return run(plan)
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("load", total=plan.duration_s, now="starting")

        def show(moment: Moment) -> None:
            failed = f"  failed {moment.failed:,}" if moment.failed else ""
            late = "  generator late" if moment.late_p99_us > 0.5 * moment.p99_us else ""
            now = (
                f"{moment.at_s:5.1f} s {moment.answered_rate:9,.0f}/s  p50 {moment.p50_us:8,.0f} µs  "
                f"p99 {moment.p99_us:8,.0f} µs{failed}{late}"
            )
            progress.update(task, completed=min(moment.at_s, plan.duration_s), now=now)

        return run(plan, progress=show)


def search(run: Callable[..., LoadResult], plan: LoadPlan, p99_ms: float, *, told: bool) -> FoundRate:
    """Searches the highest rate, with a line on standard error for each step."""
    from candlewire.load_test.find_rate import find_rate

    def tell(step: Step) -> None:
        summary = step.result.summary
        verdict = "kept" if step.kept else f"missed: {step.reason}"
        typer.echo(
            f"{step.result.plan.rate:10,.0f}/s  p99 {summary.latency_us['p99'] / 1e3:9,.2f} ms  {verdict}",
            err=True,
        )

    return find_rate(
        lambda rate: run(plan.at_rate(rate)),
        first_rate=plan.rate,
        p99_ms=p99_ms,
        told=tell if told else None,
    )


def best_of(found: FoundRate) -> LoadResult:
    """The load at the rate found; the last one when none kept the target."""
    kept = [step.result for step in found.steps if step.kept and step.result.plan.rate == found.rate]
    return kept[-1] if kept else found.steps[-1].result


def figures(result: LoadResult, found: FoundRate | None) -> dict[str, Any]:
    """Everything found, as JSON knows it."""
    from candlewire.commands.presentation import plain

    report: dict[str, Any] = plain(result.summary)
    report |= {"plan": plain(result.plan), "moments": plain(result.moments)}
    if found is not None:
        steps = [
            {"rate": step.result.plan.rate, "kept": step.kept, "reason": step.reason}
            | {"p99_us": plain(step.result.summary.latency_us["p99"])}
            for step in found.steps
        ]
        report["found"] = {
            "rate": plain(found.rate),
            "p99_ms": found.p99_ms,
            "limited_by_generator": found.limited_by_generator,
            "steps": steps,
        }
    return report


def write_report(path: Path, result: LoadResult, found: FoundRate | None) -> None:
    """Writes one report in the format that its name asks for.

    Raises:
        InvalidInputError: The file cannot be written.
    """
    from candlewire.load_test.html_report import html_report

    html = path.suffix == ".html"
    text = html_report(result, found=found) if html else json.dumps(figures(result, found), indent=1) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"--report {path}: cannot be written: {error.strerror}") from None


def describe(result: LoadResult, found: FoundRate | None) -> str:
    """The result for people."""
    from candlewire.load_test.html_report import LATE, describe_found

    summary = result.summary
    failed = ", ".join(f"{count:,} {code}" for code, count in summary.failed.items())
    percentiles = ", ".join(f"{name} {value:,.0f}" for name, value in summary.latency_us.items())
    lines = [] if found is None else [describe_found(found)]
    answered = f"{summary.answered:,} in {summary.answering_s:,.1f} s ({summary.answered_rate:,.0f}/s)"
    asked = f"{summary.asked_rate:,.0f}/s for {summary.duration_s:g} s"
    lines += [
        f"asked {asked}: sent {summary.sent:,}, answered {answered}",
        f"failed {failed or 'none'}",
        f"latency from the due time: mean {summary.mean_us:,.0f} µs, {percentiles}",
    ]
    if summary.generator_late:
        lines.append(f"warning: late by {summary.late_p99_us:,.0f} µs at p99. {LATE}")
    return "\n".join(lines)
