"""What the card says of the choice of features and of the combinatorial diagnosis."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from candlewire_training.pipeline import TrainedModel
    from candlewire_training.validation.combinatorial import CombinatorialDiagnosis


def balance_facts(trained: "TrainedModel") -> tuple[tuple[str, str], ...]:
    """The line on balanced classes; none when classes weigh as they come."""
    if not trained.settings.label.balance_classes:
        return ()
    return (
        (
            "Balanced classes",
            (
                "members learn with every class weighing the same; scores out of fold are of their pool "
                "before calibration brings the classes back as they come, those on the test part after it"
            ),
        ),
    )


def selection_facts(trained: "TrainedModel") -> tuple[tuple[str, str], ...]:
    """The line on chosen features; none when all were taken."""
    settings, names = trained.settings, trained.samples.feature_names
    if settings.select_features == 0:
        return ()
    return (
        (
            "Features chosen",
            (
                f"the {settings.select_features} best by {settings.select_by}, on train rows alone and anew "
                f"in each fold; with what the band reads {len(names)} are left: {', '.join(names)}"
            ),
        ),
    )


def combinatorial_facts(diagnosis: "CombinatorialDiagnosis | None") -> tuple[tuple[str, str], ...]:
    """The lines on combinatorial purged cross-validation; none when it was not asked for."""
    if diagnosis is None:
        return ()
    gains = ", ".join(f"{value:+.4f}" for value in diagnosis.gain_quantiles)
    ratios = ", ".join(f"{value:+.3f}" for value in diagnosis.sharpe_quantiles)
    above = sum(gain > 0 for gain in diagnosis.gains)
    paths = len(diagnosis.gains)
    return (
        (
            "Combinatorial folds (diagnosis)",
            (
                f"{diagnosis.folds} purged folds test every {diagnosis.test_groups} of {diagnosis.groups} "
                f"stretches of time and make {paths} paths; they train on later rows too: no track record"
            ),
        ),
        (
            "Gain over majority by path",
            f"least, quartiles, greatest: {gains} nats a row; above zero on {above} of {paths} paths",
        ),
        ("Sharpe ratio by path", f"least, quartiles, greatest: {ratios} a horizon, before costs"),
        (
            "Probability of overfitting (PBO)",
            (
                f"{diagnosis.overfitting:.2f} that the best of {', '.join(diagnosis.candidates)} in one half "
                "of time is below the median in the other"
            ),
        ),
    )


__all__ = ["balance_facts", "combinatorial_facts", "selection_facts"]
