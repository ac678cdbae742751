"""Whether a microphone delivers nothing, or more than it can take.

Invariant: pure; each condition is told of once when it begins and once when it is over.
"""

from __future__ import annotations

import numpy as np

from streaming.clock import NS_PER_S
from streaming.health import HealthKind
from streaming.packets import Float32Array

SILENT_PEAK = 1e-4  # -80 dBFS: below the noise of any microphone that is switched on
SILENT_S = 3.0
FULL_SCALE = 0.999
CLIPPED_SHARE = 1e-3  # of a second's samples
CLEAN_S = 3.0

Finding = tuple[HealthKind, int, str]  # kind, samples concerned, words


class SoundJudge:
    """Looks at each block of one microphone."""

    def __init__(self) -> None:
        self._still_ns = 0
        self._silent = self._clipped = False
        self._clean_ns = self._second_ns = 0
        self._full = self._seen = 0

    def look(self, samples: Float32Array, rate_hz: int) -> list[Finding]:
        """What begins or ends with this block of (N, C) samples."""
        span_ns = len(samples) * NS_PER_S // rate_hz
        levels = np.abs(samples)
        quiet = not len(samples) or float(levels.max()) < SILENT_PEAK
        return self._silence(quiet, span_ns) + self._clipping(levels, span_ns)

    def _silence(self, quiet: bool, span_ns: int) -> list[Finding]:
        self._still_ns = self._still_ns + span_ns if quiet else 0
        if not self._silent and self._still_ns >= SILENT_S * NS_PER_S:
            self._silent = True
            words = f"nothing above -80 dBFS for {SILENT_S:.0f} s; is the microphone muted?"
            return [(HealthKind.SILENT, 0, words)]
        if self._silent and not quiet:
            self._silent = False
            return [(HealthKind.RECOVERED, 0, "there is sound again")]
        return []

    def _clipping(self, levels: Float32Array, span_ns: int) -> list[Finding]:
        self._full += int(np.count_nonzero(levels >= FULL_SCALE))
        self._seen += levels.size
        self._second_ns += span_ns
        if self._second_ns < NS_PER_S:
            return []
        full, bad = self._full, self._full > CLIPPED_SHARE * self._seen
        self._clean_ns = 0 if bad else self._clean_ns + self._second_ns
        self._full = self._seen = self._second_ns = 0
        if bad and not self._clipped:
            self._clipped = True
            return [(HealthKind.CLIPPED, full, "at full scale; turn the microphone down")]
        if self._clipped and self._clean_ns >= CLEAN_S * NS_PER_S:
            self._clipped = False
            return [(HealthKind.RECOVERED, 0, "no longer at full scale")]
        return []
