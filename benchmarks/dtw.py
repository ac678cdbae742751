"""Dynamic time warping: Numba within a band, against the whole matrix.

Two log-mel sequences (64 bands, 100 frames/s), the second a warped copy of the first, at several
lengths. The alternatives compute the same recursion from SciPy's cdist: a loop over cells, or
anti-diagonals in vectorised NumPy. Distances are compared before anything is
timed. Run: python -m benchmarks.dtw
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from benchmarks.report import show, write
from models.align.dtw import distance, warp

SECONDS = (2, 5, 10)
RUNS = 7
BAND = 50  # frames, half a second


def pair(seconds: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 64) and a copy whose speed moves between 0.7 and 1.3."""
    rng = np.random.default_rng(3)
    n = seconds * 100
    a = np.cumsum(rng.normal(size=(n, 64)), 0) / 5
    at = np.clip(np.arange(n) + 20 * np.sin(np.linspace(0, 6, n)), 0, n - 1)
    return a, a[at.astype(int)] + rng.normal(size=a.shape) / 10


def by_loop(a: np.ndarray, b: np.ndarray) -> float:
    """cdist, then Python over the cells."""
    cost = cdist(a, b).tolist()
    before = [0.0] + [np.inf] * len(b)
    for row in cost:
        now = [np.inf]
        for j, c in enumerate(row):
            now.append(c + min(before[j], before[j + 1], now[j]))
        before = now
    return float(before[-1])


def by_diagonals(a: np.ndarray, b: np.ndarray) -> float:
    """cdist, then one NumPy operation per anti-diagonal."""
    cost = cdist(a, b)
    n, m = cost.shape
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0
    for s in range(n + m - 1):
        i = np.arange(max(0, s - m + 1), min(n, s + 1))
        j = s - i
        best = np.minimum(np.minimum(total[i, j + 1], total[i + 1, j]), total[i, j])
        total[i + 1, j + 1] = cost[i, j] + best
    return float(total[n, m])


def measure(seconds: int) -> dict[str, Any]:
    """Milliseconds of each way; the ratio is the median over runs taken in turn."""
    a, b = pair(seconds)
    ways: dict[str, Callable[[], float]] = {
        "attune_band": lambda: warp(a, b, band=BAND).distance,
        "attune_whole": lambda: warp(a, b).distance,
        "attune_no_path": lambda: distance(a, b),
        "numpy_diagonals": lambda: by_diagonals(a, b),
        "python_loop": lambda: by_loop(a, b),
    }
    answers = {name: way() for name, way in ways.items()}  # compiles and warms
    assert np.allclose(list(answers.values()), answers["python_loop"]), answers
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            took[name].append((time.perf_counter() - began) * 1e3)
    ratios = {
        f"{mine} / {theirs}": statistics.median(
            y / x for x, y in zip(took[mine], took[theirs], strict=True)
        )
        for mine in ("attune_band", "attune_whole")
        for theirs in ("numpy_diagonals", "python_loop")
    }
    medians = {name: statistics.median(times) for name, times in took.items()}
    return {"seconds": seconds, "median_ms": medians, "times_faster": ratios}


def main() -> None:
    """Print the table and keep it."""
    found = [measure(seconds) for seconds in SECONDS]
    show("Median ms", [{"seconds": f["seconds"], **f["median_ms"]} for f in found])
    show("Times faster", [{"seconds": f["seconds"], **f["times_faster"]} for f in found])
    write("dtw", {"band": BAND, "lengths": found})


if __name__ == "__main__":
    main()
