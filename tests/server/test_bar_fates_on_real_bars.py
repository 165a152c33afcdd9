"""Real bars that come twice, corrected, late and too late end in the scores of the same bars in order."""

from __future__ import annotations

import bisect
import dataclasses
import json
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import bundles
import candlewire_features as cf
import numpy as np
import polars as pl
import pytest
from candlewire_proto.v1 import bars_pb2, signals_pb2
from conftest import RunningServer, running_server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PRICES = ("open", "high", "low", "close", "volume")
LATE_WINDOW = 8
SPEC = cf.FeatureSpec.preset("full")
# The same, and features of four-hour bars that late hours change after they have closed.
LONGER = cf.FeatureSpec.from_json(
    json.dumps(
        {
            "timeframe": "1h",
            "features": [
                *json.loads(SPEC.canonical_json)["features"],
                {"name": "4h:rsi", "kernel": "4h:rsi", "parameters": {"timeperiod": 5}},
                {"name": "4h:macd", "kernel": "4h:macd", "output": "histogram_ratio"},
                {"name": "4h:rank", "kernel": "4h:rank", "parameters": {"timeperiod": 6}},
            ],
        }
    )
)
Row = tuple[int, float, float, float, float, float]


@dataclasses.dataclass
class Expected:
    """What the documents say becomes of bars, in the plainest way: no rolling back, no snapshots."""

    spec: cf.FeatureSpec = SPEC
    times: list[int] = dataclasses.field(default_factory=list)
    bars: dict[int, Row] = dataclasses.field(default_factory=dict)

    def fate(self, bar: Row) -> str:
        """The fate of a bar, and the series after it."""
        newer = len(self.times) - bisect.bisect_right(self.times, bar[0])
        known = self.bars.get(bar[0])
        if known == bar and newer <= LATE_WINDOW:
            return "DUPLICATE"
        if newer > LATE_WINDOW:
            return "REJECTED"
        self.bars[bar[0]] = bar
        if known is not None:
            return "REPLACED"
        bisect.insort(self.times, bar[0])
        return "LATE_APPLIED" if newer else "ACCEPTED"

    def features(self) -> Any:
        """Of the newest bar, from the whole history in order; shape (features,)."""
        rows = np.array([self.bars[time][1:] for time in self.times])
        columns = {name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(PRICES)}
        return cf.compute({"open_time_ns": np.array(self.times)} | columns, self.spec)[-1]


def real_rows(folder: Path, file: str, symbol: str) -> list[Row]:
    """Bars in the order of the vendor's file."""
    frame = pl.read_parquet(folder / file).filter(pl.col("symbol") == symbol)
    return list(frame.select(pl.col("ts").dt.epoch("ns"), *PRICES).iter_rows())


def publish(server: RunningServer, symbol: str, timeframe: str, rows: Sequence[Row]) -> list[str]:
    """Sends bars on one stream; their fates."""
    requests = (
        bars_pb2.PublishRequest(
            bar=bars_pb2.Bar(
                symbol=symbol,
                timeframe=timeframe,
                open_time_ns=row[0],
                **dict(zip(PRICES, row[1:], strict=True)),
                is_final=True,
            ),
            client_sequence=number,
        )
        for number, row in enumerate(rows)
    )
    answers = list(server.bars.Publish(requests, timeout=60))
    late = bars_pb2.BAR_REJECTION_TOO_LATE
    for answer in answers:
        assert (answer.fate == bars_pb2.BAR_FATE_REJECTED) == (answer.rejection == late), answer.message
        assert answer.rejection != late or f"more than {LATE_WINDOW} bars back: send" in answer.message
    return [bars_pb2.BarFate.Name(answer.fate).removeprefix("BAR_FATE_") for answer in answers]


