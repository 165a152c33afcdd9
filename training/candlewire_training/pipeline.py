"""From bars to a fitted model and its evaluation; nothing here writes a file."""

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import candlewire_features as cf
import numpy as np

from candlewire_training.bands.admission import BandSettings, fit_return_band
from candlewire_training.bands.band_inputs import VolatilityColumns, volatility_columns, with_band_inputs
from candlewire_training.bands.return_band import conformalise
from candlewire_training.calibration.choosing import VENN_ABERS, calibrator_of
from candlewire_training.calibration.fitting import CalibrationRows, fit_direction
from candlewire_training.data.bars import BarTable
from candlewire_training.data.samples import Samples, build_samples, preset_spec
from candlewire_training.ensemble.contract import Ensemble, equal_weights
from candlewire_training.ensemble.profile import FittedPool, OutOfFoldRows, ProfileReport, within_profile
from candlewire_training.ensemble.stacking import make_ensemble
from candlewire_training.errors import GateError, TooFewBarsError
from candlewire_training.groups.regimes import REGIMES, regime_of_rows
from candlewire_training.members.contract import Member, MemberSettings
from candlewire_training.members.early_stopping import fit_member, fit_rows, stopping_rows
from candlewire_training.members.pooled_start import PooledStart
from candlewire_training.members.registry import make_member
from candlewire_training.members.side_by_side import side_by_side
from candlewire_training.one_blas_thread import one_blas_thread
from candlewire_training.progress import StepProgress
from candlewire_training.scoring_model import Direction, ScoringModel
from candlewire_training.selection.feature_choice import FeatureChoice, feature_choice, narrowed
from candlewire_training.settings import TrainingSettings
from candlewire_training.trust.dissimilarity import fit_dissimilarity
from candlewire_training.validation.block_bootstrap import time_blocks
from candlewire_training.validation.chronological import ChronologicalSplit, chronological_split
from candlewire_training.validation.combinatorial import CombinatorialDiagnosis, diagnose
from candlewire_training.validation.evaluation import Evaluation, evaluate
from candlewire_training.validation.fold_memory import FoldMemory
from candlewire_training.validation.folds import Fold, RowTimes, folds_within, walk_forward_folds
from candlewire_training.validation.member_scoring import MemberScoring
from candlewire_training.validation.transfer import TransferReport, compare_transfer
from candlewire_training.validation.walk_forward import (
    LEAST_WEIGHED_ROWS,
    FitRules,
    OutOfFold,
    WalkForward,
    judge,
    out_of_fold,
)

if TYPE_CHECKING:
    from candlewire_training.groups.fold_fan_out import FoldFanOut


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A fitted model with everything its bundle and card tell."""

    settings: TrainingSettings
    bars: BarTable
    spec: cf.FeatureSpec
    samples: Samples
    split: ChronologicalSplit
    model: ScoringModel
    evaluation: Evaluation
    profile: ProfileReport
    walk_forward: WalkForward | None = None
    oof: OutOfFold | None = None
    transfer: TransferReport | None = None
    combinatorial: CombinatorialDiagnosis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Rows of a run and their parts.

    Attributes:
        bars: The bars that are used.
        spec: The features, those that the band needs included.
        settings: What to train, threads resolved.
        samples: The labelled rows.
        split: Their parts.
    """

    bars: BarTable
    spec: cf.FeatureSpec
    settings: TrainingSettings
    samples: Samples
    split: ChronologicalSplit

    @property
    def before(self) -> Samples:
        """Rows before the test part, which judges what the folds choose."""
        return self.samples.take(np.concatenate((self.split.train, self.split.calibration)))


def prepare(
    bars: BarTable,
    settings: TrainingSettings,
    progress: StepProgress,
    *,
    boundaries_ns: tuple[int, int] | None = None,
) -> Prepared:
    """Features, labels and parts.

    Args:
        bars: The bars.
        settings: What to train.
        progress: Shows the symbols.
        boundaries_ns: Where calibration and test begin, in place of the settings' shares.

    Raises:
        TooFewBarsError: The history is too short.
        SettingsError: The preset is unknown.
    """
    bars = bars.until(settings.until)
    spec = with_band_inputs(
        preset_spec(settings.preset), timeframe=bars.timeframe, asset_class=settings.asset_class
    )
    with progress.step("Features and labels", len(bars.symbols)) as advance:
        samples = build_samples(bars, spec, horizon=settings.horizon, labels=settings.label, advance=advance)
    if settings.regime is not None:
        samples = samples.take(regime_of_rows(bars, samples) == REGIMES.index(settings.regime))
    settings = settings.with_threads(len(samples))
    split = chronological_split(
        samples.decision_time_ns,
        samples.known_from_ns,
        calibration_share=settings.calibration_share,
        test_share=settings.test_share,
        embargo_bars=settings.embargo_bars,
        boundaries_ns=boundaries_ns or settings.boundaries_ns,
    )
    return Prepared(bars=bars, spec=spec, settings=settings, samples=samples, split=split)


