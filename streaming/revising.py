"""Windows that are shown at their deadline and settled later: latency first, then completeness.

An aligner with the longer patience makes the windows that count. What is due before that is shown
from a copy of it, which is thrown away. Invariants: the settled windows are those of a plain
aligner with the longer deadline, bit for bit; a provisional window is followed by exactly one
settled window of its index; the ledger knows nothing of provisional windows. (Where a stream ends
without a packet after what the clock had shown, those windows are settled as they were.)
"""

from __future__ import annotations

import msgspec
import numpy as np

from streaming.aligner import Aligner
from streaming.clock import NS_PER_MS
from streaming.health import Health
from streaming.ledger import Ledger
from streaming.modality import Modality
from streaming.packets import PacketBatch
from streaming.windows import Status, View, Window, WindowSpec

# In a pause, words keep up with the sound but for the way through their process: waiting for that
# saves showing every such window twice.
DERIVED_WAIT_NS = 50 * NS_PER_MS


class RevisingAligner:
    """As `Aligner`, for live streams: `spec.deadline_ns` shows a window, `revise_ns` settles it.

    A modality that comes within `revise_ns` after the deadline settles its windows at once.
    Health of the sources goes out with the next window that is shown for the first time.
    `derived`: modalities made of others. Where they alone are missing, a window is shown at once.
    """

    def __init__(
        self,
        stream: str,
        spec: WindowSpec,
        revise_ns: int,
        first_index: int = 0,
        derived: tuple[Modality, ...] = (),
    ) -> None:
        self._spec = spec
        patient = msgspec.structs.replace(spec, deadline_ns=spec.deadline_ns + revise_ns)
        self._aligner = Aligner(stream, patient, first_index=first_index)
        told = tuple(s.modality for s in spec.modalities if s.modality not in derived)
        self._leading = told if derived else ()
        self._alone_since_ns: int | None = None  # when all but the derived had come
        self._shown: dict[int, Window] = {}
        self._next = first_index  # first index that nothing was shown of
        self._settled_ns = 0
        self._health: list[Health] = []

    def push(self, batch: PacketBatch) -> None:
        """Take packets, as `Aligner.push`."""
        self._health.extend(batch.health)
        self._aligner.push(msgspec.structs.replace(batch, health=()) if batch.health else batch)

    def poll(self, now_ns: int | None = None) -> list[Window]:
        """Every window to be shown or settled now. `now_ns`: stream time."""
        out = [self._settle(window) for window in self._aligner.poll(now_ns)]
        if self._aligner.finished:
            out += [self._settle(self._shown[index]) for index in sorted(self._shown)]
        elif now_ns is not None:
            out += [self._show(window) for window in self._early(self._as_if_ns(now_ns))]
        return out

    @property
    def finished(self) -> bool:
        """All modalities have ended and every window is settled."""
        return self._aligner.finished and not self._shown

    def ledger(self) -> Ledger:
        """Where every packet went, as of now."""
        return self._aligner.ledger()

    def leftover_health(self) -> list[Health]:
        """Health that no window carries any more, each item once; empty until `finished`."""
        if not self.finished:
            return []
        left, self._health = self._health, []
        return [*left, *self._aligner.leftover_health()]

    def _as_if_ns(self, now_ns: int) -> int:
        """The time by which deadlines count: later than now where only the derived are missing,
        and never beyond the end of the rest."""
        if not self._leading:
            return now_ns
        open_ns = [f for m in self._leading if (f := self._aligner.frontier_ns(m)) is not None]
        reached_ns = min(open_ns, default=self._aligner.last_end_ns)
        enough_ns = reached_ns + self._spec.deadline_ns
        by_deadline_ns = now_ns if open_ns else min(now_ns, enough_ns)
        if not self._waited(reached_ns, now_ns):
            return by_deadline_ns
        return max(by_deadline_ns, enough_ns)

    def _waited(self, reached_ns: int, now_ns: int) -> bool:
        """Whether the next window has lacked nothing but the derived for long enough."""
        if reached_ns < self._next * self._spec.hop_ns + self._spec.length_ns:
            return False
        if self._alone_since_ns is None:
            self._alone_since_ns = now_ns
        return now_ns - self._alone_since_ns >= DERIVED_WAIT_NS

    def _early(self, now_ns: int) -> list[Window]:
        """Windows whose deadline is over at `now_ns` and that were not shown."""
        spec = self._spec
        if now_ns < self._next * spec.hop_ns + spec.length_ns + spec.deadline_ns:
            return []
        twin = self._aligner.twin(self._spec.deadline_ns)
        return [window for window in twin.poll(now_ns) if window.index >= self._next]

    def _show(self, window: Window) -> Window:
        self._shown[window.index] = window
        return msgspec.structs.replace(
            window,
            status=Status.PROVISIONAL,
            new_from_ns=max(self._settled_ns, window.start_ns),
            health=self._first(window),
        )

    def _settle(self, window: Window) -> Window:
        window = msgspec.structs.replace(
            window, new_from_ns=max(self._settled_ns, window.start_ns), status=Status.FINAL
        )
        self._settled_ns = window.end_ns
        shown = self._shown.pop(window.index, None)
        if shown is None:
            health = (*self._first(window), *window.health)
            return msgspec.structs.replace(window, health=health)
        if _same(shown, window):
            return window
        return msgspec.structs.replace(window, status=Status.REVISED, revision=1)

    def _first(self, window: Window) -> tuple[Health, ...]:
        """The sources' health, with the first that is shown of an index."""
        self._next = window.index + 1
        self._alone_since_ns = None
        health, self._health = tuple(self._health), []
        return health


def _same(a: Window, b: Window) -> bool:
    """Whether two windows of one index show the same."""
    return all(_same_view(x, y) for x, y in zip(a.views, b.views, strict=True))


def _same_view(a: View, b: View) -> bool:
    alike = a.state == b.state and a.coverage == b.coverage
    return alike and np.array_equal(a.header, b.header)
