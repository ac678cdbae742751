"""The offset that most pairs of flash and sound allow: Marzullo's intersection of intervals.

Each flash and the sound after or before it bound the offset from both sides. Invariant: if no
more than a quarter of the pairs are wrong, the true offset lies within the uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import msgspec

from streaming.clock import NS_PER_MS

FAR_NS = 500 * NS_PER_MS  # sound and picture further apart than this are not paired
LEAST_PAIRS = 3
CHANCE = 0.01
WIDE_NS = 150 * NS_PER_MS  # an answer wider than this is none

Span = tuple[int, int]


class Offset(msgspec.Struct, frozen=True, kw_only=True):
    """`offset_ns`: of the sound, positive when it is late. `chance`: that the agreement is one."""

    offset_ns: int
    uncertainty_ns: int
    chance: float
    agreeing: int
    pairs: int


def measure(flashes: Sequence[Span], onsets: Sequence[Span]) -> Offset | None:
    """None: too few pairs, or they do not agree."""
    allowed = [spans for flash in flashes if (spans := _allowed(flash, onsets))]
    needed = max(-(-3 * len(allowed) // 4), -(-len(flashes) // 2), LEAST_PAIRS)
    found = _covered([span for spans in allowed for span in spans], needed)
    if found is None or found[1] - found[0] > WIDE_NS:
        return None
    low, high, agreeing = found
    widths = [b - a for spans in allowed for a, b in spans]
    chance = _chance(agreeing, len(allowed), sum(widths) / len(widths))
    if chance > CHANCE:
        return None
    return Offset(
        offset_ns=(low + high) // 2,
        uncertainty_ns=-(-(high - low) // 2),
        chance=chance,
        agreeing=agreeing,
        pairs=len(allowed),
    )


def _chance(agreeing: int, pairs: int, width_ns: float) -> float:
    """Bound on the probability that so many of the pairs agree though they belong to nothing."""
    share = min(width_ns / FAR_NS, 1.0)  # two intervals meet, anywhere within reach
    return min(comb(pairs, agreeing) * share ** (agreeing - 1), 1.0)


def _allowed(flash: Span, onsets: Sequence[Span]) -> list[Span]:
    """Between which offsets the truth lies, for each sound that may belong to `flash`."""
    spans = ((first - flash[1], last - flash[0]) for first, last in onsets)
    return [span for span in spans if abs(sum(span)) <= 2 * FAR_NS]


def _covered(spans: Sequence[Span], needed: int) -> tuple[int, int, int] | None:
    """First and last point within `needed` spans or more, and the most spans over one point."""
    ends = sorted([(a, -1) for a, _ in spans] + [(b, 1) for _, b in spans])
    over = most = low = high = 0
    for at, side in ends:
        if side < 0:
            over += 1
            low = at if over >= needed > most else low
            most = max(most, over)
        else:
            high = at if over >= needed else high
            over -= 1
    return (low, high, most) if most >= needed else None
