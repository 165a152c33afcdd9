"""The report as a picture: answers a second of every server under each closed load, on a log scale."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loads import Rounds

WIDTH, LABEL, LINE, BAR = 860, 330, 18, 12
COLOURS = ("#0b7285", "#868e96", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c")


def svg(results: Mapping[str, Mapping[str, Rounds]]) -> str:
    """One group of bars a load; the longer the bar, the more answers a second."""
    loads = {load: rates for load, peers in results.items() if len(rates := _rates(peers)) == len(peers)}
    rates = [rate for rates in loads.values() for rate in rates.values()]
    names = list(dict.fromkeys(peer for rates in loads.values() for peer in rates))
    least, most = math.log10(min(rates)) - 0.2, math.log10(max(rates))
    rows, y = [], 30
    for load, rate_of in loads.items():
        y += 12
        rows.append(f'<text x="8" y="{y}" font-weight="bold">{escape(load)}</text>')
        y += 6
        for peer, rate in rate_of.items():
            length = (WIDTH - LABEL - 190) * (math.log10(rate) - least) / (most - least)
            colour = COLOURS[names.index(peer) % len(COLOURS)]
            p99 = results[load][peer].median("latency_us", "p99")
            rows += [
                f'<text x="{LABEL - 8}" y="{y + BAR}" text-anchor="end">{escape(peer)}</text>',
                f'<rect x="{LABEL}" y="{y + 2}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>',
                f'<text x="{LABEL + length + 6:.1f}" y="{y + BAR}">{rate:,.0f}/s, p99 {p99:,.0f} µs</text>',
            ]
            y += LINE
        y += 8
    title = "Answers a second (log scale) and p99, medians of the rounds"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 10}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="8" y="20" font-size="14">{title}</text>\n' + "\n".join(rows) + "\n</svg>\n"
    )


def _rates(peers: Mapping[str, Rounds]) -> dict[str, float]:
    """Answers a second of those of which they are known."""
    return {peer: rounds.rate for peer, rounds in peers.items() if rounds.rate is not None}