@one_blas_thread
def train_model(
    bars: BarTable,
    settings: TrainingSettings,
    progress: StepProgress,
    *,
    start: PooledStart | None = None,
    memory: FoldMemory | None = None,
    fan_out: "FoldFanOut | None" = None,
) -> TrainedModel:
    """Features, labels, split, members, calibration, band, dissimilarity, evaluation.

    Args:
        bars: The bars.
        settings: What to train.
        progress: Shows the steps.
        start: Members of all symbols; those of this model go on from them where that scores better out of
            fold. Its times of calibration, test and folds are taken too: it has seen nothing later.
        memory: Keeps each fold that is done, and gives it back to a run that goes on.
        fan_out: Fits folds beside one another, into `memory`; None fits one after the other.

    Raises:
        TooFewBarsError: The history is too short.
        SettingsError: The preset is unknown.
    """
    ready = prepare(bars, settings, progress, boundaries_ns=start.boundaries_ns if start else None)
    bars, spec, settings, samples, split = ready.bars, ready.spec, ready.settings, ready.samples, ready.split
    train, before = samples.take(split.train), ready.before
    if train.up.min() == train.up.max():
        raise TooFewBarsError("the train part holds only one direction; give longer history")
    numbers, folds = walk_folds(before, settings, start)
    choice = feature_choice(
        spec, most=settings.select_features, by=settings.select_by, member=settings.member_settings[0]
    )
    settings = _searched(before, folds, settings, progress, choice, fan_out)
    oof = _out_of_fold(before, folds, settings, progress, choice, memory=memory, fan_out=fan_out)
    transfer = None
    if start is not None and oof is not None:
        begun = tuple(start.by_fold[number] for number in numbers)
        started = _out_of_fold(before, folds, settings, progress, choice, starts=begun)
        assert started is not None  # noqa: S101 - the same folds
        transfer = compare_transfer(before, oof, started, horizon=settings.horizon, seed=settings.seed)
        oof = started if transfer.admitted else oof
    walk = _judged_walk(before, folds, oof, settings, settled_by_ns=split.boundaries_ns[0])
    combinatorial = _combinatorial(before, settings, progress, choice)
    if choice is not None:
        with progress.step("Features to keep", 1):
            spec, samples = narrowed(spec, samples, choice(train))
        train = samples.take(split.train)
    model, profile = fit_model(
        train,
        samples.take(split.calibration),
        settings,
        progress,
        volatility=volatility_columns(spec.canonical_json),
        ensemble=_ensemble(settings, walk),
        oof=None if oof is None else _judged(before, oof, settings).before(split.boundaries_ns[0]),
        start=start.final if start is not None and transfer is not None and transfer.admitted else None,
    )
    test = samples.take(split.test)
    with progress.step("Evaluation on unseen bars", 1):
        evaluation = evaluate(
            model.score(test.X),
            train=train,
            calibration=samples.take(split.calibration),
            test=test,
            horizon=settings.horizon,
            target_coverage=settings.target_coverage,
            thresholds=settings.decision_thresholds,
            seed=settings.seed,
        )
    return TrainedModel(
        settings=settings,
        bars=bars,
        spec=spec,
        samples=samples,
        split=split,
        model=model,
        evaluation=evaluation,
        profile=profile,
        walk_forward=walk,
        oof=oof,
        transfer=transfer,
        combinatorial=combinatorial,
    )


def _ensemble(settings: TrainingSettings, walk: WalkForward | None) -> Ensemble:
    if settings.ensemble != "stack":
        return make_ensemble(settings.ensemble, len(settings.members), weights=settings.ensemble_weights)
    # One member needs no weights; several have walked, see TrainingSettings.
    return Ensemble(weights=equal_weights(1) if walk is None else walk.weights)


