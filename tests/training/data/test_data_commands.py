"""`candlewire data import`, `check`, `resample` and `list`, as a user runs them."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
import typer
from candlewire_training.command import register
from candlewire_training.data.bar_files import stream_fingerprint, whole_folder
from candlewire_training.data.bars import to_ns
from candlewire_training.data.parquet import read_bars
from candlewire_training.data.symbol_stream import open_stream
from typer.testing import CliRunner, Result


@pytest.fixture
def run() -> "Run":
    return Run()


class Run:
    """The `candlewire` command with this room's commands only."""

    def __init__(self) -> None:
        self.app = typer.Typer()
        register(self.app)

    def __call__(self, *arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(self.app, ["data", *map(str, arguments)], env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output
        return result


def daily(folder: Path, symbol: str, rows: list[str]) -> Path:
    path = folder / f"{symbol}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("Date,Open,High,Low,Close,Volume\n" + "\n".join(rows) + "\n")
    return path


def quiet_rows(count: int = 40, first: date = date(2021, 1, 4)) -> list[str]:
    days = [date.fromordinal(first.toordinal() + day) for day in range(count)]
    return [f"{day},100,102,99,{101 - day.toordinal() % 2},{1000 + day.day}" for day in days]


def test_import_check_list_and_train_reader_agree(run: Run, tmp_path: Path) -> None:
    daily(tmp_path / "in", "BBB", quiet_rows())
    daily(tmp_path / "in", "AAA", quiet_rows(30))
    out = tmp_path / "bars"
    result = run("import", tmp_path / "in", "--out", out)
    assert sorted(path.name for path in out.rglob("*.parquet")) == ["AAA.parquet", "BBB.parquet"]
    assert "70 bars of 2 symbols" in result.output
    listed = run("list", out).output
    table = read_bars(out)
    assert table.symbols == ("AAA", "BBB")
    assert table.fingerprint in listed
    assert stream_fingerprint(open_stream(out)) == table.fingerprint
    assert "no defect found" in run("check", out, "--calendar", "24/7").output


def test_import_shows_what_it_understood_and_writes_nothing_on_a_dry_run(run: Run, tmp_path: Path) -> None:
    path = daily(tmp_path, "AAA", quiet_rows())
    output = run("import", path, "--dry-run").output
    for text in ("csv", "AAA", "file name", "session dates", "the commonest step between bars"):
        assert text in output
    assert list(tmp_path.iterdir()) == [path]


def test_import_asks_in_one_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "minutes.csv"
    path.write_text("time,open,high,low,close\n2021-01-04 10:00,1,1,1,1\n2021-01-04 10:01,1,1,1,1\n")
    result = run("import", path, "--out", tmp_path / "bars", code=2)
    assert "--time-zone" in result.output
    assert "--symbol" in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "bars").exists()


def test_import_refuses_bad_bars_until_told_what_to_do(run: Run, tmp_path: Path) -> None:
    rows = quiet_rows()
    rows[20] = rows[20].replace("102", "98")
    path = daily(tmp_path, "AAA", rows)
    out = tmp_path / "bars"
    assert "--on ohlc-violation=drop" in run("import", path, "--out", out, code=2).output
    assert not out.exists()
    run("import", path, "--out", out, "--on", "ohlc-violation=drop")
    assert read_bars(out).frame.height == 39


def test_import_flags_what_is_suspect(run: Run, tmp_path: Path) -> None:
    rows = quiet_rows()
    rows[20] = rows[20].replace(",99,", ",9.9,")
    run("import", daily(tmp_path, "AAA", rows), "--out", tmp_path / "bars")
    frame = pl.read_parquet(tmp_path / "bars" / "1d" / "AAA.parquet")
    assert frame.filter(pl.col("defects").str.contains("misquote"))["low"].to_list() == [9.9]
    assert frame.height == 40


def test_import_goes_on_without_refused_files_when_asked(run: Run, tmp_path: Path) -> None:
    daily(tmp_path / "in", "AAA", quiet_rows())
    (tmp_path / "in" / "broken.csv").write_text("no bars here\n")
    run("import", tmp_path / "in", "--out", tmp_path / "bars", code=2)
    output = run("import", tmp_path / "in", "--out", tmp_path / "bars", "--skip-refused").output
    assert "refused: broken.csv" in output
    assert (tmp_path / "bars" / "1d" / "AAA.parquet").exists()


def test_import_to_a_file_is_refused(run: Run, tmp_path: Path) -> None:
    path = daily(tmp_path, "AAA", quiet_rows())
    assert "is a file; give a folder" in run("import", path, "--out", path, code=2).output


def test_a_block_that_breaks_leaves_nothing_that_a_reader_finds(tmp_path: Path) -> None:
    out = tmp_path / "bars"
    seen: list[Path] = []

    def broken() -> None:
        with whole_folder(out, replace=False) as staging:
            stored(staging / "1m", minutes=10)
            seen.extend(tmp_path.rglob("*.parquet"))
            assert not out.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert len(seen) == 1
    assert list(tmp_path.iterdir()) == []


def test_import_joins_files_of_one_symbol_and_replaces_only_when_told(run: Run, tmp_path: Path) -> None:
    daily(tmp_path / "in" / "old", "AAA", quiet_rows(20))
    daily(tmp_path / "in" / "new", "AAA", quiet_rows(20, date(2021, 1, 24)))
    out = tmp_path / "bars"
    run("import", tmp_path / "in", "--out", out)
    assert read_bars(out).frame.height == 40
    assert "--replace" in run("import", tmp_path / "in", "--out", out, code=2).output
    run("import", tmp_path / "in", "--out", out, "--replace")


def test_import_keeps_to_a_universe(run: Run, tmp_path: Path) -> None:
    daily(tmp_path / "in", "AAA", quiet_rows())
    daily(tmp_path / "in", "BBB", quiet_rows())
    (tmp_path / "u.toml").write_text('name="u"\nasset_class="crypto"\ncalendar="24/7"\nsymbols=["AAA"]\n')
    output = run(
        "import", tmp_path / "in", "--out", tmp_path / "bars", "--universe", tmp_path / "u.toml"
    ).output
    assert "left out: BBB" in output
    assert read_bars(tmp_path / "bars").symbols == ("AAA",)


def test_a_universes_clock_serves_naive_times_but_not_a_brokers(run: Run, tmp_path: Path) -> None:
    text = "time,open,high,low,close,volume\n2021-01-04 10:00,1,1,1,1,1\n2021-01-04 10:01,1,1,1,1,1\n"
    for symbol, universe, code in (("BTCUSDT", "crypto", 0), ("EURUSD", "currencies", 2)):
        path = tmp_path / f"{symbol}_1m.csv"
        path.write_text(text)
        result = run("import", path, "--universe", universe, "--stamp", "open", "--dry-run", code=0)
        assert ("give --time-zone" in result.output) == (code == 2)
        assert ("universe crypto" in result.output) == (code == 0)


def stored(folder: Path, *, minutes: int, symbol: str = "AAA") -> Path:
    """Minutes of a market that never closes, from midnight on."""
    path = folder / f"{symbol}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    time = to_ns(date(2021, 1, 4)) + pl.int_range(minutes, eager=True) * 60 * 10**9
    frame = pl.DataFrame({"symbol": [symbol] * minutes, "timeframe": ["1m"] * minutes, "open_time_ns": time})
    frame.with_columns(
        *(
            pl.lit(value).alias(name)
            for name, value in (("open", 1.0), ("high", 2.0), ("low", 0.5), ("close", 1.5))
        ),
        pl.lit(10.0).alias("volume"),
    ).write_parquet(path)
    return path


def test_resample_writes_each_timeframe(run: Run, tmp_path: Path) -> None:
    stored(tmp_path / "in", minutes=3000)
    out = tmp_path / "out"
    output = run(
        "resample", tmp_path / "in", "--to", "5m", "--to", "1d", "--calendar", "24/7", "--out", out
    ).output
    assert "5m: 600 bars" in output
    assert "1d: 2 bars; 1 cut" in output
    assert open_stream(out, timeframe="1d").bars == {"AAA": 2}
    assert "1d" in run("list", out).output
    assert "several timeframes" in run("check", out, code=2).output


def test_resample_refuses_bad_bars_and_takes_old_ones(run: Run, tmp_path: Path) -> None:
    rows = quiet_rows(28, date(1962, 1, 1))
    rows[10] = rows[10].replace("102", "98")
    bars = tmp_path / "bars"
    run("import", daily(tmp_path, "AAA", rows), "--out", bars, "--on", "ohlc-violation=keep")
    to_weeks = ("resample", bars, "--to", "1w", "--calendar", "24/7", "--out", tmp_path / "weeks")
    assert "ohlc-violation in AAA" in run(*to_weeks, code=2).output
    run(*to_weeks, "--bad-bars", "drop")
    # The week with the hole is left out.
    assert open_stream(tmp_path / "weeks").bars == {"AAA": 3}


def test_resample_asks_when_the_market_trades(run: Run, tmp_path: Path) -> None:
    stored(tmp_path / "in", minutes=100)
    assert (
        "--calendar"
        in run("resample", tmp_path / "in", "--to", "5m", "--out", tmp_path / "out", code=2).output
    )


def test_check_writes_html_that_needs_nothing_else(run: Run, tmp_path: Path) -> None:
    rows = quiet_rows()
    rows[20] = rows[20].replace(",99,", ",9.9,")
    run("import", daily(tmp_path, "A&B", rows), "--symbol", "A&B", "--out", tmp_path / "bars")
    first, second = tmp_path / "one.html", tmp_path / "two.html"
    for path in (first, second):
        run("check", tmp_path / "bars", "--html", path, "--calendar", "24/7")
    text = first.read_text()
    assert "A&amp;B" in text
    assert "<svg" in text
    assert "misquote" in text
    assert "http" not in text.replace("http://www.w3.org/", "")
    assert text == second.read_text()


def test_check_changes_bars_only_below_out(run: Run, tmp_path: Path) -> None:
    rows = quiet_rows()
    rows[20] = rows[20].replace(",99,", ",9.9,")
    bars = tmp_path / "bars"
    run("import", daily(tmp_path, "AAA", rows), "--out", bars)
    before = (bars / "1d" / "AAA.parquet").read_bytes()
    assert "--out" in run("check", bars, "--on", "misquote=drop", code=2).output
    run("check", bars, "--on", "misquote=drop", "--out", tmp_path / "clean")
    assert (bars / "1d" / "AAA.parquet").read_bytes() == before
    assert read_bars(tmp_path / "clean").frame.height == 39
    assert "misquote in AAA" in run("check", bars, "--on", "misquote=fail", code=2).output


def test_list_shows_universes_and_layouts(run: Run) -> None:
    assert "us-stocks" in run("list", "--universes").output
    assert "dukascopy" in run("list", "--layouts").output
    run("list", code=2)


def test_unreadable_bars_are_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    (tmp_path / "empty").mkdir()
    for path in ("bad.parquet", "empty", "absent"):
        for command in (("check",), ("list",)):
            output = run(*command, tmp_path / path, code=2).output
            assert len(output.strip().splitlines()) == 1


def test_a_stream_holds_few_symbols_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(6):
        stored(tmp_path, minutes=100, symbol=f"S{index}")
    monkeypatch.setattr("candlewire_training.data.symbol_stream.ROWS_IN_MEMORY", 250)
    stream = open_stream(tmp_path)
    assert [len(group) for group in stream._groups()] == [2, 2, 2]
    assert [(symbol, frame.height) for symbol, frame in stream] == [(f"S{index}", 100) for index in range(6)]
