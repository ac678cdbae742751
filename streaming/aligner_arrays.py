"""A whole recording aligned at once: the same kernels, and arrays instead of windows.

For replay and study, where everything has come and no window object is wanted.
Invariant: what is said of a window here is what the aligner says of it live.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from streaming import aligner_kernels as k
from streaming.aligner import initial_state
from streaming.packets import DURATION_NS, RECEIVED_NS, SEQ, T_NS, Float32Array, Int64Array
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


@k.kernel
def _align(
    line: Any,
    held: Any,
    hop: int,
    length: int,
    ranges: Any,
    covered: Any,
    state: Any,
    points: Any,
    weight: Any,
    mask: Any,
    order: Any,
) -> None:
    """Walk one modality through all windows. Column RECEIVED_NS of `held` holds row numbers."""
    for w in range(covered.shape[0]):
        start = w * hop
        n, covered[w], state[w] = k.survey(line, held, start, start + length, 0)
        head = line[k.HEAD]
        ranges[0, w] = held[head, RECEIVED_NS] if n > 0 else 0
        ranges[1, w] = held[head + n - 1, RECEIVED_NS] + 1 if n > 0 else 0
        k.resample(line, held, n, start, points[w], weight[w], mask)
        left, right = points[w, 0], points[w, 1]
        for i in range(mask.shape[0]):
            if left[i] >= 0:
                left[i] = held[head + left[i], RECEIVED_NS]
            if line[k.LINEAR] and right[i] >= 0:
                right[i] = held[head + right[i], RECEIVED_NS]
        k.retire(line, held, n, start + hop, order)


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
    ends = [_last_end(header) for header, _ in admitted]
    count, has_end = _window_count(spec, max(ends))
    modalities = []
    for m, (header, source_rows) in enumerate(admitted):
        line = state[m]
        line[k.TAIL], line[k.ENDED] = len(header), 1
        line[k.ENDED_AT] = max(ends[m], ended_ns[m] if ended_ns else 0)
        line[k.GRID_FROM] = 0
        modalities.append(_modality(spec, line, header, source_rows, count))
    starts = np.arange(count) * spec.hop_ns
    return Alignment(start_ns=starts, has_end=has_end, modalities=tuple(modalities))


def _admissible(header: Int64Array) -> tuple[Int64Array, Int64Array]:
    t, seq, duration = header[:, T_NS], header[:, SEQ], header[:, DURATION_NS]
    rows = np.arange(len(header))
    step = np.diff(t)
    if len(t) > 1 and not ((step > 0) | ((step == 0) & (np.diff(seq) >= 0))).all():
        rows = np.lexsort((seq, t))
        t, seq, duration = t[rows], seq[rows], duration[rows]
    fits = (t >= 0) & (t <= k.LATEST_NS) & (duration >= 0) & (duration <= k.HOUR_NS)
    if not fits.all():
        rows, t, seq = rows[fits], t[fits], seq[fits]
    again = np.zeros(len(t), np.bool_)
    again[1:] = (t[1:] == t[:-1]) & (seq[1:] == seq[:-1])
    if again.any():
        rows = rows[~again]
    whole = len(rows) == len(header) and (len(rows) == 0 or bool((np.diff(rows) == 1).all()))
    return (header if whole else header[rows]), rows


def _last_end(header: Int64Array) -> int:
    if not len(header):
        return 0
    return int((header[:, T_NS] + np.maximum(header[:, DURATION_NS], 1)).max())


def _window_count(spec: WindowSpec, last_end_ns: int) -> tuple[int, bool]:
    """Full windows up to the last packet's end, and one more for what reaches beyond."""
    full = max((last_end_ns - spec.length_ns) // spec.hop_ns + 1, 0)
    closed_end = (full - 1) * spec.hop_ns + spec.length_ns if full else 0
    has_end = last_end_ns > closed_end
    return full + has_end, has_end


def _modality(
    spec: WindowSpec, line: Int64Array, header: Int64Array, source_rows: Int64Array, count: int
) -> ModalityAlignment:
    points = int(line[k.GRID_SIZE])
    held = header.copy()
    held[:, RECEIVED_NS] = np.arange(len(header))
    ranges = np.empty((2, count), np.int64)
    covered, state = np.empty(count, np.int64), np.empty(count, np.int8)
    grid = np.empty((count, 2, points), np.int64)
    weight, mask = np.zeros((count, points), np.float32), np.empty(points, np.bool_)
    order = np.empty(len(header), np.int64)
    _align(
        line,
        held,
        spec.hop_ns,
        spec.length_ns,
        ranges,
        covered,
        state,
        grid,
        weight,
        mask,
        order,
    )
    return ModalityAlignment(
        header=header,
        source_rows=source_rows,
        first=ranges[0],
        last=ranges[1],
        coverage=covered / spec.length_ns,
        state=state,
        left=grid[:, 0],
        right=grid[:, 1] if line[k.LINEAR] else grid[:, 0],
        weight=weight,
    )