def walk_folds(
    before: Samples, settings: TrainingSettings, start: PooledStart | None = None
) -> tuple[tuple[int, ...], tuple[Fold, ...]]:
    """Folds of the rows before the test part, and the number of each among those of the start."""
    times = RowTimes(decision_time_ns=before.decision_time_ns, known_from_ns=before.known_from_ns)
    if start is not None:
        numbered = folds_within(times, start.folds, embargo_bars=settings.embargo_bars)
        return tuple(number for number, _ in numbered), tuple(fold for _, fold in numbered)
    if settings.folds == 0:
        return (), ()
    folds = walk_forward_folds(
        times, way=settings.walk_forward, folds=settings.folds, embargo_bars=settings.embargo_bars
    )
    return tuple(range(len(folds))), folds


def _searched(
    before: Samples,
    folds: tuple[Fold, ...],
    settings: TrainingSettings,
    progress: StepProgress,
    choice: FeatureChoice | None,
    fan_out: "FoldFanOut | None",
) -> TrainingSettings:
    """The settings that a search finds; the same without one."""
    if settings.search == 0 or settings.study is None:
        return settings
    # Imported on use: few runs search, and the library takes a second.
    from candlewire_training.search.study import search_settings  # noqa: PLC0415

    with progress.step("Search", settings.search) as advance:
        return search_settings(
            before,
            folds,
            settings,
            trials=settings.search,
            journal=settings.study,
            choose=choice,
            beside=fan_out,
            advance=advance,
        ).settings


def _out_of_fold(
    before: Samples,
    folds: tuple[Fold, ...],
    settings: TrainingSettings,
    progress: StepProgress,
    choice: FeatureChoice | None,
    *,
    starts: tuple[tuple[Member | None, ...], ...] = (),
    memory: FoldMemory | None = None,
    fan_out: "FoldFanOut | None" = None,
) -> OutOfFold | None:
    """Out-of-fold predictions; None without folds."""
    if not folds:
        return None
    name = "Walk forward from pooled" if starts else "Walk forward"
    kept = memory and memory.of_members(settings.member_settings)
    rules = FitRules(choose=choice, early_stopping=settings.early_stopping)
    with progress.step(name, len(folds) * len(settings.members)) as advance:
        if fan_out is not None and kept is not None:
            fan_out.fit(
                before,
                folds,
                settings.member_settings,
                rules=rules,
                scoring=settings.scoring,
                seed=settings.seed,
                memory=kept,
                advance=advance,
            )
        return out_of_fold(
            before,
            folds,
            settings.member_settings,
            ensemble=settings.ensemble,
            weights=settings.ensemble_weights,
            starts=starts,
            memory=kept,
            rules=rules,
            scoring=MemberScoring(settings.scoring, threads=settings.threads),
            advance=advance if fan_out is None or kept is None else lambda: None,
            seed=settings.seed,
        )


def _judged_walk(
    before: Samples,
    folds: tuple[Fold, ...],
    oof: OutOfFold | None,
    settings: TrainingSettings,
    *,
    settled_by_ns: int,
) -> WalkForward | None:
    """Scores and weights of out-of-fold predictions, and the gate on the overfit gap."""
    if oof is None:
        return None
    walk = judge(
        before,
        folds,
        oof,
        horizon=settings.horizon,
        settled_by_ns=settled_by_ns,
        trials=settings.trials,
        seed=settings.seed,
    )
    if settings.maximum_overfit_gap is not None and walk.overfit_gap > settings.maximum_overfit_gap:
        raise GateError(
            f"overfit gap {walk.overfit_gap:.3f} is above maximum-overfit-gap "
            f"{settings.maximum_overfit_gap:g}: accuracy on train rows is that much above that of later "
            "ones; use fewer or shallower trees"
        )
    return walk


def _combinatorial(
    before: Samples, settings: TrainingSettings, progress: StepProgress, choice: FeatureChoice | None
) -> CombinatorialDiagnosis | None:
    """How much of the result is luck; None when it was not asked for."""
    if settings.cpcv is None:
        return None
    groups, test_groups = settings.cpcv
    fits = math.comb(groups, test_groups) * len(settings.members)
    with progress.step("Combinatorial folds", fits) as advance:
        return diagnose(
            before,
            lambda folds: out_of_fold(
                before,
                folds,
                settings.member_settings,
                # Stacked weights would come from other folds, which have seen these test rows.
                ensemble="vote" if settings.ensemble == "stack" else settings.ensemble,
                weights=settings.ensemble_weights,
                rules=FitRules(choose=choice, early_stopping=settings.early_stopping),
                advance=advance,
                seed=settings.seed,
            ),
            groups=groups,
            test_groups=test_groups,
            names=settings.members,
            horizon=settings.horizon,
            embargo_bars=settings.embargo_bars,
        )


