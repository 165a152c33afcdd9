"""Members fitted side by side are those fitted one after the other."""

import threading

import numpy as np
import pytest
from candlewire_training.members.contract import Member, MemberSettings
from candlewire_training.members.registry import make_member
from candlewire_training.members.side_by_side import side_by_side

from tests.training.members.made_rows import features, fit_rows, quick

KINDS = ("logistic", "xgboost", "random_forest", "lightgbm")


def test_the_result_is_that_of_one_after_the_other() -> None:
    rows, X = fit_rows(2), features(2, 500)

    def said(settings: MemberSettings, _: Member | None) -> np.ndarray:  # type: ignore[type-arg]
        return make_member(settings).fit(rows).probabilities(X)

    alone, together = (
        side_by_side(said, [quick(kind, threads=threads) for kind in KINDS], [None] * len(KINDS))
        for threads in (1, 2)
    )
    for kind, one, two in zip(KINDS, alone, together, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=kind)


def test_threads_are_shared_out_and_a_failure_is_the_caller_s() -> None:
    seen: dict[str, tuple[int, str]] = {}

    def note(settings: MemberSettings, _: Member | None) -> str:
        seen[settings.kind] = (settings.threads, threading.current_thread().name)
        if settings.kind == "lightgbm":
            raise ValueError("broken")
        return settings.kind

    with pytest.raises(ValueError, match="broken"):
        side_by_side(note, [quick(kind, threads=8) for kind in KINDS], [None] * len(KINDS))
    assert {threads for threads, _ in seen.values()} == {2}
    assert threading.current_thread().name not in {name for _, name in seen.values()}
    # A lone member keeps all threads, and the caller's own.
    assert side_by_side(note, [quick("xgboost", threads=8)], [None]) == ["xgboost"]
    assert seen["xgboost"] == (8, threading.current_thread().name)
