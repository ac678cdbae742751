"""The light of a source's pictures, kept from look to look.

Invariant: each picture whose brightness was taken goes with the next look, once, at its own time.
"""

from __future__ import annotations

from collections import deque

from streaming.packets import Light
from streaming.sources.ticks import Ticks

KEPT = 1000  # pictures without a look: more are of a stream that nobody looks at


class LightLog:
    """Brightness of pictures at `light_hz`; 0: of none."""

    def __init__(self, light_hz: float) -> None:
        self._ticks = Ticks(light_hz) if light_hz else None
        self._held: deque[tuple[int, float]] = deque(maxlen=KEPT)

    @property
    def next_ns(self) -> int | None:
        """When the next picture is wanted; None: never."""
        return None if self._ticks is None else self._ticks.next_ns

    def wants(self, t_ns: int) -> bool:
        """Whether the picture at `t_ns` is wanted; then its tick is used."""
        return self._ticks is not None and self._ticks.wants(t_ns)

    def add(self, t_ns: int, level: float) -> None:
        """Keep the mean grey level of the picture at `t_ns` until the next look."""
        self._held.append((t_ns, level))

    def take(self, t_ns: int) -> tuple[Light, ...]:
        """What goes with the look at `t_ns`."""
        held = tuple(Light(before_ns=t_ns - at, level=level) for at, level in self._held)
        self._held.clear()
        return held
