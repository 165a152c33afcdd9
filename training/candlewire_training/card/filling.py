"""Fills the card from a training run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost as xgb

from candlewire_training.arrays import F32, F64
from candlewire_training.bands.return_band import LEVELS
from candlewire_training.card.card_data import BandScores, CardData, FoldSpan, ForecastScores, MemberPrice
from candlewire_training.card.diagnostics import (
    by_confidence,
    by_time,
    confusion_matrix,
    contributions,
    information_coefficient,
    reliability_bins,
    shares_of_groups,
)
from candlewire_training.card.explanations import pooled_importances, sampled_contributions
from candlewire_training.card.learning_curves import grows, learning_curve
from candlewire_training.card.markdown import leak_warning, limits_of_use, verdict, walk_forward_facts
from candlewire_training.card.profile_facts import profile_facts
from candlewire_training.card.trades import by_expected_r, r_multiple_facts, r_multiples_of
from candlewire_training.ensemble.budget import leave_one_out_gains
from candlewire_training.groups.regimes import REGIMES, regime_of_rows
from candlewire_training.members.contract import Member
from candlewire_training.validation.block_bootstrap import Estimate, block_estimate, time_blocks
from candlewire_training.validation.proper_scores import winkler

if TYPE_CHECKING:
    from candlewire_training.export.parity import ParityReport
    from candlewire_training.export.timing import GraphTiming
    from candlewire_training.pipeline import TrainedModel
    from candlewire_training.scoring_model import Direction

TERCILES = ("calm", "middling", "wild")
# More folds than this would not fit on the calendar.
MOST_FOLDS = 12
KNOWN_FROM = "the close of the last bar that it needs; splits purge by it"


def card_of(
    trained: "TrainedModel", manifest: dict[str, Any], parity: "ParityReport", timing: "GraphTiming"
) -> CardData:
    """The contents of the card of one version."""
    samples, split, settings = trained.samples, trained.split, trained.settings
    evaluation, names = trained.evaluation, trained.samples.feature_names
    test, train = samples.take(split.test), samples.take(split.train)
    blocks = time_blocks(test.decision_time_ns, horizon=settings.horizon)
    scores = trained.model.score(test.X)
    seed = settings.seed
    right = (scores.probabilities.argmax(axis=1) == test.target).astype(np.float64)
    inside = (scores.band_low <= test.forward_return) & (test.forward_return <= scores.band_high)
    covered = inside.astype(np.float64)
    tercile = np.digitize(test.deviation, np.quantile(test.deviation, (1 / 3, 2 / 3))).astype(np.int64)
    boosters = list(_boosters(trained))
    coverage = evaluation.band["model"].coverage
    shap, shap_of = _contributions(trained, boosters, test.X, train.X)
    growing = _growing(trained.model.direction)
    regime = regime_of_rows(trained.bars, test).astype(np.int64)
    return CardData(
        title=f"{manifest['model']} {manifest['version']}",
        verdicts=(
            *((warning,) if (warning := leak_warning(trained)) else ()),
            verdict(evaluation),
            (
                f"The return band covered {coverage.value:.3f} [{coverage.low:.3f}, "
                f"{coverage.high:.3f}] of the test rows; its long-run target is "
                f"{settings.target_coverage:.2f}."
            ),
        ),
        facts=(
            (
                "Foretells",
                f"{', '.join(samples.classes)} over {settings.horizon} bars of {manifest['timeframe']}",
            ),
            ("Symbols", _some(manifest["symbols"])),
            ("Features", f"{len(names)}, preset {settings.preset}, hash {trained.spec.hash[:16]}"),
            ("Members", ", ".join(manifest["members"])),
            ("Seed", str(seed)),
            ("Libraries", ", ".join(f"{k} {v}" for k, v in manifest["training"]["libraries"].items())),
        ),
        data=(
            ("Source", trained.bars.source),
            ("Bars", f"{trained.bars.frame.height:,} of {manifest['timeframe']}"),
            ("Fingerprint", trained.bars.fingerprint),
            (
                "Left out",
                f"{split.purged_rows:,} rows purged or embargoed, {samples.dropped_rows:,} not finite",
            ),
        ),
        notes=tuple(trained.bars.notes),
        labels=(
            ("Classes", ", ".join(samples.classes)),
            ("Horizon", f"{settings.horizon} bars"),
            ("Known from", KNOWN_FROM),
            *r_multiple_facts(trained),
        ),
        class_shares=tuple(
            (name, float(np.mean(train.target == index)), float(np.mean(test.target == index)))
            for index, name in enumerate(samples.classes)
        ),
        folds=(_span("split", trained), *_fold_spans(trained)),
        forecasts=tuple(
            _forecasts(trained, information_coefficient(scores.up, test.forward_return, blocks, seed=seed))
        ),
        sample_note=(
            f"{evaluation.rows:,} rows over {evaluation.decision_times:,} decision times. Rows overlap and "
            f"symbols move together: {evaluation.design_effect:.0f} rows count as one (design effect). "
            "Brackets are 95 % block-bootstrap intervals."
        ),
        reliability=reliability_bins(scores.up, test.up, blocks, seed=seed),
        classes=samples.classes,
        confusion=confusion_matrix(scores.probabilities, test.target),
        accuracy_by_confidence=by_confidence(scores.probabilities, test.target, blocks, seed=seed),
        accuracy_by_time=by_time(right, test.decision_time_ns, blocks, seed=seed),
        expected_r=by_expected_r(
            r_multiples_of(trained).expected(scores.probabilities), test.r_multiple, blocks, seed=seed
        ),
        bands=tuple(_bands(trained, test.X, test.forward_return, blocks)),
        band_candidates=_candidates(trained),
        coverage_by_regime=(
            *shares_of_groups(covered, tercile, TERCILES, blocks, seed=seed),
            *shares_of_groups(covered, regime, REGIMES, blocks, seed=seed),
        ),
        coverage_by_symbol=shares_of_groups(
            covered, test.symbol_index.astype(np.int64), test.symbols, blocks, seed=seed
        ),
        importances=pooled_importances(
            trained.model.members, trained.model.direction.ensemble.weights, names
        ),
        shap=shap,
        shap_of=shap_of,
        learning_curves=tuple(
            learning_curve(growing, part.X, part.target, name=name)
            for name, part in (("train", train), ("test", test))
        )
        if growing is not None
        else (),
        learning_of=growing.name if growing is not None else "",
        trials=walk_forward_facts(trained),
        members=_prices(trained),
        graph=(
            ("Size", f"{timing.megabytes:.2f} MB"),
            (
                "Latency",
                (
                    f"{timing.one_row_us:.0f} µs for one row, {timing.batch_64_us_per_row:.1f} µs a row in "
                    "batches of 64; one thread, called from Python on the machine that trained it"
                ),
            ),
            (
                "Parity",
                (
                    f"{parity.rows:,} rows, largest difference of a probability "
                    f"{parity.largest_probability_difference:.1e}, no decision flips; same "
                    f"bits in batches of {', '.join(map(str, parity.batch_sizes))}"
                ),
            ),
            *profile_facts(trained.profile),
            ("SHA-256", manifest["onnx"]["sha256"]),
        ),
        limits=limits_of_use(trained, evaluation),
    )


def _contributions(
    trained: "TrainedModel", boosters: list[xgb.Booster], X: F32, background: F32
) -> tuple[tuple[tuple[str, float], ...], str]:
    """SHAP values, exact for a lone XGBoost member and sampled for all else, and what they add up to."""
    names, direction = trained.samples.feature_names, trained.model.direction
    if len(direction.members) == 1 and boosters and (exact := contributions(boosters[0], X, names)):
        return exact, "the margin"
    sampled = sampled_contributions(
        lambda rows: direction.ensemble.pool(direction.member_probabilities(rows))[:, -1],
        X,
        background,
        names,
        seed=trained.settings.seed,
    )
    return sampled, f"P({direction.classes[-1]}) before calibration, sampled"


def _growing(direction: "Direction") -> Member | None:
    """The member of greatest weight among those that grow."""
    weighed = zip(direction.ensemble.weights, direction.members, strict=True)
    return max(
        ((weight, member) for weight, member in weighed if grows(member)),
        key=lambda pair: pair[0],
        default=(0.0, None),
    )[1]


def _fold_spans(trained: "TrainedModel") -> Iterator[FoldSpan]:
    """Test rows of the walk forward."""
    if trained.walk_forward is not None and len(trained.walk_forward.folds) <= MOST_FOLDS:
        for fold in trained.walk_forward.folds:
            yield FoldSpan(
                name=fold.name, spans=(("test", fold.first_test_ns, fold.last_test_ns, fold.test_rows),)
            )


def _prices(trained: "TrainedModel") -> tuple[MemberPrice, ...]:
    """What each member costs alone, those left out included, and what it adds to the out-of-fold log loss."""
    direction, settings = trained.model.direction, trained.settings
    weights = dict(
        zip((member.name for member in direction.members), direction.ensemble.weights, strict=True)
    )
    prices = trained.profile.prices
    gains: tuple[Estimate | None, ...] = (None,) * len(prices)
    if trained.oof is not None:
        before = trained.samples.take(np.concatenate((trained.split.train, trained.split.calibration)))
        rows = before.take(trained.oof.rows)
        blocks = time_blocks(rows.decision_time_ns, horizon=settings.horizon)
        gains = leave_one_out_gains(trained.oof.members, rows.target, rows.weight, blocks, seed=settings.seed)
    return tuple(
        MemberPrice(
            name=price.name,
            weight=weights.get(price.name, 0.0),
            one_row_us=price.one_row_us,
            batch_64_us_per_row=price.batch_64_us_per_row,
            megabytes=price.megabytes,
            gain=gain,
        )
        for price, gain in zip(prices, gains, strict=True)
    )


def _boosters(trained: "TrainedModel") -> Iterator[xgb.Booster]:
    for member in trained.model.members:
        booster = getattr(member, "booster_", None)
        if isinstance(booster, xgb.Booster):
            yield booster


def _some(names: list[str], most: int = 30) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _span(name: str, trained: "TrainedModel") -> FoldSpan:
    times = trained.samples.decision_time_ns
    parts = (
        ("train", trained.split.train),
        ("calibration", trained.split.calibration),
        ("test", trained.split.test),
    )
    return FoldSpan(
        name=name,
        spans=tuple(
            (part, int(times[rows].min()), int(times[rows].max()), int(rows.size)) for part, rows in parts
        ),
    )


def _forecasts(trained: "TrainedModel", coefficient: Any) -> Iterator[ForecastScores]:  # noqa: ANN401
    for name, result in trained.evaluation.direction.items():
        yield ForecastScores(
            name=name,
            log_loss=result.log_loss,
            brier=result.brier,
            hit_rate=result.hit_rate,
            gain=result.gain,
            information_coefficient=coefficient if name == "model" else None,
        )


def _bands(trained: "TrainedModel", X: Any, realised: F64, blocks: Any) -> Iterator[BandScores]:  # noqa: ANN401
    band, results = trained.model.band, trained.evaluation.band
    control = results["20-bar deviation"].winkler
    for level in sorted(LEVELS, key=lambda level: (level != band.target_coverage, level)):
        low, _, high = band.at_level(level).apply(X)
        covered = ((low <= realised) & (realised <= high)).astype(np.float64)
        score = float(winkler(low, high, realised, target_coverage=level).mean())
        yield BandScores(
            name="model" if level == band.target_coverage else f"model at {level:.0%}",
            level=level,
            coverage=block_estimate(covered, blocks, seed=trained.settings.seed),
            width=float(np.mean(high - low)),
            winkler=score,
            winkler_ratio=score / control if level == band.target_coverage else float("nan"),
        )
    for name, result in results.items():
        if name != "model":
            yield BandScores(
                name=name,
                level=band.target_coverage,
                coverage=result.coverage,
                width=result.width,
                winkler=result.winkler,
                winkler_ratio=result.winkler / control,
            )


def _candidates(trained: "TrainedModel") -> tuple[tuple[str, float, float], ...]:
    band = trained.model.band
    tried = dict(band.candidates)
    if band.kind not in tried:
        return ()
    return tuple(
        (
            f"{kind} (admitted)" if kind == band.kind else kind,
            one.winkler / tried[band.kind].winkler,
            one.coverage,
        )
        for kind, one in band.candidates
    )


__all__ = ["card_of"]
