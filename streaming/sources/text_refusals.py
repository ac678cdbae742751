"""How much of a flood of messages is taken, and the account of what is not.

Invariant: what was added to an account is told of exactly once, by kind: the first at once, what
follows at most once a second, so that a flood of messages is no flood of health.
"""

from __future__ import annotations

from streaming.clock import NS_PER_S
from streaming.health import HealthKind

TELL_NS = NS_PER_S
BURST_S = 1.0  # of messages at the full rate that may come at once


class Rate:
    """At most `per_s` messages a second in the long run, and a second's worth at once."""

    def __init__(self, per_s: float) -> None:
        self._cost_ns = round(NS_PER_S / per_s)
        self._most_ns = max(round(BURST_S * NS_PER_S), self._cost_ns)
        self._credit_ns, self._then_ns = self._most_ns, 0

    def admits(self, now_ns: int) -> bool:
        """Whether one more may pass now; session time, never backwards."""
        self._credit_ns = min(self._credit_ns + now_ns - self._then_ns, self._most_ns)
        self._then_ns = now_ns
        if self._credit_ns < self._cost_ns:
            return False
        self._credit_ns -= self._cost_ns
        return True


class Refusals:
    """What was not taken, by kind: how often, and the last reason."""

    def __init__(self) -> None:
        self._counts: dict[HealthKind, tuple[int, str]] = {}
        self._told_ns: dict[HealthKind, int] = {}

    def add(self, kind: HealthKind, reason: str) -> None:
        """Note one."""
        count, _ = self._counts.get(kind, (0, ""))
        self._counts[kind] = count + 1, reason

    def due(self, now_ns: int | None) -> list[tuple[HealthKind, int, str]]:
        """Kind, count and last reason of what is to be told now; all of it without a time."""
        kinds = [kind for kind in self._counts if now_ns is None or self._is_due(kind, now_ns)]
        if now_ns is not None:
            self._told_ns.update(dict.fromkeys(kinds, now_ns))
        return [(kind, *self._counts.pop(kind)) for kind in kinds]

    def _is_due(self, kind: HealthKind, now_ns: int) -> bool:
        told_ns = self._told_ns.get(kind)
        return told_ns is None or now_ns - told_ns >= TELL_NS
