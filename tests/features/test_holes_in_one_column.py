"""A number of one column that is not finite: kernels that look for it themselves find it at any place."""

from __future__ import annotations

import candlewire_features.talib as ours
import numpy as np
import pytest

from tests.features.exact_references import SERIES
from tests.features.test_every_talib_function import FUNCTIONS, call, inputs, prices

PLACES = (0, 20, 63, 97, 130, 161, 200, -1)


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_hole_in_one_column_leaves_no_trace(function: str, hole: float) -> None:
    columns = inputs(function, prices(SERIES["walk"]))
    whole = call(ours, function, columns)
    bars = len(columns[0])
    for place in (where % (bars + 1) for where in PLACES):
        for column in range(len(columns)):
            holed = [np.insert(values, place, values[0]) for values in columns]
            holed[column][place] = hole
            for before, after in zip(whole, call(ours, function, holed), strict=True):
                np.testing.assert_array_equal(np.delete(after, place), before, strict=True)
                assert function.startswith("CDL") or np.isnan(after[place])
