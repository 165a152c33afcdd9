"""The card as Markdown: sample sizes, intervals, baselines and limits, before any number that flatters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from candlewire_training.card.diagnosis_facts import balance_facts, combinatorial_facts, selection_facts
from candlewire_training.card.profile_facts import profile_facts, transfer_facts
from candlewire_training.members.boosted_trees import BoostedTrees

if TYPE_CHECKING:
    from candlewire_training.export.parity import ParityReport
    from candlewire_training.export.timing import GraphTiming
    from candlewire_training.pipeline import TrainedModel
    from candlewire_training.scoring_model import Direction
    from candlewire_training.validation.block_bootstrap import Estimate
    from candlewire_training.validation.evaluation import Evaluation


# Gain over the majority, nats a row, above which a leak is likelier than skill.
LEAK_GAIN = 0.05
# Fewer independent calibration rows than this are told of.
FEW_ROWS = 100


def render_card(
    trained: "TrainedModel", manifest: dict[str, Any], parity: "ParityReport", timing: "GraphTiming"
) -> str:
    """The card of one version."""
    evaluation = trained.evaluation
    parts = [
        f"# {manifest['model']} {manifest['version']}\n",
        _verdict(evaluation, manifest),
        "## What it is\n",
        _identity(trained, manifest),
        "## Direction, on the unseen test part\n",
        _direction(evaluation),
        "## Walk forward and trials\n",
        "".join(f"- {name}: {text}\n" for name, text in walk_forward_facts(trained)),
        "## Calibration\n",
        _reliability(evaluation),
        "## Return band\n",
        _band(trained, evaluation),
        "## The graph\n",
        _graph(parity, timing, manifest),
        "".join(f"- {name}: {text}.\n" for name, text in profile_facts(trained.profile)),
        "## Data\n",
        _data(trained, manifest),
        "## Limits of use\n",
        "".join(f"- {line}\n" for line in limits_of_use(trained, evaluation)),
    ]
    return "\n".join(parts)


def walk_forward_facts(trained: "TrainedModel") -> tuple[tuple[str, str], ...]:
    """(name, text) of the walk forward before the final fit, and of the trials that were counted."""
    settings, walk = trained.settings, trained.walk_forward
    count = settings.trials
    trials = (
        "Trials",
        f"{count}: " + ("a search" if settings.search else "no search") + " over settings was run",
    )
    boosters = [member for member in trained.model.members if isinstance(member, BoostedTrees)]
    rounds = (
        (
            (
                "Early stopping",
                f"on the newest {settings.early_stopping:.0%} of train; rounds kept: "
                + ", ".join(f"{member.name} {member.rounds} of {settings.trees}" for member in boosters),
            ),
        )
        if settings.early_stopping and boosters
        else ()
    )
    diagnosis = (
        *rounds,
        *balance_facts(trained),
        *selection_facts(trained),
        *combinatorial_facts(trained.combinatorial),
    )
    if walk is None:
        return (trials, *diagnosis)
    shares = ", ".join(f"{share:.3f}" for share in walk.confidence_accuracy)
    rises = "rises with" if walk.monotone else "does NOT rise with"
    folds = tuple(
        (
            f"Fold {fold.name}",
            f"{fold.train_rows} rows of train, {fold.test_rows} of test, {fold.purged_rows} purged; log loss "
            f"{fold.log_loss:.4f}; "
            + ", ".join(f"{name} {loss:.4f}" for name, loss in fold.baseline_log_loss.items()),
        )
        for fold in walk.folds
    )
    return (
        trials,
        ("Calibrator", calibrator_text(trained.model.direction)),
        ("Walk forward", f"{len(walk.folds)} folds, {settings.walk_forward}, before the test part"),
        ("Members scored by", walk.scored_by),
        *folds,
        *transfer_facts(trained.transfer),
        ("Gain over majority, out of fold", f"{estimate(walk.gain, 4)} nats a row"),
        ("Overfit gap", f"{walk.overfit_gap:+.3f}, accuracy on train rows minus that on later ones"),
        (
            "Accuracy by confidence, out of fold",
            f"{shares}, least confident fifth first: it {rises} confidence",
        ),
        (
            "Deflated Sharpe ratio",
            (
                f"probability {walk.sharpe.probability:.2f} that the ratio is above zero after {walk.trials} "
                f"trials; {walk.sharpe.sharpe:.3f} a horizon before costs"
            ),
        ),
        *diagnosis,
    )


def leak_warning(trained: "TrainedModel") -> str | None:
    """A sentence when the gain is greater than an honest forecast's; None otherwise."""
    gains = [trained.evaluation.direction["model"].gain]
    if trained.walk_forward is not None:
        gains.append(trained.walk_forward.gain)
    greatest = max(gain.low for gain in gains)
    if greatest < LEAK_GAIN:
        return None
    return (
        f"The gain over the majority baseline is above {greatest:.3f} nats a row, more than honest forecasts "
        "of direction reach: look for a feature that knows the future before you trust this model."
    )


