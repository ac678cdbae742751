"""How long to wait before a lost source is tried again.

Invariant: the wait follows from the number of failures alone; it doubles up to a limit, so that
a source that is back is found soon, and one that is gone costs little.
"""

from __future__ import annotations

FIRST_S, MOST_S = 0.25, 8.0


def next_delay_s(failures: int, *, first_s: float = FIRST_S, most_s: float = MOST_S) -> float:
    """Seconds to wait after `failures` >= 1 failed attempts in a row.

    >>> [next_delay_s(n) for n in (1, 2, 3, 99)]
    [0.25, 0.5, 1.0, 8.0]
    """
    return float(min(first_s * 2 ** min(failures - 1, 30), most_s))
