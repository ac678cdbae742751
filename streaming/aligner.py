"""The aligner: packets of several modalities in, windows on one time line out.

It stands between sources, which deliver late, twice, out of order or not at all, and models,
which want to see everything that happened in one span of time. It reads no clock and starts no
thread. docs/time-and-windows.md says what each word means.

Invariants: windows are a pure function of the admitted packets and the watermarks, never of
the order of arrival; and pushed = windowed + dropped + pending, always.
"""

from __future__ import annotations

import copy

import numpy as np

from streaming import aligner_kernels as k
from streaming.aligner_kernels import META, READY, admit, close
from streaming.aligner_lanes import Grids, Lane, initial_state
from streaming.errors import UsageError
from streaming.ledger import Counts, Ledger
from streaming.packets import HEADER_COLUMNS, SEQ, T_NS, Int64Array, Modality, PacketBatch, Payload
from streaming.results import Health, HealthKind
from streaming.windows import (
    ClosedBy,
    Grid,
    View,
    ViewState,
    Window,
    WindowSpec,
)

CAPACITY = 1 << 16

_STATES = (ViewState.ABSENT, ViewState.EMPTY, ViewState.GAPPY, ViewState.COMPLETE)
_CLOSED_BY = (None, ClosedBy.WATERMARK, ClosedBy.DEADLINE, ClosedBy.END)