def calibrator_text(direction: "Direction") -> str:
    """Which calibrator states the probability, and what it was chosen among."""
    kind = "venn_abers" if direction.calibrator is None else direction.calibrator.kind
    if len(direction.candidates) < 2:
        return kind
    tried = ", ".join(f"{name} {loss:.4f}" for name, loss in direction.candidates)
    return f"{kind}, by log loss out of fold: {tried}"


def verdict(evaluation: "Evaluation") -> str:
    """One sentence on whether the direction forecast beats knowing nothing."""
    gain = evaluation.direction["model"].gain
    interval = f"{gain.value:+.4f} nats a row, 95 % interval {gain.low:+.4f} to {gain.high:+.4f}"
    if gain.low > 0:
        return f"Direction beats the majority baseline in log loss ({interval})."
    if gain.high < 0:
        return f"Direction is worse than the majority baseline in log loss ({interval}): do not trade on it."
    return f"No skill in direction is shown: the gain over the majority baseline includes zero ({interval})."


def _verdict(evaluation: "Evaluation", manifest: dict[str, Any]) -> str:
    coverage = evaluation.band["model"].coverage
    target = manifest["band"]["target_coverage"]
    return (
        f"{verdict(evaluation)}\n"
        f"The return band covered {estimate(coverage)} of the test rows; its long-run target is "
        f"{target:.2f}.\n"
    )


def estimate(value: "Estimate", digits: int = 3) -> str:
    """A value with its interval."""
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _identity(trained: "TrainedModel", manifest: dict[str, Any]) -> str:
    spec = trained.spec
    rows = [
        (
            "Foretells",
            (
                f"whether the close is higher after {manifest['horizon_bars']} bars of "
                f"{manifest['timeframe']}, and by how much"
            ),
        ),
        ("Symbols", ", ".join(manifest["symbols"])),
        ("Features", f"{len(spec.names)}, preset `{trained.settings.preset}`, hash `{spec.hash[:16]}`"),
        ("Members", ", ".join(manifest["members"])),
        ("Seed", str(trained.settings.seed)),
    ]
    return _table(("", ""), rows)


def _direction(evaluation: "Evaluation") -> str:
    lines = [
        (
            f"{evaluation.rows} rows over {evaluation.decision_times} decision times. Rows overlap and "
            "symbols move "
            f"together: {evaluation.design_effect:.0f} rows count as one (design effect). "
            f"The price rose in {evaluation.base_rate:.3f} of the rows. Brackets are 95 % block-bootstrap "
            "intervals; "
            "`gain` is log loss below the majority baseline's.\n"
        )
    ]
    rows = [
        (name, estimate(r.log_loss, 4), estimate(r.gain, 4), estimate(r.brier, 4), estimate(r.hit_rate))
        for name, r in evaluation.direction.items()
    ]
    lines.append(_table(("forecast", "log loss", "gain", "Brier", "sign called right"), rows))
    decisions = ", ".join(f"{name} {count}" for name, count in evaluation.decisions.items())
    lines.append(f"Signals the policy would have given: {decisions}.\n")
    return "\n".join(lines)


def _reliability(evaluation: "Evaluation") -> str:
    rows = [
        (f"{bin_.low:.3f} to {bin_.high:.3f}", str(bin_.rows), f"{bin_.forecast:.3f}", f"{bin_.happened:.3f}")
        for bin_ in evaluation.reliability
    ]
    return _table(("P(up)", "rows", "mean forecast", "share that rose"), rows)


