"""Trains on real daily bars, serves, replays the unseen last part as a live stream, and reports.

It uses the product as a user would: the `candlewire` command and the `candlewire` client.
"""

import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from candlewire import Bar, CandlewireError, Client, ScoreQuery, Signal, SignalEvent
from rich.console import Console

from examples.demo import charts
from examples.demo.evaluation import Evaluation, evaluate, training_facts
from examples.demo.replay import Recording, provoke, replay
from examples.demo.report import Run, page, verdict
from examples.demo.steps import Addresses, DemoError, run, serving

MODEL = "daily"
LIVE_FROM = "2011-01-03"
REPORT = Path("demo_report")
REPLAY_SECONDS = 10.0
WARM_UP_BARS = 300
SCORE_CALLS = 1_000
STREAMED_SCORES = 3_000
# More than any feature of the model needs to warm up.
SCORE_WINDOW_BARS = 80


def read_bars(folder: Path) -> pl.DataFrame:
    """All bars of a folder of Parquet files, in the order in which they closed."""
    return pl.read_parquet(folder / "*.parquet").with_columns(
        open_time_ns=pl.col("ts").dt.epoch("ns")
    ).sort("open_time_ns", "symbol")  # fmt: skip


def as_bars(frame: pl.DataFrame) -> list[Bar]:
    """Rows as the client's bars."""
    columns = ("symbol", "timeframe", "open_time_ns", "open", "high", "low", "close", "volume")
    return [Bar(**row) for row in frame.select(columns).iter_rows(named=True)]


def score_frame(events: Sequence[SignalEvent]) -> pl.DataFrame:
    """The signals that carry a score, one row each."""
    return pl.DataFrame(
        [
            {
                "symbol": event.bar.symbol,
                "open_time_ns": event.bar.open_time_ns,
                "probability_up": event.score.probability_up,
                "probability_low": event.score.probability_low,
                "probability_high": event.score.probability_high,
                "band_low": event.score.return_band.low,
                "band_high": event.score.return_band.high,
                "signal": event.score.signal.name,
                "trusted": event.score.trusted,
            }
            for event in events
            if event.score.signal is not Signal.NOT_READY and event.score.return_band is not None
        ]
    )


