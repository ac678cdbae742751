"""The aligner as docs/time-and-windows.md says it, in plain Python and without a thought for speed.

It keeps every packet it ever admitted and works each window out from scratch. Only its meaning
counts: the property tests hold the real aligner equal to it.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np

from streaming.packets import Packet, PacketBatch
from streaming.results import Health, HealthKind
from streaming.windows import (
    ClosedBy,
    Grid,
    ModalitySpec,
    Resampling,
    View,
    ViewState,
    Window,
    WindowSpec,
)

HOUR_NS = 3_600_000_000_000
INFINITY = 1 << 62


def key(p: Packet) -> tuple[int, int]:
    return p.t_ns, p.seq


def span_end(p: Packet) -> int:
    return p.t_ns + max(p.duration_ns, 1)


class Source:
    """One modality: everything that was admitted, promised and dropped."""

    def __init__(self, spec: ModalitySpec) -> None:
        self.spec = spec
        self.admitted: list[Packet] = []
        self.promise = 0
        self.seen: int | None = None
        self.ended = False
        self.pushed = 0
        self.dropped: Counter[str] = Counter()

    def frontier(self, lateness_ns: int) -> int:
        if self.ended:
            return INFINITY
        return max(self.promise, -1 if self.seen is None else self.seen - lateness_ns)

    def alive_until(self, lateness_ns: int) -> int:
        if not self.ended:
            return self.frontier(lateness_ns)
        return max([self.promise, self.seen or 0, *map(span_end, self.admitted)])


class ReferenceAligner:
    def __init__(self, stream: str, spec: WindowSpec, capacity: int = 1 << 16) -> None:
        self.stream, self.spec, self.capacity = stream, spec, capacity
        self.sources = {s.modality: Source(s) for s in spec.modalities}
        self.index = 0
        self.closed_end = 0
        self.waiting: list[Health] = []

    # -- in

    def push(self, batch: PacketBatch) -> None:
        source = self.sources[batch.modality]
        refused: dict[str, list[Packet]] = {}
        for p in sorted(batch.packets(), key=key):
            source.pushed += 1
            reason = self.refusal(source, p)
            if reason != "invalid" and not source.ended:
                source.seen = p.t_ns if source.seen is None else max(source.seen, p.t_ns)
            if reason:
                source.dropped[reason] += 1
                refused.setdefault(reason, []).append(p)
            else:
                source.admitted.append(p)
        for reason, packets in refused.items():
            self.waiting.append(self.drop_health(source, reason, packets))
        if not source.ended:
            source.promise = max(source.promise, min(batch.progress_ns, INFINITY))
            source.ended = batch.ended
        self.waiting += batch.health

    def refusal(self, source: Source, p: Packet) -> str:
        if not 0 <= p.duration_ns <= HOUR_NS or p.t_ns > INFINITY:
            return "invalid"
        if p.t_ns < 0:
            return "before_origin"
        if source.ended or p.t_ns < self.closed_end:
            return "late"
        if any(key(p) == key(q) for q in source.admitted):
            return "duplicate"
        next_start = self.index * self.spec.hop_ns
        held = [q for q in source.admitted if span_end(q) > next_start]
        return "overflow" if len(held) >= self.capacity else ""

    def drop_health(self, source: Source, reason: str, packets: list[Packet]) -> Health:
        return Health(
            stream=self.stream,
            kind=HealthKind.LATE if reason == "late" else HealthKind.DROP,
            t_ns=min(max(packets[0].t_ns, 0), max(source.seen or 0, 0)),
            modality=source.spec.modality,
            count=len(packets),
            detail=reason,
        )

    # -- out

    def last_end(self) -> int:
        return max([0, *(span_end(p) for s in self.sources.values() for p in s.admitted)])

    def all_ended(self) -> bool:
        return all(s.ended for s in self.sources.values())

    @property
    def finished(self) -> bool:
        return self.all_ended() and self.last_end() <= self.closed_end

    def closing(self, end: int, now_ns: int | None) -> ClosedBy | None:
        if self.all_ended():
            if end <= self.last_end():
                return ClosedBy.WATERMARK
            return ClosedBy.END if self.last_end() > self.closed_end else None
        watermark = min(s.frontier(self.spec.lateness_ns) for s in self.sources.values())
        if watermark >= end:
            return ClosedBy.WATERMARK
        deadline = self.spec.deadline_ns
        if deadline and now_ns is not None and end + deadline <= now_ns:
            return ClosedBy.DEADLINE
        return None

    def poll(self, now_ns: int | None = None) -> list[Window]:
        windows = []
        while True:
            start = self.index * self.spec.hop_ns
            end = start + self.spec.length_ns
            by = self.closing(end, now_ns)
            if by is None:
                return windows
            views = tuple(self.view(s, start, end) for s in self.sources.values())
            new_from, self.closed_end = self.closed_end, end
            self.index += 1
            windows.append(
                Window(
                    stream=self.stream,
                    index=self.index - 1,
                    start_ns=start,
                    end_ns=end,
                    new_from_ns=new_from,
                    views=views,
                    closed_by=by,
                    health=self.due_health(end),
                )
            )

    def due_health(self, end: int) -> tuple[Health, ...]:
        due = [h for h in self.waiting if self.finished or h.t_ns < end]
        self.waiting = [h for h in self.waiting if h not in due]
        return tuple(
            sorted(due, key=lambda h: (h.t_ns, h.modality or "", h.kind, h.detail, h.count))
        )

    def view(self, source: Source, start: int, end: int) -> View:
        rows = sorted((p for p in source.admitted if p.t_ns < end and span_end(p) > start), key=key)
        covered = self.covered_ns(source, rows, start, end)
        header = [(p.seq, p.t_ns, p.duration_ns, p.uncertainty_ns, p.received_ns) for p in rows]
        return View(
            modality=source.spec.modality,
            header=np.array(header, np.int64).reshape(-1, 5),
            payloads=tuple(p.payload for p in rows),
            new_from=sum(p.t_ns < self.closed_end for p in rows),
            coverage=covered / (end - start),
            state=self.state(source.spec, rows, Fraction(covered, end - start)),
            grid=grid(source.spec, rows, start, end) if source.spec.grid_hz else None,
            uncertainty_ns=max([0, *(p.uncertainty_ns for p in rows)]),
        )

    def state(self, spec: ModalitySpec, rows: list[Packet], coverage: Fraction) -> ViewState:
        if spec.continuous:
            if not rows:
                return ViewState.ABSENT
            return ViewState.COMPLETE if coverage >= Fraction(9, 10) else ViewState.GAPPY
        if rows:
            return ViewState.COMPLETE
        return ViewState.EMPTY if coverage > 0 else ViewState.ABSENT

    def covered_ns(self, source: Source, rows: list[Packet], start: int, end: int) -> int:
        if not source.spec.continuous:
            alive = source.alive_until(self.spec.lateness_ns)
            return max(min(alive, end) - start, 0)
        if not rows:
            return 0
        gap = source.spec.max_gap_ns
        known = rows + [p for p in source.admitted if span_end(p) <= start]
        pieces = [(p.t_ns, p.t_ns + (p.duration_ns or max(gap, 1))) for p in known]
        # Holes: between the true end of all before and the next packet, or the window's end.
        known.sort(key=key)
        marks = [(p.t_ns, p.t_ns + p.duration_ns) for p in known]
        for i, (t, _) in enumerate([*marks[1:], (end, end)]):
            reach = max(e for _, e in marks[: i + 1])
            if 0 < t - reach <= gap:
                pieces.append((reach, t))
        return union_ns(pieces, start, end)

    # -- accounts

    def pending(self, source: Source) -> int:
        return sum(p.t_ns >= self.closed_end for p in source.admitted)


def union_ns(pieces: list[tuple[int, int]], start: int, end: int) -> int:
    """Length of the union of `pieces` inside `[start, end)`."""
    edges = sorted({start, end, *(min(max(e, start), end) for piece in pieces for e in piece)})
    return sum(b - a for a, b in pairwise(edges) if any(p <= a and b <= q for p, q in pieces))


def grid(spec: ModalitySpec, rows: list[Packet], start: int, end: int) -> Grid:
    step = round(1_000_000_000 / spec.grid_hz)
    points = [point(spec, rows, t) for t in range(start, end, step)]
    left = np.array([p[0] for p in points], np.int64)
    return Grid(
        start_ns=start,
        step_ns=step,
        left=left,
        right=np.array([p[1] for p in points], np.int64),
        weight=np.array([p[2] for p in points], np.float32),
        mask=left >= 0,
    )


def point(spec: ModalitySpec, rows: list[Packet], t: int) -> tuple[int, int, float]:
    masked = (-1, -1, 0.0)
    if spec.resampling is Resampling.NEAREST:
        best = min(range(len(rows)), key=lambda i: abs(rows[i].t_ns - t), default=-1)
        near = best >= 0 and abs(rows[best].t_ns - t) <= spec.tolerance_ns
        return (best, best, 0.0) if near else masked
    exact = [i for i, p in enumerate(rows) if p.t_ns == t]
    if exact:
        return exact[0], exact[0], 0.0
    left = [i for i, p in enumerate(rows) if p.t_ns < t]
    right = [i for i, p in enumerate(rows) if p.t_ns > t]
    if not left or not right:
        return masked
    a, b = left[-1], right[0]
    before, after = t - rows[a].t_ns, rows[b].t_ns - t
    if max(before, after) > spec.tolerance_ns:
        return masked
    return a, b, before / (before + after)
