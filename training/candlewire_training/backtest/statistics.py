"""What a series of returns is worth, with how sure one can be of it."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from candlewire_training.arrays import F64, I64
from candlewire_training.backtest.trading import Portfolio

YEAR_NS = 365.25 * 86_400e9
EULER = 0.5772156649015329
DRAWS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Performance after costs; intervals are 95 % block-bootstrap ones; ratios are None where undefined.

    Attributes:
        total_return: Compounded.
        sharpe: Annualised, no risk-free rate, with its interval.
        deflated_sharpe: Probability that the true Sharpe ratio is above what the best of `trials` would show
            by luck.
        value_at_risk_95: Loss of a bar that 5 % of the bars exceed.
        maximum_drawdown: Greatest fall from a peak.
        drawdown_95: The drawdown that 5 % of resampled histories exceed.
        total_return_5_95: 5th and 95th percentile of the total return over resampled histories.
        exposure: Turnover a bar.
    """

    total_return: float
    annual_return: float
    sharpe: float | None
    sharpe_low: float | None
    sharpe_high: float | None
    deflated_sharpe: float | None
    value_at_risk_95: float
    maximum_drawdown: float
    drawdown_95: float
    total_return_5_95: tuple[float, float]
    trades: int
    win_rate: float | None
    profit_factor: float | None
    turnover_a_bar: float


def performance(portfolio: Portfolio, *, cost: float, trials: int, horizon: int, seed: int) -> Performance:
    """Measures a portfolio.

    Args:
        portfolio: Returns before costs, at least two times.
        cost: Share of the traded amount that each fill loses.
        trials: Strategies and settings tried before this one.
        horizon: Bars that a signal is held; blocks are at least twice as long.
        seed: Seed of the bootstrap.

    Source of the deflated Sharpe ratio: Bailey and López de Prado (2014), The Deflated Sharpe Ratio.
    """
    net = portfolio.net(cost)
    years = max(float(portfolio.time_ns[-1] - portfolio.time_ns[0]) / YEAR_NS, 1e-9)
    bars_a_year = (net.size - 1) / years
    histories = _resampled(net, block=max(20, 2 * horizon), seed=seed)
    wealth: F64 = np.cumprod(1.0 + histories, axis=1, dtype=np.float64)
    ratios = _sharpe(histories) * np.sqrt(bars_a_year)
    spread = float(net.std())
    sharpe = float(net.mean() / spread * np.sqrt(bars_a_year)) if spread > 0 else None
    total = float(np.prod(1.0 + net) - 1.0)
    gains = np.array([gross - cost * turnover for gross, turnover in portfolio.trades])
    lost = float(-gains[gains < 0].sum())
    return Performance(
        total_return=total,
        annual_return=float((1.0 + total) ** (1.0 / years) - 1.0) if total > -1.0 else -1.0,
        sharpe=sharpe,
        sharpe_low=float(np.quantile(ratios, 0.025)) if sharpe is not None else None,
        sharpe_high=float(np.quantile(ratios, 0.975)) if sharpe is not None else None,
        deflated_sharpe=deflated_sharpe(net, trials=trials) if sharpe is not None else None,
        value_at_risk_95=float(max(-np.quantile(net, 0.05), 0.0)),
        maximum_drawdown=float(_drawdown(np.cumprod(1.0 + net, dtype=np.float64)[None, :])[0]),
        drawdown_95=float(np.quantile(_drawdown(wealth), 0.95)),
        total_return_5_95=(
            float(np.quantile(wealth[:, -1], 0.05) - 1.0),
            float(np.quantile(wealth[:, -1], 0.95) - 1.0),
        ),
        trades=gains.size,
        win_rate=float(np.mean(gains > 0)) if gains.size else None,
        profit_factor=float(gains[gains > 0].sum()) / lost if lost > 0 else None,
        turnover_a_bar=float(portfolio.turnover.mean()),
    )


def deflated_sharpe(net: F64, *, trials: int) -> float:
    """Probability that the Sharpe ratio is above the greatest of `trials` worthless ones.

    Skewness and kurtosis of the returns count; one trial compares with zero.
    """
    bars = net.size
    standard = (net - net.mean()) / net.std()
    ratio, skew, kurtosis = _per_bar(net), float(np.mean(standard**3)), float(np.mean(standard**4))
    normal = NormalDist()
    luck = 0.0
    if trials > 1:
        luck = (
            (1.0 - EULER) * normal.inv_cdf(1.0 - 1.0 / trials)
            + EULER * normal.inv_cdf(1.0 - 1.0 / (trials * np.e))
        ) / np.sqrt(bars - 1)
    error = np.sqrt(max(1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2, 1e-12))
    return float(normal.cdf((ratio - luck) * np.sqrt(bars - 1) / error))


def _per_bar(net: F64) -> float:
    return float(net.mean() / net.std())


def _sharpe(histories: F64) -> F64:
    spread = histories.std(axis=1)
    ratios: F64 = np.divide(histories.mean(axis=1), spread, out=np.zeros_like(spread), where=spread > 0)
    return ratios


def _resampled(net: F64, *, block: int, seed: int) -> F64:
    """Histories of whole blocks drawn with replacement, wrapped around; shape (draws, bars)."""
    bars = net.size
    block = max(1, min(block, bars // 4))
    generator = np.random.default_rng(seed)
    draws = min(DRAWS, max(200, 40_000_000 // bars))
    starts: I64 = generator.integers(0, bars, size=(draws, -(-bars // block)))
    index = (starts[:, :, None] + np.arange(block)[None, None, :]).reshape(draws, -1)[:, :bars] % bars
    histories: F64 = net[index]
    return histories


def _drawdown(wealth: F64) -> F64:
    peak = np.maximum(np.maximum.accumulate(wealth, axis=1), 1.0)
    result: F64 = (1.0 - wealth / peak).max(axis=1)
    return result


__all__ = ["Performance", "deflated_sharpe", "performance"]
