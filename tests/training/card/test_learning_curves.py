"""Learning curves end where the member stands, whatever its kind."""

import numpy as np
import pytest
from candlewire_training.calibration.choosing import class_log_loss
from candlewire_training.card.learning_curves import grows, learning_curve
from candlewire_training.members.contract import KINDS, FitRows, MemberSettings
from candlewire_training.members.registry import make_member

GENERATOR = np.random.default_rng(8)
X = GENERATOR.standard_normal((1_200, 3)).astype(np.float32)
SIGNAL = X[:, 1] + 0.5 * GENERATOR.standard_normal(1_200)
TARGETS = {
    ("DOWN", "UP"): (SIGNAL > 0).astype(np.int32),
    ("DOWN", "SIDEWAYS", "UP"): np.digitize(SIGNAL, (-0.5, 0.5)).astype(np.int32),
}


@pytest.mark.parametrize("classes", TARGETS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "logistic"])
def test_a_curve_ends_at_the_member_s_own_loss(kind: str, classes: tuple[str, ...]) -> None:
    target = TARGETS[classes]
    rows = FitRows(X=X, target=target, weight=np.ones(target.size), classes=classes)
    member = make_member(MemberSettings(kind=kind, trees=20, learning_rate=0.1)).fit(rows)
    assert grows(member)
    curve = learning_curve(member, X, target, name="train")
    assert curve.points[0][0] == 1
    assert curve.points[-1][0] == 20
    own = class_log_loss(member.probabilities(X), target).mean()
    assert curve.points[-1][1] == pytest.approx(own, abs=1e-5)
    if kind in {"xgboost", "lightgbm", "gradient_boosting"}:
        assert curve.points[-1][1] < curve.points[0][1]


def test_a_member_without_rounds_has_none() -> None:
    classes = ("DOWN", "UP")
    rows = FitRows(X=X, target=TARGETS[classes], weight=np.ones(1_200), classes=classes)
    assert not grows(make_member(MemberSettings(kind="logistic")).fit(rows))
