"""Whether a camera's picture is black, covered or frozen.

Invariant: pure; a condition is told of when it has lasted `HOLD_NS`, and its end when the picture
has been well for `WELL_NS`. Of several at once the plainest is named: black, covered, frozen.
"""

from __future__ import annotations

import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.health import HealthKind
from streaming.packets import Uint8Array

HOLD_NS = 2 * NS_PER_S
WELL_NS = 500 * NS_PER_MS
SAMPLES = 64  # along the longer side
BLACK_LEVEL = 24.0  # 99 % of the picture is darker; video black is 16
PLAIN_SPREAD = 25.0  # standard deviation of the grey levels: a covered lens leaves a soft glow
EDGE_STEPS, EDGE_LEVELS = 4.0, 4.0  # an edge is this many median steps of neighbours, and levels

WORDS = {
    HealthKind.BLACK: "the picture is black",
    HealthKind.COVERED: "the picture shows nothing but an even surface; is the lens covered?",
    HealthKind.FROZEN: "the picture has not changed in a single grey level",
}


class PictureJudge:
    """Looks at the pictures of one camera, in order."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._told: HealthKind | None = None
        self._seen: HealthKind | None = None
        self._since_ns = 0

    def look(self, pixels: Uint8Array, t_ns: int) -> list[tuple[HealthKind, str]]:
        """What begins or ends with this picture, uint8 (H, W, 3)."""
        grey = _thinned(pixels)
        seen = condition(grey, self._last)
        self._last = grey
        if seen is not self._seen:
            self._seen, self._since_ns = seen, t_ns
        held_ns = t_ns - self._since_ns
        if seen is self._told or held_ns < (HOLD_NS if seen else WELL_NS):
            return []
        self._told = seen
        if seen is None:
            return [(HealthKind.RECOVERED, "the picture is well again")]
        return [(seen, WORDS[seen])]


def condition(grey: np.ndarray, before: np.ndarray | None) -> HealthKind | None:
    """What is wrong with a thinned picture, seen beside the one before it."""
    if float(np.percentile(grey, 99)) < BLACK_LEVEL:
        return HealthKind.BLACK
    levels = grey.astype(np.float32)
    if float(levels.std()) < PLAIN_SPREAD and not _has_edges(levels):
        return HealthKind.COVERED
    if before is not None and np.array_equal(grey, before):
        return HealthKind.FROZEN
    return None


def _has_edges(levels: np.ndarray) -> bool:
    """Whether some neighbours differ by more than a sensor's noise makes them differ."""
    steps = np.concatenate([np.abs(np.diff(levels, axis=axis)).ravel() for axis in (0, 1)])
    edge, usual = float(np.percentile(steps, 99)), float(np.median(steps))
    return edge > EDGE_STEPS * usual + EDGE_LEVELS


def _thinned(pixels: Uint8Array) -> np.ndarray:
    """Green levels of every n-th pixel, as they are: averaging would hide a sensor's noise."""
    step = max(max(pixels.shape[:2]) // SAMPLES, 1)
    return np.ascontiguousarray(pixels[::step, ::step, 1])
