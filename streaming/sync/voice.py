"""The colour of a sound every 20 ms, for the offset of sound and picture.

Invariant: a function of the samples alone, however they are cut into chunks; what a break in time
leaves over is thrown away.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Float32Array, Trace

STEP_NS = 20 * NS_PER_MS
SIZE, STEP = 512, 320  # samples at 16 kHz: 32 ms every 20 ms
BANDS, KEPT = 16, 6
LOW_HZ, HIGH_HZ, RATE_HZ = 80.0, 7000.0, 16_000
FLOOR = 1e-3  # RMS of white noise that counts as silence

FloatArray = npt.NDArray[np.float64]


def _mel_bands() -> FloatArray:
    """Triangles of equal width on the mel scale: (bins, BANDS)."""
    ends = 2595 * np.log10(1 + np.array([LOW_HZ, HIGH_HZ]) / 700)
    hz = 700 * (10 ** (np.linspace(ends[0], ends[1], BANDS + 2) / 2595) - 1)
    low, top, high = hz[:-2], hz[1:-1], hz[2:]
    bins = np.arange(SIZE // 2 + 1)[:, None] * RATE_HZ / SIZE
    return np.clip(np.minimum((bins - low) / (top - low), (high - bins) / (high - top)), 0, None)


_BANDS = _mel_bands()
_HANN = np.hanning(SIZE)
_FLOOR = FLOOR**2 * np.square(_HANN).sum() * _BANDS.sum(axis=0)
_COSINES = np.cos(np.outer(np.arange(BANDS) + 0.5, np.arange(KEPT)) * np.pi / BANDS) / BANDS


class VoiceFollower:
    """Sound of one stream in, cepstra out: (n, 6), the first of them the loudness."""

    def __init__(self) -> None:
        self._rest, self._end_ns = np.zeros(0, np.float32), 0

    def take(self, t_ns: int, samples: Float32Array) -> Trace | None:
        """What `samples` (N, C) at 16 kHz complete; the first is dated `t_ns`."""
        if abs(t_ns - self._end_ns) > 2 * NS_PER_MS:
            self._rest = np.zeros(0, np.float32)
        sound = np.concatenate([self._rest, samples.mean(axis=1)])
        first_ns = (SIZE // 2 - len(self._rest)) * NS_PER_S // RATE_HZ
        self._end_ns = t_ns + len(samples) * NS_PER_S // RATE_HZ
        count = max((len(sound) - SIZE) // STEP + 1, 0)
        self._rest = sound[count * STEP :]
        if not count:
            return None
        return Trace(
            at_ns=first_ns + np.arange(count, dtype=np.int64) * STEP_NS,
            values=cepstra(np.lib.stride_tricks.sliding_window_view(sound, SIZE)[::STEP]),
        )


def cepstra(frames: npt.NDArray[np.float32]) -> Float32Array:
    """Of `frames` (n, 512): (n, 6). Zero is silence."""
    power = np.square(np.abs(np.fft.rfft(frames * _HANN))) @ _BANDS
    return np.asarray(np.log1p(power / _FLOOR) @ _COSINES, dtype=np.float32)
