"""A whole recording aligned at once: arrays instead of windows, each packet seen once.

For replay and study, where everything has come and no window object is wanted.
Invariant: what is said of a window here is what the aligner says of it live.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from streaming import aligner_kernels as k
from streaming.aligner_lanes import initial_state
from streaming.packets import DURATION_NS, SEQ, T_NS, Float32Array, Int64Array
from streaming.windows import WindowSpec


class ModalityAlignment(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One modality in K windows.

    `header`: int64 (n, 5), the admitted packets sorted by (T_NS, SEQ); `source_rows`: (n,) where
    each stood in the input. The packets of window k lie in rows first[k]..last[k] (half-open);
    where spans of unequal length overlap, some between may have ended before: see `members`.
    `coverage`: float64 (K,). `state`: int8 (K,) absent, empty, gappy, complete as 0..3.
    `left`, `right`: int64 (K, G) rows of `header`, -1 where masked; `weight`: float32 (K, G).
    """

    header: Int64Array
    source_rows: Int64Array
    first: Int64Array
    last: Int64Array
    coverage: npt.NDArray[np.float64]
    state: npt.NDArray[np.int8]
    left: Int64Array
    right: Int64Array
    weight: Float32Array

    def members(self, index: int, start_ns: int) -> Int64Array:
        """Rows of `header` that belong to window `index`, which begins at `start_ns`."""
        rows = np.arange(self.first[index], self.last[index])
        ends = self.header[rows, T_NS] + np.maximum(self.header[rows, DURATION_NS], 1)
        return rows[ends > start_ns]


