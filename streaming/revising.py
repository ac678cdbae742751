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

from streaming.aligner import Aligner, Ledger
from streaming.health import Health
from streaming.packets import PacketBatch
from streaming.windows import Status, View, Window, WindowSpec


class RevisingAligner:
    """As `Aligner`, for live streams: `spec.deadline_ns` shows a window, `revise_ns` settles it.

    A modality that comes within `revise_ns` after the deadline settles its windows at once.
    Health of the sources goes out with the next window that is shown for the first time.
    """

    def __init__(self, stream: str, spec: WindowSpec, revise_ns: int, first_index: int = 0) -> None:
        self._spec = spec
        patient = msgspec.structs.replace(spec, deadline_ns=spec.deadline_ns + revise_ns)
        self._aligner = Aligner(stream, patient, first_index=first_index)
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
        elif now_ns is not None and now_ns >= self._due_ns():
            out += [self._show(window) for window in self._early(now_ns)]
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

    def _due_ns(self) -> int:
        spec = self._spec
        return self._next * spec.hop_ns + spec.length_ns + spec.deadline_ns

    def _early(self, now_ns: int) -> list[Window]:
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
        health, self._health = tuple(self._health), []
        return health


def _same(a: Window, b: Window) -> bool:
    """Whether two windows of one index show the same."""
    return all(_same_view(x, y) for x, y in zip(a.views, b.views, strict=True))


def _same_view(a: View, b: View) -> bool:
    alike = a.state == b.state and a.coverage == b.coverage
    return alike and np.array_equal(a.header, b.header)
