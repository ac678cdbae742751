"""How long a sample has been under way when the driver hands it over.

Drivers say so with each block, but PulseAudio's plugin for ALSA overstates it by hundreds of
milliseconds while it starts, and wanders by several milliseconds to both sides afterwards.
Invariant: the figure in use is a median of what was said lately and not while starting, and never
less than a block is long, as its first sample cannot be younger.
"""

from __future__ import annotations

import statistics
from collections import deque

from streaming.clock import NS_PER_S

WARM_UP_NS = 2 * NS_PER_S
EVERY_NS = NS_PER_S
KEPT = 250  # blocks: five seconds of 20 ms
MOST_NS = NS_PER_S  # a driver that says more is not believed


class DriverDelay:
    """From the recording of a block's first sample to the driver's call."""

    def __init__(self) -> None:
        self._said: deque[int] = deque(maxlen=KEPT)
        self._used_ns = 0
        self._until_ns = WARM_UP_NS
        self._warm = False

    def of(self, said_ns: int, length_ns: int) -> int:
        """The delay of a block of this length, of which the driver said so much."""
        if self._warm and said_ns <= MOST_NS:
            self._said.append(said_ns)
        self._until_ns -= length_ns
        if self._until_ns <= 0:
            self._until_ns, self._warm = EVERY_NS, True
            self._used_ns = round(statistics.median(self._said)) if self._said else 0
        return max(self._used_ns, length_ns)
