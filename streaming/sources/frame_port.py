"""The seam between a camera's driver and the source that reads it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from streaming.packets import Uint8Array
from streaming.sources.kept_port import Port


class Shot(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The freshest frame. `pixels`: uint8 BGR (H, W, 3).

    `arrival_ns`: session time at which the frame was in hand. `pairs`: (driver's time, arrival)
    of each frame since the last shot, this one last; empty where the driver gives no time.
    """

    pixels: Uint8Array
    arrival_ns: int
    pairs: tuple[tuple[int, int], ...] = ()


class FramePort(Port, Protocol):
    """An opened camera. `frame_ns`: from one frame to the next. `complaint`: how the format
    differs from what was asked, or empty. `seen_ns`: when the latest frame came, whether anybody
    wanted it or not; 0: none has."""

    frame_ns: int
    complaint: str
    seen_ns: int

    def read(self, timeout_s: float, from_ns: int) -> Shot | None:
        """The freshest frame that came at `from_ns` or later, or None when none came in time;
        `PortLostError` when none will."""
        ...
