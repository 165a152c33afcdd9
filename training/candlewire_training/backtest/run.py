"""Runs a backtest: the model beside buying and holding, momentum and persistence, at 1x and 2x costs."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from candlewire_training.arrays import F64, I32
from candlewire_training.backtest.bundle_signals import StoredModel, check_fit, settled_from_ns, signals_of
from candlewire_training.backtest.report import BacktestReport
from candlewire_training.backtest.statistics import performance
from candlewire_training.backtest.trading import Portfolio, SymbolResult, held_positions, pool, trade
from candlewire_training.data.bars import BarTable, date_text, to_ns
from candlewire_training.data.timeframes import timeframe_ns
from candlewire_training.errors import SettingsError, TooFewBarsError

MOMENTUM_BARS = 20
BUY_AND_HOLD = "buy and hold"
LEAST_TIMES = 60
COST_MULTIPLES = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestSettings:
    """How to trade.

    Attributes:
        cost_bps: What a fill loses to fees, spread and slippage, in hundredths of a percent of its amount.
        long_only: Whether a SELL closes a position and opens none.
        trials: Strategies and settings tried before this one, this one included.
        start: Decisions from this time on; None begins where nothing had been fitted.
        seed: Seed of the bootstrap.
    """

    cost_bps: float = 5.0
    long_only: bool = False
    trials: int = 1
    start: datetime | None = None
    seed: int = 7

    def __post_init__(self) -> None:
        if not 0.0 <= self.cost_bps <= 1_000.0:
            raise SettingsError(f"cost-bps {self.cost_bps} is out of range; use 0 to 1000")
        if not 1 <= self.trials <= 1_000_000:
            raise SettingsError(f"trials {self.trials} is out of range; use 1 to 1000000")


def run_backtest(model: StoredModel, bars: BarTable, settings: BacktestSettings) -> BacktestReport:
    """Backtests a bundle on bars.

    Args:
        model: The bundle.
        bars: Bars, with enough before the start for the features to warm up.
        settings: How to trade.

    Raises:
        SettingsError: The bars do not fit the model.
        TooFewBarsError: Too little is left after the model's own data.
    """
    check_fit(model, bars)
    start = settled_from_ns(model, bars) if settings.start is None else to_ns(settings.start)
    horizon = int(model.manifest["horizon_bars"])
    strategies: dict[str, list[SymbolResult]] = {}
    counts = np.zeros(3, dtype=np.int64)
    for symbol in bars.symbols:
        signal, ready = signals_of(model, bars, symbol)
        columns = bars.of_symbol(symbol)
        decision = np.asarray(columns["open_time_ns"], dtype=np.int64) + timeframe_ns(bars.timeframe)
        chosen = ready & (decision >= start)
        if chosen.sum() < 3:
            continue
        first = int(np.argmax(chosen))
        counts += np.bincount(signal[first:-2] + 1, minlength=3)
        opened = np.asarray(columns["open"], dtype=np.float64)[first:]
        for name, called in _signals(signal, np.log(np.asarray(columns["close"])), horizon).items():
            position = called[first:]
            if name != BUY_AND_HOLD:
                position = held_positions(position, horizon=horizon)
            if settings.long_only:
                position = np.maximum(position, 0)
            strategies.setdefault(name, []).append(trade(position, opened, decision[first:]))
    portfolios = {name: pool(results) for name, results in strategies.items()}
    if not portfolios or portfolios["model"].time_ns.size < LEAST_TIMES:
        raise TooFewBarsError(
            f"too few bars: fewer than {LEAST_TIMES} decisions lie at or after {date_text(start)}, where the "
            "model's own data ends; give newer bars, or --from to look at bars it has seen"
        )
    return _report(model, bars, settings, portfolios, counts.tolist(), start=start, horizon=horizon)


def _signals(signal: I32, log_close: F64, horizon: int) -> dict[str, I32]:
    def past(bars: int) -> I32:
        result = np.zeros(log_close.size, dtype=np.int32)
        result[bars:] = np.sign(log_close[bars:] - log_close[:-bars])
        return result

    return {
        "model": signal,
        BUY_AND_HOLD: np.ones(signal.size, dtype=np.int32),
        "momentum": past(MOMENTUM_BARS),
        "persistence": past(horizon),
    }


def _report(
    model: StoredModel,
    bars: BarTable,
    settings: BacktestSettings,
    portfolios: dict[str, Portfolio],
    counts: list[int],
    *,
    start: int,
    horizon: int,
) -> BacktestReport:
    cost = settings.cost_bps / 1e4
    results = {
        (name, multiple): performance(
            portfolio,
            cost=cost * multiple,
            trials=settings.trials if name == "model" else 1,
            horizon=horizon,
            seed=settings.seed,
        )
        for name, portfolio in portfolios.items()
        for multiple in COST_MULTIPLES
    }
    manifest, times = model.manifest, portfolios["model"].time_ns
    warnings = []
    if start < model.fitted_until_ns:
        warnings.append(
            f"In sample: decisions before {date_text(model.fitted_until_ns)} lie in data that the model was "
            "fitted or calibrated on. These figures say nothing about the future."
        )
    doubled = results["model", 2].deflated_sharpe
    if doubled is None:
        warnings.append("The policy gave no signal: there is nothing to judge.")
    elif doubled < 0.95:
        warnings.append(
            f"No edge is shown: at twice the costs the deflated Sharpe ratio is {doubled:.2f}, below 0.95."
        )
    ours, theirs = (results[name, 1].sharpe for name in ("model", BUY_AND_HOLD))
    if ours is not None and theirs is not None and ours < theirs:
        warnings.append(
            f"Buying and holding did better for its risk: a Sharpe ratio of {theirs:.2f} beside {ours:.2f}."
        )
    policy = manifest["policy"]
    return BacktestReport(
        title=f"Backtest of {manifest['model']} {manifest['version']}",
        warnings=tuple(warnings),
        facts=(
            ("Decisions", f"{date_text(times[0])} to {date_text(times[-1])}, {times.size:,} times"),
            ("Symbols", f"{len(bars.symbols)}, equal weight among those that have a bar"),
            ("Signals", f"SELL {counts[0]:,}, HOLD {counts[1]:,}, BUY {counts[2]:,}"),
            (
                "Policy",
                (
                    f"BUY from P(up) {policy['buy_probability']:g}, SELL from P(down) "
                    f"{policy['sell_probability']:g}, held up to {horizon} bars"
                    f"{', long only' if settings.long_only else ''}; nothing outside the training data"
                ),
            ),
            (
                "Fills",
                "at the open of the bar after the decision; no partial fills, no market impact, no interest",
            ),
            ("Costs", f"{settings.cost_bps:g} bps of each fill at 1x"),
            ("Momentum", f"the sign of the past {MOMENTUM_BARS} bars; persistence: of the past {horizon}"),
            ("Trials", f"{settings.trials}, this one included; they deflate the Sharpe ratio"),
            ("Bars", f"{bars.source}, fingerprint {bars.fingerprint[:16]}"),
            ("Made", datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ),
        strategies=results,
        times_ns=times,
        wealth={
            name: np.asarray(np.cumprod(1.0 + portfolio.net(cost)), np.float64)
            for name, portfolio in portfolios.items()
        },
    )


__all__ = ["BacktestSettings", "run_backtest"]
