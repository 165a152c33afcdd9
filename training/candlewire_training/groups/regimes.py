"""The market's regime at each decision, by the kernel that the feature engine has for it."""

import json

import candlewire_features as cf
import numpy as np

from candlewire_training.arrays import I32
from candlewire_training.data.bars import BarTable
from candlewire_training.data.samples import Samples
from candlewire_training.data.timeframes import timeframe_ns

# In the order of the kernel's codes.
REGIMES = ("sideways", "trending", "volatile", "consolidation")
UNKNOWN = -1


def regime_of_rows(bars: BarTable, samples: Samples) -> I32:
    """Index into REGIMES of each row, `UNKNOWN` before the kernel has warmed up, shape (rows,).

    A row's regime is known at its decision: it is computed from bars that have closed by then.
    """
    spec = cf.FeatureSpec.from_json(
        json.dumps({"features": [{"name": "regime", "kernel": "market_regime", "output": "code"}]})
    )
    bar_ns = timeframe_ns(bars.timeframe)
    result = np.full(len(samples), UNKNOWN, dtype=np.int32)
    for index, symbol in enumerate(samples.symbols):
        rows = np.flatnonzero(samples.symbol_index == index)
        if rows.size == 0:
            continue
        columns = bars.of_symbol(symbol)
        code = np.asarray(cf.compute(columns, spec), dtype=np.float64).reshape(-1)
        bar = np.searchsorted(columns["open_time_ns"] + bar_ns, samples.decision_time_ns[rows])
        result[rows] = np.where(np.isfinite(code[bar]), code[bar], UNKNOWN).astype(np.int32)
    return result


__all__ = ["REGIMES", "UNKNOWN", "regime_of_rows"]
