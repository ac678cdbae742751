"""Whether the readers of one process keep up: what one of them takes, the others lack."""

from __future__ import annotations

from math import exp

from streaming.clock import NS_PER_MS, NS_PER_S

MANY = 4  # when one in so many readers is somewhat late, all of them do with less
ALONE = 5  # times as late, a reader does with less by itself
MEMORY_NS = 1 * NS_PER_S  # of the mean lateness
NEVER_NS = 1 << 60


class Behind:
    """How late each stream is read, and what is to be left out of it.

    While reading is late no picture is looked at, which is most of what it costs. Where it is late
    on average as well, that was not enough, and only key pictures are decoded until the mean has
    halved. When more than a quarter of the streams are late by a tenth of `max_age_ms`, all go
    without; one alone, which may be late for a reason of its own, when it is late by half of it.
    Called from several threads: each writes for its own stream only.
    """

    def __init__(self, max_age_ms: float) -> None:
        self._limit_ns = round(max_age_ms * NS_PER_MS / 10) or NEVER_NS
        self._late_ns: dict[str, float] = {}
        self._mean_ns: dict[str, float] = {}  # exponential, by time
        self._noted_ns: dict[str, int] = {}

    def note(self, stream: str, late_ns: int, now_ns: int) -> None:
        """What came last of `stream` was so late."""
        past_ns = now_ns - self._noted_ns.get(stream, now_ns)
        mean_ns = self._mean_ns.get(stream, 0.0)
        self._mean_ns[stream] = late_ns + (mean_ns - late_ns) * exp(-past_ns / MEMORY_NS)
        self._late_ns[stream] = late_ns
        self._noted_ns[stream] = now_ns

    def forget(self, stream: str) -> None:
        """`stream` is read no more."""
        for kept in (self._late_ns, self._mean_ns, self._noted_ns):
            kept.pop(stream, None)

    def may_look(self, stream: str) -> bool:
        """Whether a picture of `stream` is worth a look."""
        return not self._is_late(stream, self._late_ns, self._limit_ns)

    def must_spare(self, stream: str, *, spares: bool) -> bool:
        """Whether its pictures are not even worth decoding. `spares`: it is so already."""
        return self._is_late(stream, self._mean_ns, self._limit_ns / (2 if spares else 1))

    def _is_late(self, stream: str, late_ns: dict[str, float], limit_ns: float) -> bool:
        if late_ns.get(stream, 0) > ALONE * limit_ns:
            return True
        many = max(len(late_ns) // MANY, 1)
        return sum(by_ns > limit_ns for by_ns in list(late_ns.values())) > many