def assert_newest_score_is_that_of_bars_in_order(server: RunningServer, expected: Expected) -> None:
    (newest,) = server.signals.GetLatest(signals_pb2.GetLatestRequest()).signals
    assert newest.bar.open_time_ns == expected.times[-1]
    model = bundles.graph(len(expected.spec)).SerializeToString()
    row = expected.features().astype(np.float32)[None]
    assert np.isfinite(row).all()
    truth = bundles.run_graph(model, row)
    assert list(newest.score.probabilities) == list(truth["probabilities"][0].astype(float))
    # The greatest feature of the row by its size: no tree rounds it away.
    assert newest.score.dissimilarity == truth["dissimilarity"][0]


def counted(server: RunningServer) -> dict[str, int]:
    """Bars by fate, as the metrics tell."""
    with urlopen(f"http://{server.addresses['metrics']}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    fates = {}
    for line in lines:
        if line.startswith("candlewire_bars_total{"):
            name, value = line.rsplit(" ", 1)
            fates[name.split('fate="')[1].split('"')[0].upper()] = int(float(value))
    return fates


def assert_counted(server: RunningServer, fates: Sequence[str]) -> None:
    wanted = {fate: fates.count(fate) for fate in set(fates)}
    assert {fate: count for fate, count in counted(server).items() if count} == wanted


@pytest.mark.real_data
@pytest.mark.parametrize(("order", "fate"), [("of the file", "REJECTED"), ("of time", "REPLACED")])
def test_a_vendors_corrected_and_unsorted_minutes(
    real_data: Path, tmp_path: Path, order: str, fate: str
) -> None:
    """Each minute of the index comes twice, the second time with other prices: a day later, or at once."""
    rows = real_rows(real_data, "india_1m.parquet", "NIFTY50")
    if order == "of time":
        rows.sort(key=lambda row: row[0])
    store = tmp_path / "store"
    bundles.write_bundle(store, timeframe="1m", symbols=("NIFTY50",), spec=SPEC)
    expected = Expected()
    fates: list[str] = []
    with running_server(store, tmp_path) as server:
        # A day, the day again, and on: looked at in the middle too.
        for part in (rows[:370], rows[370:760], rows[760:]):
            given = publish(server, "NIFTY50", "1m", part)
            assert given == [expected.fate(row) for row in part]
            assert_newest_score_is_that_of_bars_in_order(server, expected)
            fates += given
        assert_counted(server, fates)
    assert fates.count(fate) > 1000


@pytest.mark.real_data
@pytest.mark.parametrize(("seed", "spec"), [(1, SPEC), (2, LONGER)], ids=["hours", "four hours too"])
def test_real_hours_held_back_repeated_and_corrected(
    real_data: Path, tmp_path: Path, seed: int, spec: cf.FeatureSpec
) -> None:
    rows = real_rows(real_data, "crypto_1h.parquet", "BTCUSD-COINBASE")[:700]
    random = np.random.default_rng(seed)
    late_by = np.where(random.uniform(size=len(rows)) < 0.3, random.integers(0, 12, len(rows)), 0)
    arrival = sorted(range(len(rows)), key=lambda place: (place + int(late_by[place]), place))
    sent: list[Row] = []
    for place in arrival:
        row = rows[place]
        draw = random.uniform()
        if draw < 0.1:
            # First with a wrong close, as vendors correct their last bar.
            sent.append((*row[:4], row[2], row[5]))
        sent.append(row)
        if draw > 0.9:
            sent.append(row)
    store = tmp_path / "store"
    bundles.write_bundle(store, timeframe="1h", symbols=("BTCUSD-COINBASE",), spec=spec)
    expected = Expected(spec=spec)
    with running_server(store, tmp_path) as server:
        fates = []
        for start in range(0, len(sent), 97):
            part = sent[start : start + 97]
            given = publish(server, "BTCUSD-COINBASE", "1h", part)
            assert given == [expected.fate(row) for row in part]
            fates += given
            if len(expected.times) > spec.warmup_bars:
                assert_newest_score_is_that_of_bars_in_order(server, expected)
        assert_counted(server, fates)
    for fate in ("ACCEPTED", "DUPLICATE", "REPLACED", "LATE_APPLIED", "REJECTED"):
        assert fates.count(fate) >= 10, f"{fate} is too rare to tell"
