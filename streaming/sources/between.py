"""What is taken of a source's pictures between looks, kept until the next look.

Invariant: each picture of which something was taken goes with the next look, once, at its own time.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import cv2
import numpy as np

from streaming.packets import Glance, Light, Uint8Array
from streaming.sources.ticks import Ticks

KEPT_LIGHT = 1000  # pictures without a look: more are of a stream that nobody looks at
KEPT_GLANCES = 60  # each of these is a picture
GLANCE_PX = 640  # at most wide or high

T = TypeVar("T")


class _Between(Generic[T]):
    """Something of each picture at `hz`; 0: of none."""

    def __init__(self, hz: float, kept: int) -> None:
        self._ticks = Ticks(hz) if hz else None
        self._held: deque[tuple[int, T]] = deque(maxlen=kept)

    @property
    def next_ns(self) -> int | None:
        """When the next picture is wanted; None: never."""
        return None if self._ticks is None else self._ticks.next_ns

    def wants(self, t_ns: int) -> bool:
        """Whether the picture at `t_ns` is wanted; then its tick is used."""
        return self._ticks is not None and self._ticks.wants(t_ns)

    def add(self, t_ns: int, taken: T) -> None:
        """Keep what was taken of the picture at `t_ns` until the next look."""
        self._held.append((t_ns, taken))

    def _given(self) -> list[tuple[int, T]]:
        held = list(self._held)
        self._held.clear()
        return held


class LightLog(_Between[float]):
    """Mean grey levels."""

    def __init__(self, light_hz: float) -> None:
        super().__init__(light_hz, KEPT_LIGHT)

    def take(self, t_ns: int) -> tuple[Light, ...]:
        """What goes with the look at `t_ns`."""
        return tuple(Light(before_ns=t_ns - at, level=level) for at, level in self._given())


class GlanceLog(_Between[Uint8Array]):
    """The pictures themselves, grey and small."""

    def __init__(self, mouth_hz: float) -> None:
        super().__init__(mouth_hz, KEPT_GLANCES)

    def take(self, t_ns: int) -> tuple[Glance, ...]:
        """What goes with the look at `t_ns`."""
        return tuple(Glance(before_ns=t_ns - at, grey=grey) for at, grey in self._given())


def glance_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of what is kept of a picture."""
    scale = min(1.0, GLANCE_PX / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def grey_of(picture: np.ndarray, code: int) -> Uint8Array:
    """`picture` (H, W, 3) as a glance keeps it; `code`: OpenCV's for its colours."""
    small = cv2.resize(
        picture, glance_size(picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.cvtColor(small, code), dtype=np.uint8)
