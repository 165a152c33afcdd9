"""`candlewire data resample`."""

from pathlib import Path
from typing import Annotated

import typer

from candlewire_training.data.commands.markets import CALENDAR_HELP, UNIVERSE_HELP
from candlewire_training.one_line_errors import one_line_errors


def resample_bars(
    bars: Annotated[Path, typer.Argument(help="Parquet file of bars, or a folder of them.")],
    to: Annotated[list[str], typer.Option(help="Longer timeframe, for example 5m, 1h, 1d. Repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder for the Parquet files, one a symbol and timeframe.")],
    timeframe: Annotated[str | None, typer.Option(help="Which of several timeframes to start from.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only this symbol. Repeatable.")] = None,
    universe: Annotated[str | None, typer.Option(help=UNIVERSE_HELP)] = None,
    calendar: Annotated[str | None, typer.Option(help=CALENDAR_HELP)] = None,
    holes: Annotated[
        str,
        typer.Option(
            help="A longer bar that lacks a shorter one: drop it, keep it made from those there are, or fail."
        ),
    ] = "drop",
    bad_bars: Annotated[str, typer.Option(help="What to do with bad bars: fail or drop.")] = "fail",
    replace: Annotated[bool, typer.Option("--replace", help="Replace files that are there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the folder.")] = False,
) -> None:
    """Make longer bars of shorter ones: exact, by session, complete ones only.

    Sessions count: an exchange's bars begin at its open and its daily bar holds one session; currencies' days
    end at 17:00 New York. Only complete bars are written: those at the ends of the data that are cut are left
    out, and those with a hole too, unless --holes keep.

    Examples:
    candlewire data resample bars --to 5m --to 1h --to 1d --calendar 24/7 --out bars

    candlewire data resample minutes --to 1d --universe us-stocks --holes keep --out days
    """
    with one_line_errors():
        import time

        from candlewire_training.data.bar_files import whole_folder, write_symbol
        from candlewire_training.data.checks.policies import usable_bars
        from candlewire_training.data.checks.report import symbol_bars
        from candlewire_training.data.commands.markets import market
        from candlewire_training.data.resample import resample
        from candlewire_training.data.symbol_stream import open_stream
        from candlewire_training.errors import SettingsError
        from candlewire_training.progress import StepProgress

        chosen, hours = market(universe, calendar)
        if hours is None:
            raise SettingsError("when the market trades is not known: give --calendar or --universe")
        stream = open_stream(bars, timeframe=timeframe, symbols=tuple(symbol or ()))
        stream = stream.within(chosen) if chosen else stream
        clock = time.time_ns()
        totals = {target: [0, 0, 0, 0] for target in to}
        with (
            whole_folder(out, replace=replace) as folder,
            StepProgress(quiet=quiet) as progress,
            progress.step("symbols", len(stream.symbols)) as advance,
        ):
            for name, frame in stream:
                every = symbol_bars(
                    symbol=name,
                    frame=frame,
                    timeframe=stream.timeframe,
                    calendar=hours,
                    sessions=None,
                    now_ns=clock,
                )
                sound = usable_bars(every, bad_bars=bad_bars, source=stream.source)
                for target, total in totals.items():
                    made = resample(
                        sound, timeframe=stream.timeframe, target=target, calendar=hours, holes=holes
                    )
                    if not made.frame.is_empty():
                        write_symbol(made.frame, folder, timeframe=target, symbol=name)
                    for index, count in enumerate(
                        (made.frame.height, made.unfinished, made.holed, made.outside)
                    ):
                        total[index] += count
                advance()
        for target, (written, unfinished, holed, outside) in totals.items():
            kept = "kept" if holes == "keep" else "left out"
            text = (
                f"{target}: {written:,} bars; {unfinished:,} cut by the ends of the data left out, {holed:,}"
                f" with holes {kept}; {outside:,} bars of {stream.timeframe} outside the sessions of"
                f" {hours.name} not used"
            )
            if not quiet:
                typer.echo(text, err=True)
        typer.echo(str(out))


__all__ = ["resample_bars"]
