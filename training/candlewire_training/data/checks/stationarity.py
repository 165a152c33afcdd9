"""Tests of closes and returns: ADF (a unit root is the null) and KPSS (stationarity is)."""

import warnings
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from candlewire_training.arrays import F64
from candlewire_training.data.checks.contract import SymbolBars

# The newest bars; the tests' cost grows with the cube of lags and the verdict is about the present regime.
MOST_BARS, FEWEST_BARS = 2_000, 60
LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Stationarity:
    """p-values over the newest bars; KPSS's lie within 0.01 and 0.10, the ends of its table."""

    bars: int
    adf_log_close: float
    kpss_log_close: float
    adf_return: float
    kpss_return: float

    @property
    def returns_stationary(self) -> bool:
        """Whether ADF rejects a unit root in returns and KPSS does not reject their stationarity."""
        return self.adf_return < LEVEL and self.kpss_return > 0.01

    @property
    def close_stationary(self) -> bool:
        """The same of log closes: rare, and worth a look where it happens."""
        return self.adf_log_close < LEVEL and self.kpss_log_close > LEVEL


def measure_stationarity(bars: SymbolBars) -> Stationarity | None:
    """Both tests of log closes and of log returns; None for a series too short or without movement."""
    log_close = np.log(bars.prices[3][bars.usable])[-MOST_BARS:]
    returns = np.diff(log_close)
    if returns.size < FEWEST_BARS or np.ptp(returns) == 0:
        return None
    # On matrices this small, threads of the linear algebra cost tens of times what they do.
    with threadpool_limits(1):
        adf_close, kpss_close = _p_values(log_close)
        adf_return, kpss_return = _p_values(returns)
    return Stationarity(
        bars=log_close.size,
        adf_log_close=adf_close,
        kpss_log_close=kpss_close,
        adf_return=adf_return,
        kpss_return=kpss_return,
    )


def _p_values(series: F64) -> tuple[float, float]:
    # Slow to import, and --no-stationarity does without.
    from statsmodels.tsa.stattools import adfuller, kpss  # type: ignore[import-untyped]  # noqa: PLC0415

    # Schwert's rule, fixed: a search over lags costs ten times as much and changes few verdicts.
    lags = int(12 * (series.size / 100) ** 0.25)
    with warnings.catch_warnings():
        # KPSS warns whenever its p-value lies beyond the table's ends.
        warnings.simplefilter("ignore")
        adf = adfuller(series, maxlag=lags, autolag=None)
        kpss_result = kpss(series, regression="c", nlags="auto")
    return float(adf[1]), float(kpss_result[1])


__all__ = ["LEVEL", "MOST_BARS", "Stationarity", "measure_stationarity"]