class Alignment(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """K windows over M modalities. `start_ns`: int64 (K,); `has_end`: the last closed by END."""

    start_ns: Int64Array
    has_end: bool
    modalities: tuple[ModalityAlignment, ...]


LENGTH_NS = 0  # beside T_NS = 1, the columns of `spans`


@k.kernel
def _scan(header: Any, spans: Any) -> Any:
    """Write (duration, time) of each row to `spans`: the passes to come then touch less memory.

    Returns whether all rows are admissible, in order and different as they stand; whether they
    end in order too; and the last end.
    """
    last_end, clean, whole = 0, True, True
    for i in range(header.shape[0]):
        t, duration = header[i, T_NS], header[i, DURATION_NS]
        spans[i, LENGTH_NS], spans[i, T_NS] = duration, t
        clean &= 0 <= t <= k.LATEST_NS and 0 <= duration <= k.HOUR_NS
        if i > 0:
            clean &= k.before(header, i - 1, header, i)
        stop = t + max(duration, 1)
        whole &= stop >= last_end
        last_end = max(last_end, stop)
    return clean, whole, last_end


@k.kernel
def _stop(spans: Any, i: int) -> int:
    return spans[i, T_NS] + max(spans[i, LENGTH_NS], 1)


@k.kernel
def _coverage(spans: Any, gap: int, hop: int, length: int, ranges: Any, covered: Any) -> None:
    """Row ranges and covered time of every window, in one pass over the packets.

    Two marks walk along: `a`, the first row after the window's start, and `b`, the first at or
    after its end. Line i of `before` says of the rows before i how far they truly reach, how
    far they hold good, and how long their holes are together.
    """
    n, first, a, b = spans.shape[0], 0, 0, 0
    reach = cover = k.NEVER_NS
    holes = 0
    before = np.empty((n + 1, 3), np.int64)
    before[0, 0], before[0, 1], before[0, 2] = reach, cover, holes
    for w in range(covered.shape[0]):
        start, end = w * hop, w * hop + length
        while first < n and _stop(spans, first) <= start:
            first += 1
        while a < n and spans[a, T_NS] <= start:
            a += 1
        while b < n and spans[b, T_NS] < end:
            t, duration = spans[b, T_NS], spans[b, LENGTH_NS]
            holes += max(t - cover, 0) * (t - reach > gap)  # a branch would be taken by chance
            reach = max(reach, t + duration)
            cover = max(cover, t + (duration if duration > 0 else max(gap, 1)))
            b += 1
            before[b, 0], before[b, 1], before[b, 2] = reach, cover, holes
        ranges[0, w] = ranges[1, w] = covered[w] = 0
        if first >= b:
            continue
        ranges[0, w], ranges[1, w] = first, b
        open_ns = holes
        if a < b:
            t, cover_a = spans[a, T_NS], before[a, 1]
            open_ns -= before[a, 2]
            if t > cover_a and t - before[a, 0] > gap:
                open_ns -= max(start - cover_a, 0)
        else:
            open_ns = 0
        if end > cover and end - reach > gap:
            open_ns += end - max(start, cover)
        covered[w] = length - open_ns


@k.kernel
def _members(spans: Any, low: int, high: int, start: int, rows: Any) -> int:
    """Write the rows of low..high that reach past `start` to `rows`; return how many."""
    n = 0
    for i in range(low, high):
        if _stop(spans, i) > start:
            rows[n] = i
            n += 1
    return n


@k.kernel
def _grids(
    line: Any, spans: Any, whole: bool, hop: int, ranges: Any, points: Any, weight: Any
) -> None:
    """The same grid as live, window by window, on the rows that belong to each.

    `whole`: packets end in order, so that none inside a window's range ended before the window.
    """
    step, tolerance = line[k.STEP], line[k.TOLERANCE]
    rows = np.empty(0 if whole else spans.shape[0], np.int64)
    for w in range(ranges.shape[1]):
        low, high, start, held = ranges[0, w], ranges[1, w], w * hop, spans
        n = high - low
        if not whole:
            n = _members(spans, low, high, start, rows)
            low, held = 0, spans[rows[:n]]
        left, right = points[w, 0], points[w, 1]
        if line[k.LINEAR]:
            k.linear(held, low, n, start, step, tolerance, left, right, weight[w])
            _name(right, low, rows, whole)
        else:
            k.nearest(held, low, n, start, step, tolerance, left)
        _name(left, low, rows, whole)


@k.kernel
def _name(points: Any, low: int, rows: Any, whole: bool) -> None:
    """From rows of the view to rows of the header."""
    for i in range(points.shape[0]):
        if points[i] >= 0:
            points[i] = low + points[i] if whole else rows[points[i]]


def align_arrays(
    spec: WindowSpec, headers: Sequence[Int64Array], ended_ns: Sequence[int] | None = None
) -> Alignment:
    """Windows over a finished recording: one (n, 5) header for each modality of `spec`.

    `ended_ns`: when each source ended, at the latest its last packet's end (the default).
    Packets that can never be admitted (invalid, before the origin, duplicate) are left out;
    none is late, for all of them have come.
    """
    state = initial_state("recording", spec, 1)
    admitted = [_admissible(header) for header in headers]
    count, has_end = _window_count(spec, max(a.last_end for a in admitted))
    starts = np.arange(count) * spec.hop_ns
    modalities = []
    for m, rows in enumerate(admitted):
        state[m, k.ENDED_AT] = max(rows.last_end, ended_ns[m] if ended_ns else 0)
        modalities.append(_modality(spec, state[m], rows, starts))
    return Alignment(start_ns=starts, has_end=has_end, modalities=tuple(modalities))


class _Admitted(NamedTuple):
    header: Int64Array
    source_rows: Int64Array
    spans: Int64Array
    whole: bool
    last_end: int


def _admissible(header: Int64Array) -> _Admitted:
    """The rows that can be admitted, in order."""
    spans, rows = np.empty((len(header), 2), np.int64), np.arange(len(header))
    clean, whole, last_end = _scan(header, spans)
    if clean:
        return _Admitted(header, rows, spans, whole, last_end)
    rows = np.lexsort((header[:, SEQ], header[:, T_NS]))
    t, duration = header[rows, T_NS], header[rows, DURATION_NS]
    fits = (t >= 0) & (t <= k.LATEST_NS) & (duration >= 0) & (duration <= k.HOUR_NS)
    rows = rows[fits]
    keys = header[rows][:, (T_NS, SEQ)]
    rows = rows[np.append(True, (keys[1:] != keys[:-1]).any(axis=1))[: len(rows)]]
    header, spans = header[rows], spans[: len(rows)]
    _, whole, last_end = _scan(header, spans)
    return _Admitted(header, rows, spans, whole, last_end)


def _window_count(spec: WindowSpec, last_end_ns: int) -> tuple[int, bool]:
    """Full windows up to the last packet's end, and one more for what reaches beyond."""
    full = max((last_end_ns - spec.length_ns) // spec.hop_ns + 1, 0)
    closed_end = (full - 1) * spec.hop_ns + spec.length_ns if full else 0
    has_end = last_end_ns > closed_end
    return full + has_end, has_end


def _modality(
    spec: WindowSpec, line: Int64Array, rows: _Admitted, starts: Int64Array
) -> ModalityAlignment:
    count, length, points = len(starts), spec.length_ns, int(line[k.GRID_SIZE])
    ranges, covered = np.empty((2, count), np.int64), np.empty(count, np.int64)
    _coverage(rows.spans, int(line[k.MAX_GAP]), spec.hop_ns, length, ranges, covered)
    shows = ranges[1] > ranges[0]
    if line[k.CONTINUOUS]:
        state = np.where(10 * covered >= 9 * length, k.COMPLETE, k.GAPPY)
        state[~shows] = k.ABSENT
    else:
        covered = np.clip(line[k.ENDED_AT] - starts, 0, length)
        state = np.where(shows, k.COMPLETE, np.where(covered > 0, k.EMPTY, k.ABSENT))
    grid = np.empty((count, 2, points), np.int64)
    weight = np.zeros((count, points), np.float32)
    if points:
        _grids(line, rows.spans, rows.whole, spec.hop_ns, ranges, grid, weight)
    return ModalityAlignment(
        header=rows.header,
        source_rows=rows.source_rows,
        first=ranges[0],
        last=ranges[1],
        coverage=covered / length,
        state=state.astype(np.int8),
        left=grid[:, 0],
        right=grid[:, 1] if line[k.LINEAR] else grid[:, 0],
        weight=weight,
    )