def _band(trained: "TrainedModel", evaluation: "Evaluation") -> str:
    control = evaluation.band["20-bar deviation"].winkler
    rows = [
        (name, estimate(r.coverage), f"{r.width:.4f}", f"{r.winkler:.4f}", f"{r.winkler / control:.3f}")
        for name, r in evaluation.band.items()
    ]
    low, mid, high = evaluation.coverage_by_volatility
    symbols = ", ".join(
        f"{name} {share:.3f} (n {rows_})" for name, (rows_, share) in evaluation.coverage_by_symbol.items()
    )
    ratio = trained.model.band.trees_winkler_ratio
    trees = (
        "were not tried: too few rows"
        if ratio is None
        else (
            f"{'earned' if trained.model.band.trees else 'did not earn'} their place "
            f"(Winkler score {ratio:.3f} of the band without, on held-back train rows)"
        )
    )
    return (
        _table(("band", "coverage", "mean width", "Winkler", "Winkler / control"), rows)
        + f"\nCoverage by tercile of volatility, calm to wild: {low:.3f}, {mid:.3f}, {high:.3f}. By symbol: "
        f"{symbols}.\n"
        f"Quantile trees {trees}. Width and Winkler are in log return.\n"
    )


def _graph(parity: "ParityReport", timing: "GraphTiming", manifest: dict[str, Any]) -> str:
    near = sum(counts["near_ties"] for counts in parity.decisions.values())
    return (
        f"Parity with the native pipeline on {parity.rows} rows, tree thresholds and edges among them: "
        "largest "
        f"difference of a probability {parity.largest_probability_difference:.1e}, of band and dissimilarity "
        f"{parity.largest_relative_difference:.1e} of their size, 0 decision flips ({near} near ties). Same "
        "bits in "
        f"batches of {', '.join(map(str, parity.batch_sizes))}.\n\n"
        f"{timing.megabytes:.2f} MB; {timing.one_row_us:.0f} µs for one row and "
        f"{timing.batch_64_us_per_row:.1f} µs a "
        "row in batches of 64, one thread, called from Python on the machine that trained it. "
        f"SHA-256 `{manifest['onnx']['sha256'][:16]}`.\n"
    )


def _data(trained: "TrainedModel", manifest: dict[str, Any]) -> str:
    training = manifest["training"]
    rows = [
        (name, str(part["rows"]), part["first_decision"], part["last_decision"])
        for name, part in training["parts"].items()
    ]
    notes = "".join(f"- {note}\n" for note in trained.bars.notes)
    return (
        f"{trained.bars.source}, {training['data']['bars']} bars, fingerprint "
        f"`{training['data']['fingerprint'][:16]}`.\n"
        f"{notes}\n"
        + _table(("part", "rows", "first decision", "last decision"), rows)
        + f"\n{training['purged_rows']} rows were purged or embargoed at the boundaries, "
        f"{training['dropped_rows']} "
        "left out for a feature that was not finite. The test part judged the model once and fitted "
        "nothing.\n"
    )


def limits_of_use(trained: "TrainedModel", evaluation: "Evaluation") -> tuple[str, ...]:
    """What the model must not be used for, a sentence each."""
    lines = [
        "The coverage target holds in the long run over many bars, not per day, week, symbol or crash.",
        (
            "Rows with dissimilarity above 1 lie outside the training data "
            f"({evaluation.outliers:.1%} of the test rows); the index flags outliers, it does not "
            "predict error."
        ),
        "Costs, slippage and fills are not in any number here: this is a forecast, not a backtest.",
        "Symbols in use today were chosen with hindsight (survivorship).",
    ]
    if len(trained.bars.symbols) < 20:
        lines.append(f"{len(trained.bars.symbols)} symbols are few: nothing here speaks for other symbols.")
    interval = trained.model.direction.interval
    independent = interval.rows / interval.design_effect
    if independent < FEW_ROWS:
        lines.append(
            f"Calibration rests on few rows: {interval.rows}, worth {independent:.0f} independent ones; the "
            "interval of the probability and the width of the band are as wide as that asks."
        )
    if (warning := leak_warning(trained)) is not None:
        lines.append(warning)
    if not evaluation.has_skill():
        lines.append("No skill in direction is shown: use the band and the interval, not the signal.")
    return tuple(lines)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


__all__ = ["estimate", "limits_of_use", "render_card", "verdict"]