def time_score_calls(target: str, window: Sequence[Bar]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Milliseconds of each of `SCORE_CALLS` unary calls, one after the other, each with a window of bars."""
    elapsed = np.empty(SCORE_CALLS)
    with Client(target) as client:
        for _ in range(50):
            client.score(bars=window, model=MODEL)
        for index in range(SCORE_CALLS):
            started = time.perf_counter_ns()
            client.score(bars=window, model=MODEL)
            elapsed[index] = (time.perf_counter_ns() - started) / 1e6
    return elapsed


def stream_scores_per_second(target: str, window: Sequence[Bar]) -> float:
    """Scores per second of one client that streams windows of bars as fast as it can."""
    with Client(target) as client:
        query = ScoreQuery(bars=tuple(window), model=MODEL)
        started = time.perf_counter()
        for answer in client.score_stream(itertools.repeat(query, STREAMED_SCORES)):
            answer.result()
        return STREAMED_SCORES / (time.perf_counter() - started)


def draw(scores: pl.DataFrame, bars: pl.DataFrame, evaluation: Evaluation, recording: Recording,
         call_ms: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, str]:  # fmt: skip
    """All charts of the report."""
    horizon = evaluation.horizon_bars
    symbol = max(evaluation.coverage_by_symbol, key=lambda name: evaluation.coverage_by_symbol[name][1])
    shown = (
        bars.filter(pl.col("symbol") == symbol)
        .sort("open_time_ns")
        .join(scores.filter(pl.col("symbol") == symbol), on=["symbol", "open_time_ns"], how="left")
        .with_columns(
            low=(pl.col("close") * pl.col("band_low").exp()).shift(horizon),
            high=(pl.col("close") * pl.col("band_high").exp()).shift(horizon),
        )
        .drop_nulls(["low", "high"])
        .tail(260)
    )
    realised = scores.join(
        bars.sort("symbol", "open_time_ns").with_columns(
            outcome=(pl.col("close").log().shift(-horizon) - pl.col("close").log()).over("symbol")
        ),
        on=["symbol", "open_time_ns"],
    ).drop_nulls("outcome")
    covered = realised["outcome"].is_between(realised["band_low"], realised["band_high"])
    return {
        "price": charts.price_with_band(
            symbol,
            shown["ts"].to_numpy(),
            shown["close"].to_numpy(),
            shown["low"].to_numpy(),
            shown["high"].to_numpy(),
        ),
        "reliability": charts.reliability(evaluation.reliability, evaluation.base_rate),
        "coverage": charts.rolling_coverage(
            realised["ts"].to_numpy(), covered.cast(pl.Float64).to_numpy(), evaluation.target_coverage, 60
        ),
        "latency": charts.latency(
            {
                f"score call with a window of {SCORE_WINDOW_BARS} bars": call_ms,
                "bar published to signal received": np.array(recording.publish_to_signal_ms),
                "the same inside the server": np.array(recording.inside_server_ms()),
            }
        ),
    }


def percentiles(
    values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[float, float, int]:
    """p50, p99 and the number of calls."""
    p50, p99 = np.percentile(values, [50, 99])
    return float(p50), float(p99), len(values)


def main() -> int:
    """Runs the demo; returns its exit status."""
    console = Console()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="candlewire-demo-") as name:
        folder = Path(name)
        seen, unseen, store = folder / "seen", folder / "unseen", folder / "store"
        run(console, "data", "sample", "--until", LIVE_FROM, "--out", str(seen))
        run(console, "data", "sample", "--from", LIVE_FROM, "--out", str(unseen))
        run(console, "train", "--bars", str(seen), "--out", str(store), "--model", MODEL)
        with serving(console, store, folder) as addresses:
            show(console, addresses, read_bars(seen), read_bars(unseen))
    console.print(f"Took {time.perf_counter() - started:.0f} s. Open [bold]{REPORT / 'index.html'}[/bold]")
    return 0


def show(console: Console, addresses: Addresses, seen: pl.DataFrame, unseen: pl.DataFrame) -> None:
    """The live part and the report."""
    trained = seen["symbol"].unique()
    warm_up = seen.group_by("symbol").tail(WARM_UP_BARS).sort("open_time_ns", "symbol")
    live = unseen.filter(pl.col("symbol").is_in(trained.implode()))
    live_bars = as_bars(live)
    recording = replay(console, addresses.data, as_bars(warm_up), live_bars, seconds=REPLAY_SECONDS)
    refused = provoke(addresses.data, live_bars[-1])
    symbol = live_bars[-1].symbol
    window = as_bars(live.filter(pl.col("symbol") == symbol).tail(SCORE_WINDOW_BARS))
    call_ms = time_score_calls(addresses.data, window)
    streamed_per_second = stream_scores_per_second(addresses.data, window)

    scores = score_frame(recording.events)
    newest = recording.events[-1].score
    band = newest.return_band
    if band is None:
        raise DemoError("the last bar was not scored: the warm-up was too short")
    horizon = newest.horizon_bars
    base_rate, volatility_quantile = training_facts(seen, horizon)
    history = pl.concat([warm_up.select(live.columns), live])
    evaluation = evaluate(
        scores,
        history,
        horizon_bars=horizon,
        base_rate=base_rate,
        volatility_quantile=volatility_quantile,
        target_coverage=band.target_coverage,
    )
    report = Run(
        model=newest.model,
        version=newest.model_version,
        feature_spec_hash=newest.feature_spec_hash,
        trained_until=str(seen["ts"].max())[:10],
        replayed_from=str(live["ts"].min())[:10],
        replayed_to=str(live["ts"].max())[:10],
        bars_published=live.height,
        scores_received=scores.height,
        refused=refused,
        replay_seconds=recording.seconds,
        streamed_scores_per_second=streamed_per_second,
        latency_ms={
            f"score call with a window of {SCORE_WINDOW_BARS} bars": percentiles(call_ms),
            "bar published to signal received": percentiles(recording.publish_to_signal_ms),
            "the same inside the server": percentiles(recording.inside_server_ms()),
        },
    )
    REPORT.mkdir(exist_ok=True)
    (REPORT / "index.html").write_text(
        page(report, evaluation, draw(scores, history, evaluation, recording, call_ms)), encoding="utf-8"
    )
    summary(console, report, evaluation)


def summary(console: Console, report: Run, evaluation: Evaluation) -> None:
    """The report's gist, on the terminal."""
    console.print()
    console.print(f"{report.scores_received:,} scores of {report.bars_published:,} unseen bars")
    console.print(
        f"Band: {evaluation.coverage.text()} of {evaluation.rows:,} outcomes inside, "
        f"long-run target {evaluation.target_coverage:.2f}",
        highlight=False,
    )
    console.print(
        f"Brier: model {evaluation.brier.text(4)}, training base rate {evaluation.brier_base_rate.text(4)}",
        highlight=False,
    )
    console.print(verdict(evaluation))
    for name, (p50, p99, count) in report.latency_ms.items():
        console.print(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms over {count:,}", highlight=False)
    console.print(
        f"{report.streamed_scores_per_second:,.0f} scores per second through one stream", highlight=False
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DemoError, CandlewireError) as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(1)
