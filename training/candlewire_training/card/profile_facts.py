"""What the card and the summary say of latency and of transfer: what was chosen, and by which score."""

from typing import TYPE_CHECKING

from candlewire_training.ensemble.profile import ProfileReport
from candlewire_training.validation.transfer import TransferReport

if TYPE_CHECKING:
    from candlewire_training.pipeline import TrainedModel


def profile_facts(report: ProfileReport) -> tuple[tuple[str, str], ...]:
    """Lines of the card's section on the graph."""
    whole, reference = report.whole, report.reference
    times = (
        f"{whole.one_row_us / max(reference.one_row_us, 1e-9):.1f} times at batch 1 and "
        f"{whole.batch_64_us_per_row / max(reference.batch_64_us_per_row, 1e-9):.1f} times at batch 64"
    )
    return (
        ("Latency profile", f"{report.profile}: {profile_score(report)}"),
        (
            "Whole graph",
            (
                f"{whole.one_row_us:.1f} µs at batch 1, {whole.batch_64_us_per_row:.2f} µs a row at batch "
                "64, an empty call taken off"
            ),
        ),
        (
            "Beside 300 trees of depth 6",
            (
                f"{times}; that model takes {reference.one_row_us:.1f} µs and "
                f"{reference.batch_64_us_per_row:.2f} µs in the same run"
            ),
        ),
    )


def profile_score(report: ProfileReport) -> str:
    """What the profile costs in the out-of-fold score, beside the profile `full`."""
    if not report.dropped or report.lost is None:
        return "it holds every member, so its score is that of the profile full"
    lost = report.lost
    return (
        f"it leaves out {', '.join(report.dropped)}; out-of-fold log loss {report.log_loss:.5f}, "
        f"{lost.value:+.5f} [{lost.low:+.5f}, {lost.high:+.5f}] beside the profile full"
    )


def member_weights(trained: "TrainedModel") -> str:
    """Weight of every member asked for in the graph that is written, 0 for those left out of it."""
    direction = trained.model.direction
    kept = dict(zip((member.name for member in direction.members), direction.ensemble.weights, strict=True))
    return ", ".join(
        f"{each.label} {kept.get(each.label, 0.0):.2f}" for each in trained.settings.member_settings
    )


def transfer_facts(report: TransferReport | None) -> tuple[tuple[str, str], ...]:
    """The line on transfer from the pooled model; none when it was not asked for."""
    if report is None:
        return ()
    start = "goes on from the pooled members" if report.admitted else "starts from nothing"
    gain = report.gain
    return (
        (
            "Transfer",
            (
                f"the model {start}: out-of-fold log loss alone minus from pooled {gain.value:+.5f} "
                f"[{gain.low:+.5f}, {gain.high:+.5f}] nats on {report.rows:,} rows of {report.folds} folds"
            ),
        ),
    )


__all__ = ["member_weights", "profile_facts", "profile_score", "transfer_facts"]
