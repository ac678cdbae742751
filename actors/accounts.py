"""The account of a stream's packets over the lives of several aligners.

An aligner that takes another's place gets packets a second time, and must not count them twice. A
reader that takes another's place counts from 0, while what the other had read may still come.
Invariant: at a stream's end pushed = windowed + dropped, where "restart" counts packets that went
down with an aligner and did not come again, and those that were lost on the way to it.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from streaming.ledger import Counts

RESTART = "restart"


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What an aligner knew of one stream when it was last heard of.

    `number`: packets that the newest reader, which began at `reader` of the stream's time, had
    handed over to it, as `Packets.number` counts.
    """

    segment: int = 0
    reader: int = 0
    number: int = 0
    pushed: int = 0
    windowed: int = 0
    pending: int = 0
    dropped: dict[str, int] = {}


class Account:
    """Which of a stream's packets are new, which come again, and which never came."""

    def __init__(self, before: Carried | None = None) -> None:
        self._before = before or Carried()
        self._newest = self._before.reader
        self._numbers: dict[int, int] = {} if before else {0: 0}  # of packets, by reader
        self._again = 0
        self._lost = 0

    def take(self, number: int, kept: npt.NDArray[np.bool_], reader: int = 0) -> None:
        """Packets numbered from `number` on come, from the reader that began at `reader` of the
        stream's time; those that are `kept` will be aligned."""
        known_number = self._before.number if reader == self._before.reader else 0
        if reader > self._newest:  # it took the other's place, and has handed over nothing yet
            self._newest = reader
            self._numbers[reader] = 0
        # The first after a change of aligners may be an old one; of an older reader, any.
        first = min(number, known_number) if reader == self._newest else number
        expected = self._numbers.get(reader, first)
        known = max(known_number - number, 0)
        self._again += int(kept[:known].sum())
        self._lost += max(number - expected, 0) + int((~kept[known:]).sum())
        self._numbers[reader] = number + len(kept)

    def carried(self, now: Counts, segment: int = 0) -> Carried:
        """The account as it stands, for the one who may have to take over."""
        whole = self.whole(now)
        return Carried(
            segment=segment,
            reader=self._newest,
            number=self._numbers.get(self._newest, 0),
            pushed=whole.pushed,
            windowed=whole.windowed,
            pending=whole.pending,
            dropped=whole.dropped,
        )

    def whole(self, now: Counts) -> Counts:
        """The stream's account over all its aligners; `now`: of the present one."""
        before = self._before
        twice = self._again - before.pending  # in windows of both
        short = max(-twice, 0)
        dropped = dict(before.dropped)
        for reason, count in now.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
        if short + self._lost:
            dropped[RESTART] = dropped.get(RESTART, 0) + short + self._lost
        return Counts(
            pushed=before.pushed + now.pushed - self._again + self._lost,
            windowed=before.windowed + now.windowed - max(twice, 0),
            pending=now.pending,
            dropped=dropped,
        )