def _judged(before: Samples, oof: OutOfFold, settings: TrainingSettings) -> OutOfFoldRows:
    """Out-of-fold predictions beside what happened."""
    rows = before.take(oof.rows)
    return OutOfFoldRows(
        members=oof.members,
        target=rows.target,
        weight=rows.weight,
        blocks=time_blocks(rows.decision_time_ns, horizon=settings.horizon),
        known_from_ns=rows.known_from_ns,
    )


def fit_model(
    train: Samples,
    calibration: Samples,
    settings: TrainingSettings,
    progress: StepProgress,
    *,
    volatility: VolatilityColumns,
    ensemble: Ensemble | None = None,
    oof: OutOfFoldRows | None = None,
    start: tuple[Member | None, ...] | None = None,
) -> tuple[ScoringModel, ProfileReport]:
    """Fits members, band and dissimilarity on `train`; probabilities and band width on `calibration`.

    Members that the latency profile cannot afford are left out, as `within_profile` says.

    Args:
        train: Rows to learn from.
        calibration: Later rows, which no member sees.
        settings: What to train.
        progress: Shows the steps.
        volatility: Columns that foretell volatility; the band's width follows them.
        ensemble: How members are pooled; all alike when absent.
        oof: Out-of-fold predictions of rows that had settled before calibration begins, by which a
            calibrator is chosen, and by which a latency budget chooses among members.
        start: Fitted members that those of the same place go on from.
    """
    ensemble = ensemble or Ensemble(weights=equal_weights(len(settings.members)))
    rows, stopping = fit_rows(train), stopping_rows(train, settings.early_stopping)

    def fitted(each: MemberSettings, begun: Member | None) -> Member:
        with progress.step(f"Training {each.label}", make_member(each).steps) as advance:
            return fit_member(each, rows, stopping, start=begun, advance=advance)

    members = tuple(side_by_side(fitted, settings.member_settings, start or (None,) * len(settings.members)))
    blocks = time_blocks(calibration.decision_time_ns, horizon=settings.horizon)
    unseen = CalibrationRows(
        X=calibration.X,
        target=calibration.target,
        weight=calibration.weight,
        blocks=blocks,
        classes=train.classes,
    )

    def direct(weights: Ensemble) -> Direction:
        if oof is None or settings.calibrator == VENN_ABERS:
            return fit_direction(members, weights, unseen)
        choice = calibrator_of(settings.calibrator, weights.pool(oof.members), oof)
        return fit_direction(
            members,
            weights,
            unseen,
            calibrator=choice.calibrator,
            candidates=tuple(choice.log_loss.items()),
        )

    with progress.step("Calibration", 1):
        direction = direct(ensemble)
    band_settings = BandSettings(
        target_coverage=settings.target_coverage,
        horizon=settings.horizon,
        seed=settings.seed,
        threads=settings.threads,
    )
    with progress.step("Return band", band_settings.steps) as advance:
        band = fit_return_band(train, settings=band_settings, volatility=volatility, advance=advance)
        band = conformalise(band, calibration.X, calibration.forward_return, blocks)
    with progress.step("Dissimilarity", 1):
        dissimilarity = fit_dissimilarity(train.X, seed=settings.seed)
    with progress.step(f"Latency, profile {settings.profile}", 1):
        return within_profile(
            ScoringModel(direction=direction, band=band, dissimilarity=dissimilarity),
            FittedPool(
                members=members,
                ensemble=ensemble,
                direct=direct,
                rule=None if settings.ensemble == "stack" else partial(_fewer, ensemble),
            ),
            train.X,
            profile=settings.profile,
            budget_us=settings.budget_us,
            oof=oof if oof is not None and len(members) > 1 and len(oof) >= LEAST_WEIGHED_ROWS else None,
            seed=settings.seed,
        )


def _fewer(ensemble: Ensemble, kept: tuple[int, ...]) -> Ensemble:
    """The members of these indices under the same rule, their weights scaled to sum to 1."""
    weights = np.asarray(ensemble.weights)[list(kept)]
    share = weights / weights.sum() if weights.sum() > 0 else np.full(weights.size, 1.0 / weights.size)
    return Ensemble(weights=tuple(share.tolist()), rule=ensemble.rule)


__all__ = ["Prepared", "TrainedModel", "fit_model", "prepare", "train_model", "walk_folds"]
