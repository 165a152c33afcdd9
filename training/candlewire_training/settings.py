"""Settings of a training run, checked once."""

import os
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from candlewire_training.data.bars import to_ns
from candlewire_training.errors import SettingsError
from candlewire_training.labels.contract import LabelSettings
from candlewire_training.members.contract import MemberSettings

# Fewer rows than this are fitted quicker by one thread than by several that wait for one another.
SHARED_ROWS = 50_000
PROFILES = ("fast", "full")
RANKINGS = ("permutation", "shap")
CHOICES = ("auto", "venn_abers", "identity", "temperature", "platt", "isotonic")
SCORINGS = ("native", "kernel")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The signal policy that the bundle carries; the server obeys it."""

    buy_probability: float = 0.60
    sell_probability: float = 0.60
    medium_confidence: float = 0.55
    high_confidence: float = 0.65
    maximum_dissimilarity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """What to train.

    Attributes:
        model: Name in the store.
        horizon: Bars ahead.
        preset: Feature preset.
        label: What is foretold.
        members: Kinds of the models of direction, one each.
        ensemble: How they are pooled: stack, vote, hard_vote or fixed.
        ensemble_weights: Weights of `fixed`.
        folds: Folds of the walk forward before the final fit; 0 walks none.
        walk_forward: Way of the walk, see `validation.folds.WAYS`.
        select_features: Features that members read, chosen anew on the train rows of each fold and of the
            final fit; 0 takes all. What the return band needs is kept beside them.
        select_by: How features are ranked, see `selection.feature_choice`.
        cpcv: Groups and test groups of a combinatorial purged cross-validation, as diagnosis; None runs none.
        early_stopping: Share of train rows, the newest, on which boosting stops after 15 rounds without a
            better score; 0 fits all rounds.
        calibrator: What makes the pool honest: `auto` takes the best out of fold, see `calibration.choosing`.
        scoring: What scores the members of the walk: native (each member's own library) or kernel (the
            server's tree kernel over the exported trees).
        maximum_overfit_gap: Greatest mean accuracy on train rows minus that on test rows of the folds; a
            model beyond it is not written. None only reports it.
        search: Trials of a search over trees, depth and learning rate before anything else; 0 searches not.
        study: Journal file of the search, which a later run goes on with.
        trials: Settings tried to find these, these included: what deflates the Sharpe ratio.
        profile: Latency profile: fast or full, see `ensemble.budget.profile_budgets`.
        budget_us: Microseconds at batch 1 that the graph may take, in place of the profile's budget.
        trees: Boosting rounds of the direction model.
        depth: Levels of its trees.
        learning_rate: Its shrinkage.
        seed: Seed of everything random.
        threads: Threads of a fit; 0 takes every core once there are rows enough to share out. The trees do
            not depend on it.
        target_coverage: Coverage the band aims at in the long run.
        calibration_share: Share of rows for calibration and conformal width.
        test_share: Share of rows, the newest, that judge the model.
        split_at: When calibration and test begin, in place of the shares; None takes these.
        embargo_bars: Bars left out after each boundary, beyond the purge.
        asset_class: Asset class that the manifest carries.
        controller_step: Step of the server's width controller; None takes the timeframe's.
        until: Bars that open at or after this time are not used; None uses all.
        version: Version to write; None takes the clock.
        parity_rows: Least rows of the parity gate.
        regime: Only rows of this regime train, calibrate and judge; None takes all.
        policy: The signal policy.
    """

    model: str
    horizon: int = 5
    preset: str = "core"
    label: LabelSettings = field(default_factory=LabelSettings)
    members: tuple[str, ...] = ("xgboost",)
    ensemble: str = "stack"
    ensemble_weights: tuple[float, ...] | None = None
    folds: int = 0
    walk_forward: str = "anchored"
    select_features: int = 0
    select_by: str = "permutation"
    cpcv: tuple[int, int] | None = None
    early_stopping: float = 0.15
    calibrator: str = "auto"
    scoring: str = "native"
    maximum_overfit_gap: float | None = None
    search: int = 0
    study: Path | None = None
    trials: int = 1
    profile: str = "fast"
    budget_us: float | None = None
    trees: int = 300
    depth: int = 3
    learning_rate: float = 0.02
    seed: int = 7
    threads: int = 0
    target_coverage: float = 0.9
    calibration_share: float = 0.2
    test_share: float = 0.2
    split_at: tuple[datetime, datetime] | None = None
    embargo_bars: int = 5
    asset_class: str = "stock"
    controller_step: float | None = None
    until: datetime | None = None
    version: int | None = None
    parity_rows: int = 100_000
    regime: str | None = None
    policy: Policy = Policy()

    def __post_init__(self) -> None:
        if not MODEL_NAME.fullmatch(self.model):
            raise SettingsError(
                f"model {self.model!r} is no name; use letters, digits, '_', '.' and '-', at most 64 of them"
            )
        _within("horizon", self.horizon, 1, 10_000)
        _within("trees", self.trees, 1, 10_000)
        _within("depth", self.depth, 1, 12)
        _within("learning-rate", self.learning_rate, 1e-5, 1.0)
        _within("target-coverage", self.target_coverage, 0.5, 0.99)
        _within("calibration-share", self.calibration_share, 0.05, 0.6)
        _within("test-share", self.test_share, 0.05, 0.6)
        _within("embargo", self.embargo_bars, 0, 10_000)
        _within("seed", self.seed, 0, 2**31 - 1)
        _within("threads", self.threads, 0, 256)
        _within("parity-rows", self.parity_rows, 100_000, 10_000_000)
        _within("folds", self.folds, 0, 100)
        _within("early-stopping", self.early_stopping, 0.0, 0.5)
        _within("search", self.search, 0, 100_000)
        if self.search and (self.folds == 0 or self.study is None):
            raise SettingsError(
                "search judges by a walk forward and keeps a study; give folds and a study file"
            )
        if self.profile not in PROFILES:
            raise SettingsError(
                f"profile {self.profile!r} is unknown; use one of {', '.join(PROFILES)}, or --budget-us"
            )
        if self.budget_us is not None:
            _within("budget-us", self.budget_us, 1.0, 1e6)
        _within("trials", self.trials, 1, 1_000_000)
        self._check_diagnosis()
        if self.scoring not in SCORINGS:
            raise SettingsError(f"scoring {self.scoring!r} is unknown; use one of {', '.join(SCORINGS)}")
        if self.maximum_overfit_gap is not None:
            _within("maximum-overfit-gap", self.maximum_overfit_gap, 0.0, 1.0)
        self._check_members()
        if self.version is not None:
            parse_version(self.version)

    def _check_members(self) -> None:
        if not self.members or len(set(self.members)) != len(self.members):
            raise SettingsError(f"members {', '.join(self.members) or '(none)'}: name each kind once")
        if len(self.members) > 1 and self.ensemble == "stack" and self.folds == 0:
            raise SettingsError("ensemble stack needs out-of-fold predictions; use folds 2 or more")
        if self.calibrator not in CHOICES:
            raise SettingsError(f"calibrator {self.calibrator!r} is unknown; use one of {', '.join(CHOICES)}")
        if self.calibrator not in {"auto", "venn_abers"} and self.folds == 0:
            raise SettingsError(
                f"calibrator {self.calibrator} is fitted on out-of-fold predictions; use folds 2 or more"
            )
        _ = self.member_settings

    def _check_diagnosis(self) -> None:
        _within("select-features", self.select_features, 0, 10_000)
        if self.select_by not in RANKINGS:
            raise SettingsError(f"select-by {self.select_by!r} is unknown; use {' or '.join(RANKINGS)}")
        if self.cpcv is not None and not 2 <= self.cpcv[1] < self.cpcv[0] <= 20:
            raise SettingsError(
                f"cpcv {self.cpcv[0]},{self.cpcv[1]} does not fit; use 2 <= test groups < groups <= 20"
            )

    @property
    def member_settings(self) -> tuple[MemberSettings, ...]:
        """How each member is fitted."""
        return tuple(
            MemberSettings(
                kind=kind,
                trees=self.trees,
                depth=self.depth,
                learning_rate=self.learning_rate,
                seed=self.seed,
                threads=max(self.threads, 1),
            )
            for kind in self.members
        )

    def with_threads(self, rows: int) -> "TrainingSettings":
        """The same with a count of threads for a fit on about so many rows."""
        if self.threads > 0:
            return self
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return replace(self, threads=min(cores, 256) if rows >= SHARED_ROWS else 1)

    @property
    def boundaries_ns(self) -> tuple[int, int] | None:
        """When calibration and test begin, ns; None where shares say it."""
        return self.split_at and (to_ns(self.split_at[0]), to_ns(self.split_at[1]))

    @property
    def decision_thresholds(self) -> tuple[float, float]:
        """P(up) at and above which the policy buys; at and below which it sells."""
        return self.policy.buy_probability, 1.0 - self.policy.sell_probability


def parse_version(version: int) -> datetime:
    """The time a version stands for.

    Raises:
        SettingsError: It is no time written as YYYYMMDDHHMMSS.
    """
    try:
        return datetime.strptime(f"{version}+0000", "%Y%m%d%H%M%S%z")
    except ValueError as error:
        raise SettingsError(f"version-stamp {version} is no time; write it as YYYYMMDDHHMMSS, UTC") from error


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SettingsError(f"{name} {value} is out of range; use {low:g} to {high:g}")


__all__ = ["SCORINGS", "Policy", "TrainingSettings", "parse_version"]
