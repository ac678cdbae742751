"""From a device's clock to the session clock, tracked with each packet.

A device counts time with a crystal of its own: its zero is unknown and it runs fast or slow by
up to about 100 ppm, a third of a second in an hour. All that is known are pairs of a device time
and the session time at which the packet was in hand, and the second one only ever comes late.
`ClockMap` follows offset and drift from these pairs (`clock_map_kernel` says how).

Invariant: no clock is read here; the same pairs give the same times. The smallest delay between
device and hand cannot be seen from such pairs and is not part of the uncertainty: a source that
knows it takes it off.

    >>> clock = ClockMap()
    >>> [clock.observe(i * 20_000_000, 5_000_000_000 + i * 20_000_000).t_ns for i in range(2)]
    [5000000000, 5020000000]
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from streaming import clock_map_kernel as k

PPM = 1e6
FARTHEST_NS = 1 << 62


class Tracking(IntEnum):
    """What became of a packet's time.

    `LATE`: over a second later than the line says; dated by the line all the same.
    `QUARANTINED`: another clock by its looks; dated at arrival until more packets agree.
    `ANCHORED`: a new epoch begins here: first packet, another clock confirmed, or a gap.
    """

    TRACKED = k.TRACKED
    LATE = k.LATE
    QUARANTINED = k.QUARANTINED
    ANCHORED = k.ANCHORED


class Stamp(NamedTuple):
    """Session time of a packet. `uncertainty_ns` holds what jitter and drift leave open."""

    t_ns: int
    uncertainty_ns: int
    tracking: Tracking


_TRACKING = tuple(Tracking)


class ClockMap:
    """One device clock. `observe` each packet in the order of arrival."""

    def __init__(self) -> None:
        self._ints = np.zeros(k.INTS, np.int64)
        self._floats = np.zeros(k.FLOATS, np.float64)
        self._points = np.zeros((k.ROWS, k.BUCKETS), np.float64)
        self._floats[k.PRIOR_SIGMA] = k.FIRST_DRIFT_SIGMA
        self._ints[k.FRESH] = 1

    @property
    def epoch(self) -> int:
        """Counts from 1 with the first packet; one more each time the clock is anchored anew."""
        return int(self._ints[k.EPOCH])

    @property
    def drift_ppm(self) -> float:
        """Parts per million by which a session second is longer than a device second."""
        return float(self._floats[k.DRIFT]) * PPM

    @property
    def jitter_ns(self) -> int:
        """Mean time by which packets come after the line."""
        return int(self._floats[k.JITTER])

    def observe(self, device_ns: int, arrival_ns: int) -> Stamp:
        """Date the packet that the device stamped `device_ns` and that came at `arrival_ns`."""
        device_ns = min(max(device_ns, -FARTHEST_NS), FARTHEST_NS)
        tracking, t_ns, uncertainty_ns = k.observe(
            self._ints, self._floats, self._points, device_ns, arrival_ns
        )
        return Stamp(t_ns, uncertainty_ns, _TRACKING[tracking])

    def at(self, device_ns: int) -> tuple[int, int]:
        """Session time of `device_ns` and its uncertainty by what is known now."""
        return (
            k.line_ns(self._ints, self._floats, device_ns),
            k.uncertainty_ns(self._ints, self._floats, device_ns),
        )

    def reanchor(self) -> None:
        """The device lost count (an xrun, a new device): begin anew at the next packet.

        The drift is a matter of the crystal and stays known.
        """
        self._ints[k.FRESH] = 1
