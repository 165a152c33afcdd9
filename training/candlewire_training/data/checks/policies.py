"""What is done about each defect: kept, dropped, flagged or refused. Never repaired."""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from candlewire_training.data.bars import COLUMNS
from candlewire_training.data.checks.catalogue import CHECKS, UNUSABLE
from candlewire_training.data.checks.contract import DROP, FAIL, FLAG, KEEP, POLICIES, Finding, SymbolBars
from candlewire_training.errors import BarsError, SettingsError

FLAG_COLUMN = "defects"
ALL = "all"


def parse_policies(texts: Iterable[str], *, base: Mapping[str, str]) -> dict[str, str]:
    """Policies by defect from `defect=policy` texts, over a base.

    `all=policy` sets every defect that may have it; later texts win.

    Raises:
        SettingsError: A defect or policy is unknown, or the one may not have the other.
    """
    allowed = {check.defect: check.policies for check in CHECKS}
    chosen = dict(base)
    for text in texts:
        defect, _, policy = text.partition("=")
        if policy not in POLICIES:
            raise SettingsError(
                f"policy {text!r} is unknown; write it as gap=flag, with one of {', '.join(POLICIES)}"
            )
        if defect == ALL:
            chosen.update({name: policy for name, policies in allowed.items() if policy in policies})
        elif defect not in allowed:
            raise SettingsError(
                f"defect {defect!r} is unknown; use all or one of {', '.join(sorted(allowed))}"
            )
        elif policy not in allowed[defect]:
            raise SettingsError(
                f"policy {text!r} makes no sense; for {defect} use one of {', '.join(allowed[defect])}"
            )
        else:
            chosen[defect] = policy
    return chosen


def keep_all() -> dict[str, str]:
    """The policies of a check: it looks and touches nothing."""
    return {check.defect: KEEP for check in CHECKS}


def import_defaults() -> dict[str, str]:
    """The policies of an import: what nothing could use is refused, what is only suspect is flagged."""
    return {check.defect: check.on_import for check in CHECKS}


def usable_bars(bars: SymbolBars, *, bad_bars: str, source: str) -> pl.DataFrame:
    """One symbol's bars, oldest first, without any that nothing could use.

    Args:
        bars: The bars.
        bad_bars: `fail` refuses them, `drop` leaves such bars out.
        source: What to call the bars in messages.

    Raises:
        BarsError: There is such a bar and it is refused, or no other.
        SettingsError: The policy is unknown.
    """
    if bad_bars not in {FAIL, DROP}:
        raise SettingsError(f"bad-bars {bad_bars!r} is unknown; use one of {FAIL}, {DROP}")
    found = [one for one in (check.find(bars) for check in UNUSABLE) if one is not None]
    if found and bad_bars == FAIL:
        raise BarsError(
            f"{source}: {found[0].defect} in {bars.symbol}: {found[0].count} of its bars, for example "
            f"{found[0].examples[0]}; repair them, or leave them out with --bad-bars drop"
        )
    kept, _ = apply_policies(bars.frame, found, dict.fromkeys((one.defect for one in found), DROP))
    if kept.is_empty():
        raise BarsError(f"{source}: every bar of {bars.symbol} is bad")
    return kept.select(COLUMNS)


def refused(findings: Iterable[Finding], policies: Mapping[str, str]) -> tuple[Finding, ...]:
    """The findings whose policy is `fail`."""
    return tuple(found for found in findings if policies[found.defect] == FAIL)


def refusal(found: tuple[Finding, ...], source: str) -> BarsError:
    """The error for findings that are not tolerated."""
    first = found[0]
    others = sorted({one.defect for one in found} - {first.defect})
    more = f"; also {', '.join(others)}" if others else ""
    return BarsError(
        f"{source}: {first.defect} in {first.symbol}: {first.count} of its bars, for example"
        f" {first.examples[0]}{more}; repair them, or choose what to do with --on {first.defect}=drop, flag"
        " or keep"
    )


def apply_policies(
    frame: pl.DataFrame, findings: Iterable[Finding], policies: Mapping[str, str]
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Bars without those to drop, with a `defects` column where any are flagged.

    Args:
        frame: One symbol's bars, in the order that the findings' rows go by.
        findings: What was found in them.
        policies: By defect.

    Returns:
        The bars, and how many were dropped by defect.
    """
    found = list(findings)
    dropped = np.zeros(frame.height, dtype=np.bool_)
    counts: dict[str, int] = {}
    for one in found:
        if policies[one.defect] == DROP:
            counts[one.defect] = int((one.rows & ~dropped).sum())
            dropped |= one.rows
    flags = [
        pl.DataFrame({"flag": one.rows})
        .select(pl.when("flag").then(pl.lit(one.defect)))["literal"]
        .alias(one.defect)
        for one in found
        if policies[one.defect] == FLAG
    ]
    if flags:
        text = pl.DataFrame(flags).select(
            pl.concat_str(pl.all(), separator=" ", ignore_nulls=True).alias(FLAG_COLUMN)
        )
        frame = frame.with_columns(text[FLAG_COLUMN])
    return frame.filter(~pl.Series(dropped)), counts


__all__ = [
    "FLAG_COLUMN",
    "apply_policies",
    "import_defaults",
    "keep_all",
    "parse_policies",
    "refusal",
    "refused",
    "usable_bars",
]
