"""Dynamic time warping: alignment of two sequences that share no clock.

Sakoe & Chiba 1978, "Dynamic programming algorithm optimization for spoken word recognition":
symmetric steps (1, 0), (0, 1), (1, 1) of weight 1, and a band around the diagonal. With `open_end`
the first sequence is matched to that beginning of the second which fits it best, as a stream in
progress needs. Where both sequences share a clock, the grid of windows aligns them already; where a
network is to learn the alignment, cross-modal attention (models/fusions/mult.py) does.

Time O(N * band). Memory N * (2 * band + 1) bytes for the path, two rows of float64 without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from models.errors import InputError

_DIAGONAL, _UP, _LEFT = 0, 1, 2


@dataclass(frozen=True)
class Warp:
    """distance: sum of Euclidean distances along the path. path: int64 (K, 2), pairs (i, j)."""

    distance: float
    path: np.ndarray

    def second_of_first(self) -> np.ndarray:
        """float64 (N,): for each step of the first sequence its mean partner in the second."""
        i, j = self.path.T
        return np.bincount(i, weights=j) / np.bincount(i)


def warp(a: np.ndarray, b: np.ndarray, *, band: int | None = None, open_end: bool = False) -> Warp:
    """Best path through (N, D) and (M, D), or (N,) and (M,).

    band: how many steps of `b` the path may be off the diagonal; it is widened to the least that
    a path needs where the lengths differ; None is no bound. With `open_end` the diagonal is that of
    equal speed. Raises InputError for empty, unequal or infinite input.
    """
    a, b, radius = _checked(a, b, band, open_end)
    centres = _centres(len(a), len(b), open_end)
    steps = np.empty((len(a), 2 * radius + 1), np.uint8)
    last = _fill(a, b, centres, radius, steps)
    end = _end(last, centres[-1] - radius, len(b), open_end)
    path = _walk(steps, centres, radius, end)
    return Warp(float(last[end - centres[-1] + radius]), path)


def distance(
    a: np.ndarray, b: np.ndarray, *, band: int | None = None, open_end: bool = False
) -> float:
    """As `warp`, without the path and its memory."""
    a, b, radius = _checked(a, b, band, open_end)
    centres = _centres(len(a), len(b), open_end)
    last = _fill(a, b, centres, radius, np.empty((0, 0), np.uint8))
    return float(last[_end(last, centres[-1] - radius, len(b), open_end) - centres[-1] + radius])


def _checked(
    a: np.ndarray, b: np.ndarray, band: int | None, open_end: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """Two float64 (N, D), and the radius of the band in steps of `b`."""
    a, b = (np.ascontiguousarray(x, np.float64) for x in (a, b))
    a, b = (x[:, None] if x.ndim == 1 else x for x in (a, b))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise InputError(f"dtw: expected (N, D) and (M, D), not empty, got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("dtw: expected finite numbers, got NaN or infinity")
    if band is None:
        return a, b, max(len(a), len(b)) - 1
    if band < 0:
        raise InputError(f"dtw: expected a band of 0 or more, got {band}")
    if open_end:
        return a, b, band
    slope = (len(b) - 1) / max(len(a) - 1, 1)
    steep = slope > 1 or len(a) == 1  # a row must reach from its diagonal to that of the next
    return a, b, max(band, int(np.ceil(slope)) if steep else 0)


def _centres(n: int, m: int, open_end: bool) -> np.ndarray:
    """int64 (N,): the diagonal, which step of `b` belongs to each of `a`."""
    if open_end:
        return np.minimum(np.arange(n), m - 1)
    return np.rint(np.arange(n) * ((m - 1) / max(n - 1, 1))).astype(np.int64)


def _end(last: np.ndarray, first: int, m: int, open_end: bool) -> int:
    """The step of `b` at which the path ends; `last` are the costs from step `first` on."""
    if not open_end:
        return m - 1
    return first + int(last.argmin())


@njit(cache=True)
def _fill(
    a: np.ndarray, b: np.ndarray, centres: np.ndarray, radius: int, steps: np.ndarray
) -> np.ndarray:
    """Least costs of the last row of the band; the steps that led there go into `steps`."""
    n, m, size = len(a), len(b), 2 * radius + 1
    before, now = np.full(size, np.inf), np.full(size, np.inf)
    for i in range(n):
        shift = centres[i] - centres[i - 1] if i > 0 else 0
        for c in range(size):
            j = centres[i] - radius + c
            if j < 0 or j >= m:
                now[c] = np.inf
                continue
            up, diagonal, left = np.inf, np.inf, np.inf
            if i == 0 and j == 0:
                diagonal = 0.0
            if i > 0:
                p = c + shift  # where j stands in the row before
                if p < size:
                    up = before[p]
                if 0 < p <= size:
                    diagonal = before[p - 1]
            if c > 0:
                left = now[c - 1]
            best, step = diagonal, 0
            if up < best:
                best, step = up, 1
            if left < best:
                best, step = left, 2
            total = 0.0
            for d in range(a.shape[1]):
                gap = a[i, d] - b[j, d]
                total += gap * gap
            now[c] = best + np.sqrt(total)
            if len(steps) > 0:
                steps[i, c] = step
        before, now = now, before
    return before


@njit(cache=True)
def _walk(steps: np.ndarray, centres: np.ndarray, radius: int, end: int) -> np.ndarray:
    """From the end back to (0, 0); int64 (K, 2) in forward order."""
    i, j = len(steps) - 1, end
    path = np.empty((i + j + 1, 2), np.int64)
    k = len(path)
    while True:
        k -= 1
        path[k, 0], path[k, 1] = i, j
        if i == 0 and j == 0:
            return path[k:].copy()
        step = steps[i, j - centres[i] + radius]
        if step != 1:
            j -= 1
        if step != 2:
            i -= 1
