"""A model is held to its budget as a whole graph, and what that costs is told."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from candlewire_training.arrays import F32
from candlewire_training.card.profile_facts import member_weights, profile_score
from candlewire_training.data.bars import BarTable
from candlewire_training.ensemble import profile as profile_module
from candlewire_training.ensemble.budget import MemberPrice
from candlewire_training.errors import SettingsError
from candlewire_training.export.bundle import write_bundle
from candlewire_training.members.contract import Member
from candlewire_training.pipeline import TrainedModel, train_model
from candlewire_training.progress import StepProgress
from candlewire_training.scoring_model import ScoringModel
from candlewire_training.settings import TrainingSettings

MEMBERS = ("xgboost", "lightgbm", "logistic")
# Beside the members: what calibration, band and dissimilarity are said to take here.
REST_US = 10.0
COST_US = {"xgboost": 20.0, "lightgbm": 30.0, "logistic": 5.0, "reference": 40.0}


def made_up_prices(
    members: Sequence[Member], X: F32, *, graphs: Sequence[tuple[str, bytes]] = ()
) -> tuple[MemberPrice, ...]:
    """Prices by name; a whole graph, which here is the names of its members, costs them and the rest."""
    assert X.shape[0] <= 1_024
    priced = [(member.name, COST_US[member.name]) for member in members]
    priced += [
        (name, REST_US + sum(COST_US[part] for part in graph.decode().split(","))) for name, graph in graphs
    ]
    return tuple(
        MemberPrice(name=name, one_row_us=us, batch_64_us_per_row=us / 10, megabytes=0.1)
        for name, us in priced
    )


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> None:
    def names(model: ScoringModel, _rows: F32) -> bytes:
        return ",".join(member.name for member in model.members).encode()

    monkeypatch.setattr(profile_module, "prices_of", made_up_prices)
    monkeypatch.setattr(profile_module, "_graph", names)


def trained_with(bars: BarTable, **settings: object) -> TrainedModel:
    asked = TrainingSettings(model="m", members=MEMBERS, trees=12, folds=2, **settings)  # type: ignore[arg-type]
    return train_model(bars, asked, StepProgress(quiet=True))


@pytest.mark.usefixtures("priced")
def test_a_budget_leaves_members_out_and_tells_what_that_costs(walk_bars: BarTable, tmp_path: Path) -> None:
    ensemble = {"ensemble": "vote"}
    full = trained_with(walk_bars, profile="full", **ensemble)
    assert (full.profile.dropped, full.profile.lost) == ((), None)
    assert len(full.model.members) == 3
    held = trained_with(walk_bars, budget_us=36.0, **ensemble)
    assert held.profile.whole.one_row_us <= 36.0
    assert "lightgbm" in held.profile.dropped
    assert {member.name for member in held.model.members} == set(MEMBERS) - set(held.profile.dropped)
    assert held.model.direction.ensemble.weights == pytest.approx(
        [1 / len(held.model.members)] * len(held.model.members)
    )
    told = dict(part.rsplit(" ", 1) for part in member_weights(held).split(", "))
    assert list(told) == list(MEMBERS)
    assert {name for name, weight in told.items() if weight == "0.00"} == set(held.profile.dropped)
    assert held.profile.lost is not None
    assert held.profile.log_loss == pytest.approx((held.profile.full_log_loss or 0) + held.profile.lost.value)
    bundle = write_bundle(held, tmp_path, StepProgress(quiet=True))
    assert bundle.manifest["members"] == [member.name for member in held.model.members]
    assert bundle.manifest["training"]["profile"]["dropped"] == list(held.profile.dropped)
    for card in ("card.md", "card.html"):
        text = (bundle.folder / card).read_text(encoding="utf-8")
        assert "it leaves out lightgbm" in text
        assert "beside the profile full" in text


@pytest.mark.usefixtures("priced")
def test_fast_holds_what_five_references_hold(walk_bars: BarTable) -> None:
    # 65 us are more than 40, and less than 5 x 40.
    fast = trained_with(walk_bars, ensemble="vote")
    assert fast.profile.dropped == ()
    assert "score is that of the profile full" in profile_score(fast.profile)


@pytest.mark.usefixtures("priced")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget_us": 12.0}, r"latency budget .* holds no member|does not hold the graph"),
        ({"budget_us": 9.0}, "does not hold the graph"),
        ({"budget_us": 20.0, "members": ("xgboost",), "folds": 0}, "fewer or shallower trees"),
        ({"budget_us": 20.0, "folds": 0, "ensemble": "vote"}, "walk forward with --folds"),
    ],
)
def test_a_budget_for_nothing_is_refused(
    walk_bars: BarTable, settings: dict[str, object], message: str
) -> None:
    asked = {"members": MEMBERS, "folds": 2, "trees": 12, **settings}
    with pytest.raises(SettingsError, match=message):
        train_model(
            walk_bars,
            TrainingSettings(model="m", **asked),  # type: ignore[arg-type]
            StepProgress(quiet=True),
        )


def test_the_graph_is_priced_whole(trained: TrainedModel) -> None:
    report = trained.profile
    assert report.profile == "fast"
    assert any(budget.holds([report.whole]) for budget in report.budgets)
    assert report.whole.one_row_us > report.prices[0].one_row_us
    assert report.whole.megabytes > report.prices[0].megabytes
    assert np.isfinite(report.reference.one_row_us)


def test_settings_know_the_profiles() -> None:
    with pytest.raises(SettingsError, match="profile 'slow' is unknown; use one of fast, full"):
        TrainingSettings(model="m", profile="slow")
    with pytest.raises(SettingsError, match="budget-us 0"):
        TrainingSettings(model="m", budget_us=0.0)
