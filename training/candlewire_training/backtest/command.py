"""`candlewire backtest`: a bundle's own signals on bars, after costs, beside strategies that know nothing."""

import json
from pathlib import Path
from typing import Annotated

import typer

from candlewire_training.one_line_errors import one_line_errors


def backtest(
    store: Annotated[Path, typer.Option(help="Model store.")],
    model: Annotated[str, typer.Option(help="Name of the model.")],
    bars: Annotated[Path, typer.Option(help="Parquet file of bars, or a folder of them.")],
    out: Annotated[Path, typer.Option(help="Folder for backtest.json and backtest.html.")],
    version: Annotated[
        int | None, typer.Option(help="Version of the model; the one in production when absent.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DATE",
            help="Decide from this date on; where the model's own data ends when absent.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="Use only bars before this date.")
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="Timeframe of the bars; detected when absent.")
    ] = None,
    bad_bars: Annotated[str, typer.Option(help="What to do with bad bars: fail or drop.")] = "fail",
    cost_bps: Annotated[
        float,
        typer.Option(help="What each fill loses, in basis points of its amount; also tried twice over."),
    ] = 5.0,
    long_only: Annotated[bool, typer.Option("--long-only", help="Let SELL close, but open nothing.")] = False,
    trials: Annotated[int, typer.Option(help="Strategies and settings tried so far, this one included.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 7,
) -> None:
    """Trade a bundle's signals on bars: filled at the next open, at 1x and 2x costs.

    Begins where the model's own train and calibration data ends, so that nothing is judged on what it was
    fitted on; an earlier --from is obeyed and marked.

    Example:
    candlewire backtest --store store --model direction-1d --bars bars.parquet --out report
    """
    with one_line_errors():
        from candlewire_training.backtest.bundle_signals import load_model
        from candlewire_training.backtest.report import report_html, report_json
        from candlewire_training.backtest.run import BacktestSettings, run_backtest
        from candlewire_training.data.bars import parse_date
        from candlewire_training.data.parquet import read_bars
        from candlewire_training.errors import StoreError

        first = parse_date(start, option="--from") if start else None
        end = parse_date(until, option="--until") if until else None
        settings = BacktestSettings(
            cost_bps=cost_bps, long_only=long_only, trials=trials, start=first, seed=seed
        )
        loaded = load_model(store, model, version)
        table = read_bars(bars, timeframe=timeframe, bad_bars=bad_bars).until(end)
        report = run_backtest(loaded, table, settings)
        try:
            out.mkdir(parents=True, exist_ok=True)
            written = json.dumps(report_json(report), indent=2, allow_nan=False) + "\n"
            (out / "backtest.json").write_text(written, encoding="utf-8")
            (out / "backtest.html").write_text(report_html(report), encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"out {out} cannot be written ({error.strerror}); choose another folder"
            ) from error
        for warning in report.warnings:
            typer.echo(warning)
        for (name, multiple), one in report.strategies.items():
            sharpe = "none" if one.sharpe is None else f"{one.sharpe:.2f}"
            typer.echo(f"{name} at {multiple}x costs: {one.total_return:+.1%}, Sharpe {sharpe}")
        typer.echo(f"report: {out / 'backtest.html'}")


__all__ = ["backtest"]