class Aligner:
    """Sliding windows over the modalities of one stream.

    `capacity`: packets of one modality held at most; one more is dropped as "overflow".
    `first_index`: of the first window, for an aligner that takes over from another; what lies
    before that window is late.
    """

    def __init__(
        self, stream: str, spec: WindowSpec, capacity: int = CAPACITY, first_index: int = 0
    ) -> None:
        if capacity < 1:
            raise UsageError(f"stream {stream}: an aligner holds at least 1 packet, not {capacity}")
        self._stream = stream
        self._state = initial_state(stream, spec, capacity)
        self._grids = grids = Grids(int(self._state[:-1, k.GRID_SIZE].sum()))
        self._lanes = [Lane(m, s, self._state[m], grids) for m, s in enumerate(spec.modalities)]
        self._lane_of = {lane.modality: lane for lane in self._lanes}
        self._hop_ns, self._length_ns = spec.hop_ns, spec.length_ns
        self._due_ns = spec.length_ns + spec.deadline_ns if spec.deadline_ns else k.LATEST_NS
        self._due_ns += first_index * spec.hop_ns
        self._state[-1, k.NEXT] = first_index
        self._state[-1, k.CLOSED_END] = first_index * spec.hop_ns
        self._capacity = capacity
        self._index = first_index
        self._closed_end_ns = first_index * spec.hop_ns
        self._flags = 0
        self._health: list[Health] = []
        self._meta = np.zeros(len(self._lanes) * META + 2, np.int64)
        self._empty = _read_only(np.zeros((0, HEADER_COLUMNS), np.int64))
        self._allocate(min(256, _power_of_two(2 * capacity)))

    # ------------------------------------------------------------------ in

    def push(self, batch: PacketBatch) -> None:
        """Take packets, in any order, and what the batch says about progress, end and health."""
        lane = self._lane_of.get(batch.modality)
        header, payloads = batch.header, batch.payloads
        n = len(payloads)
        if lane is None or batch.stream != self._stream or header.shape != (n, HEADER_COLUMNS):
            raise self._misfit(batch)
        if n > lane.room:
            self._make_room(lane, n)
        lane.room -= n
        m = lane.m
        answer = admit(
            self._state, self._rows, self._order, header, m, batch.progress_ns, batch.ended
        )
        if answer < 0:
            order = np.lexsort((header[:, SEQ], header[:, T_NS]))
            payloads = tuple([payloads[i] for i in order.tolist()])
            answer = admit(
                self._state,
                self._rows,
                self._order,
                header[order],
                m,
                batch.progress_ns,
                batch.ended,
            )
        if answer & k.REARRANGED:
            self._rearrange(lane, payloads)
        else:
            lane.payloads.extend(payloads)
        if answer & k.REFUSED:
            self._publish_refusals(lane)
        if batch.health:
            self._health.extend(batch.health)
        self._flags = answer

    def _rearrange(self, lane: Lane, payloads: tuple[Payload, ...]) -> None:
        """Bring the payloads into the order that the kernel has given the rows."""
        line = self._state[lane.m]
        place = int(line[k.PLACE])
        moved = int(line[k.TAIL] - line[k.HEAD]) - place
        pool = [*lane.payloads[place:], *payloads]
        lane.payloads[place:] = [pool[i] for i in self._order[lane.m, :moved].tolist()]

    def _publish_refusals(self, lane: Lane) -> None:
        line = self._state[lane.m]
        latest = max(int(line[k.SEEN]), 0)
        for place, reason in enumerate(k.REASONS):
            count = int(line[k.NOW_DROPPED + place])
            if not count:
                continue
            self._health.append(
                Health(
                    stream=self._stream,
                    kind=HealthKind.LATE if place == k.LATE else HealthKind.DROP,
                    t_ns=min(max(int(line[k.NOW_FIRST + place]), 0), latest),
                    modality=lane.modality,
                    count=count,
                    detail=reason,
                )
            )

    # ------------------------------------------------------------------ out

    def poll(self, now_ns: int | None = None) -> list[Window]:
        """Every window that can be closed now, in order. `now_ns`: stream time, for deadlines."""
        windows: list[Window] = []
        now = k.NEVER_NS if now_ns is None else now_ns
        while self._flags & READY or now >= self._due_ns:
            window = self._close(now)
            if window is None:
                break
            windows.append(window)
        return windows

    def _close(self, now_ns: int) -> Window | None:
        by = _CLOSED_BY[
            close(
                self._state,
                self._rows,
                self._order,
                now_ns,
                self._out,
                self._grids.points,
                self._grids.weight,
                self._grids.mask,
                self._meta,
            )
        ]
        if by is None:
            return None
        meta = self._meta.tolist()
        self._flags = meta[-1]
        headers = self._out[: meta[-2]].copy()
        start_ns = self._index * self._hop_ns
        end_ns = start_ns + self._length_ns
        views, row, at = [], 0, 0
        for lane in self._lanes:
            views.append(self._view(lane, headers, row, meta[at : at + META], start_ns))
            row += meta[at]
            at += META
        window = Window(
            stream=self._stream,
            index=self._index,
            start_ns=start_ns,
            end_ns=end_ns,
            new_from_ns=self._closed_end_ns,
            views=tuple(views),
            closed_by=by,
            health=self._health_until(end_ns) if self._health else (),
        )
        self._index += 1
        self._closed_end_ns = end_ns
        self._due_ns += self._hop_ns
        return window

    def _view(
        self, lane: Lane, headers: Int64Array, row: int, figures: list[int], start_ns: int
    ) -> View:
        n, new_from, covered_ns, state, uncertainty_ns, gone, moved = figures
        payloads = lane.payloads
        view = View(
            modality=lane.modality,
            header=headers[row : row + n] if n else self._empty,
            payloads=tuple(payloads[:n]) if n else (),
            new_from=new_from,
            coverage=covered_ns / self._length_ns,
            state=_STATES[state],
            grid=self._grid(lane, start_ns) if lane.step_ns else None,
            uncertainty_ns=uncertainty_ns,
        )
        if moved:
            payloads[:n] = [payloads[i] for i in self._order[lane.m, gone:n].tolist()]
        elif gone:
            del payloads[:gone]
        return view

    def _grid(self, lane: Lane, start_ns: int) -> Grid:
        left = lane.left.copy()
        return Grid(
            start_ns=start_ns,
            step_ns=lane.step_ns,
            left=left,
            right=lane.right.copy() if lane.linear else left,
            weight=lane.weight.copy() if lane.linear else lane.weight,
            mask=lane.mask.copy(),
        )

    def _health_until(self, end_ns: int) -> tuple[Health, ...]:
        """The waiting health that goes out with a window; all of it with the last one."""
        is_last = bool(self._flags & k.FINISHED)
        due = [h for h in self._health if is_last or h.t_ns < end_ns]
        self._health = [] if is_last else [h for h in self._health if h.t_ns >= end_ns]
        return tuple(sorted(due, key=_health_order))

    def leftover_health(self) -> tuple[Health, ...]:
        """Health that no window carries any more, each item once; empty until `finished`."""
        if not self.finished:
            return ()
        left, self._health = self._health, []
        return tuple(sorted(left, key=_health_order))

    # ------------------------------------------------------------------ accounts

    @property
    def finished(self) -> bool:
        """All modalities have ended and everything has been emitted."""
        return bool(self._flags & k.FINISHED)

    @property
    def last_end_ns(self) -> int:
        """The latest end of any packet that was admitted."""
        return int(self._state[:-1, k.LAST_END].max())

    def frontier_ns(self, modality: Modality) -> int | None:
        """No packet of `modality` before this instant will come; None: none at all."""
        line = self._state[self._lane_of[modality].m]
        if line[k.ENDED]:
            return None
        return int(max(line[k.PROMISE], line[k.SEEN] - self._state[-1, k.LATENESS]))

    def twin(self, deadline_ns: int) -> Aligner:
        """A copy that can be polled with another deadline, leaving this one as it is."""
        twin = copy.copy(self)
        twin._state, twin._rows = self._state.copy(), self._rows.copy()
        twin._order, twin._health = self._order.copy(), []
        twin._state[-1, k.DEADLINE] = deadline_ns
        twin._due_ns = self._index * self._hop_ns + self._length_ns + deadline_ns
        twin._lanes = [copy.copy(lane) for lane in self._lanes]
        for lane in twin._lanes:
            lane.payloads = list(lane.payloads)
        return twin

    def ledger(self) -> Ledger:
        """Where every packet went, as of now."""
        modalities = {lane.modality: self._counts(lane) for lane in self._lanes}
        dropped: dict[str, int] = {}
        for counts in modalities.values():
            for reason, count in counts.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + count
        return Ledger(
            pushed=sum(c.pushed for c in modalities.values()),
            windowed=sum(c.windowed for c in modalities.values()),
            pending=sum(c.pending for c in modalities.values()),
            dropped=dropped,
            modalities=modalities,
        )

    def _counts(self, lane: Lane) -> Counts:
        line = self._state[lane.m]
        held = self._rows[lane.m, line[k.HEAD] : line[k.TAIL], T_NS]
        dropped = line[k.DROPPED : k.DROPPED + len(k.REASONS)].tolist()
        return Counts(
            pushed=int(line[k.PUSHED]),
            windowed=int(line[k.WINDOWED]),
            pending=int(np.count_nonzero(held >= self._closed_end_ns)),
            dropped={r: n for r, n in zip(k.REASONS, dropped, strict=True) if n},
        )

    # ------------------------------------------------------------------ room

    def _allocate(self, capacity: int) -> None:
        lanes = len(self._lanes)
        self._rows = np.zeros((lanes, capacity, HEADER_COLUMNS), np.int64)
        self._order = np.zeros((lanes + 1, capacity), np.int64)
        self._out = np.zeros((lanes * capacity, HEADER_COLUMNS), np.int64)
        for lane in self._lanes:
            lane.room = capacity

    def _make_room(self, lane: Lane, n: int) -> None:
        """Let `n` more rows fit behind TAIL: move the held rows to the front, or grow."""
        need = min(len(lane.payloads) + n, self._capacity)
        rows = self._rows
        if 2 * need > rows.shape[1]:
            self._allocate(_power_of_two(2 * need))
            movers = self._lanes
        else:
            movers = [lane]
        for mover in movers:
            line, held = self._state[mover.m], len(mover.payloads)
            head = int(line[k.HEAD])
            self._rows[mover.m, :held] = rows[mover.m, head : head + held]
            line[k.HEAD], line[k.TAIL] = 0, held
            mover.room = self._rows.shape[1] - held

    def _misfit(self, batch: PacketBatch) -> UsageError:
        wanted = ", ".join(lane.modality for lane in self._lanes)
        return UsageError(
            f"stream {self._stream}: expected batches of this stream with {wanted} and an "
            f"(n, {HEADER_COLUMNS}) header for n payloads; got stream {batch.stream}, "
            f"{batch.modality}, header {batch.header.shape}, {len(batch.payloads)} payloads"
        )


def _health_order(health: Health) -> tuple[int, str, str, str, int]:
    return (health.t_ns, health.modality or "", health.kind, health.detail, health.count)


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 1).bit_length()


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
