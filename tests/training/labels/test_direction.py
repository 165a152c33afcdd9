"""Labels say when they are known, and nothing is known earlier."""

import numpy as np
import pytest
from candlewire_training.labels.direction import direction_labels
from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import DAY_NS, random_walk

COLUMNS = {
    name: values.to_numpy()
    for name, values in random_walk("AAA", bars=60, seed=5).drop("symbol").to_dict().items()
}


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_the_label_is_the_sign_of_the_forward_return(horizon: int) -> None:
    labels = direction_labels(COLUMNS, horizon=horizon, bar_ns=DAY_NS)
    close = COLUMNS["close"]
    for bar in range(60 - horizon):
        assert labels.up[bar] == (close[bar + horizon] > close[bar])
        assert labels.forward_return[bar] == pytest.approx(np.log(close[bar + horizon] / close[bar]))
        assert labels.decision_time_ns[bar] == COLUMNS["open_time_ns"][bar] + DAY_NS
        assert labels.known_from_ns[bar] == COLUMNS["open_time_ns"][bar + horizon] + DAY_NS
    assert (labels.up[-horizon:] == -1).all()
    assert np.isnan(labels.forward_return[-horizon:]).all()


def test_too_short_a_series_has_no_labels() -> None:
    short = {name: values[:5] for name, values in COLUMNS.items()}
    assert (direction_labels(short, horizon=5, bar_ns=DAY_NS).up == -1).all()


@given(bar=st.integers(0, 59), horizon=st.integers(1, 10), factor=st.floats(0.5, 2.0))
def test_a_bar_changes_only_labels_known_from_its_close(bar: int, horizon: int, factor: float) -> None:
    before = direction_labels(COLUMNS, horizon=horizon, bar_ns=DAY_NS)
    changed = {name: values.copy() for name, values in COLUMNS.items()}
    for name in ("open", "high", "low", "close"):
        changed[name][bar] *= factor
    after = direction_labels(changed, horizon=horizon, bar_ns=DAY_NS)
    close_of_bar = COLUMNS["open_time_ns"][bar] + DAY_NS
    earlier = before.known_from_ns < close_of_bar
    np.testing.assert_array_equal(before.up[earlier], after.up[earlier])
    np.testing.assert_array_equal(before.forward_return[earlier], after.forward_return[earlier])
