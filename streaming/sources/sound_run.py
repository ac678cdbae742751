"""Dated blocks of a live device to 16 kHz chunks whose times stay true.

A device's crystal is off by some parts per million, so its samples do not fill session time
exactly. Invariant: the sound put out is never further from its mapped time than `RUN_TOLERANCE_NS`;
small differences are made good by stretching blocks by half a per cent at most, a tenth of a
semitone, larger ones begin a new run and are told of as a gap or a drop.
"""

from __future__ import annotations

import numpy as np
from av.audio.frame import AudioFrame

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Float32Array, Packet
from streaming.results import Health
from streaming.settings import AUDIO_RATE_HZ
from streaming.sources.audio_framing import RUN_TOLERANCE_NS, AudioFramer
from streaming.sources.media_audio import MonoResampler

CHUNK_NS = 100 * NS_PER_MS  # at most; it leaves when it is full
SLACK_NS = NS_PER_MS // 2  # smaller differences are left: the map's own unrest
MOST_STRETCH = 200  # samples for each one added or left out


def chunk_ns(hop_ns: int) -> int:
    """How long the chunks of a live device are: a whole number of them makes a hop. They are cut at
    its multiples in session time, so a stream whose time begins at one has hops that end with a
    chunk, and none waits for the rest of one."""
    return hop_ns // -(-hop_ns // CHUNK_NS)


class SoundRun:
    """Mono blocks at the device's rate in, packets out."""

    def __init__(self, hop_ns: int, *, stream: str) -> None:
        self._framer = AudioFramer(hop_ns, stream=stream)
        self._swr: MonoResampler | None = None
        self._rate_hz = 0
        self._start_ns = 0
        self._taken = self._given = 0  # samples of the run, in and out

    @property
    def end_ns(self) -> int:
        """First instant after the sound put out or held."""
        return self._framer.end_ns

    def push(
        self, t_ns: int, samples: Float32Array, rate_hz: int, *, uncertainty_ns: int
    ) -> list[Packet | Health]:
        """Take (N,) samples of which the first was recorded at `t_ns`."""
        items: list[Packet | Health] = []
        ahead_ns = t_ns - self._start_ns - self._taken * NS_PER_S // max(self._rate_hz, 1)
        if self._swr is None or rate_hz != self._rate_hz or abs(ahead_ns) > RUN_TOLERANCE_NS:
            items += self._end()
            self._start_ns, self._rate_hz = t_ns, rate_hz
            self._taken = self._given = ahead_ns = 0
        samples = _stretched(samples, ahead_ns, rate_hz)
        self._taken += len(samples)
        return items + self._give(self._resampled(samples), uncertainty_ns)

    def end(self) -> list[Packet | Health]:
        """The rest, and the end of the run."""
        return [*self._end(), *self._framer.flush()]

    def _end(self) -> list[Packet | Health]:
        swr, self._swr = self._swr, None
        return self._give(swr.flush(), 0) if swr is not None else []

    def _give(self, samples: Float32Array, uncertainty_ns: int) -> list[Packet | Health]:
        if not len(samples):
            return []
        t_ns = self._start_ns + self._given * NS_PER_S // AUDIO_RATE_HZ
        self._given += len(samples)
        return self._framer.push(t_ns, samples, uncertainty_ns=uncertainty_ns)

    def _resampled(self, samples: Float32Array) -> Float32Array:
        frame = AudioFrame.from_ndarray(samples[None, :], format="flt", layout="mono")
        frame.sample_rate = self._rate_hz
        if self._swr is None:
            self._swr = MonoResampler(frame)
        return self._swr.convert(frame)


def _stretched(samples: Float32Array, ahead_ns: int, rate_hz: int) -> Float32Array:
    """`samples`, a few more or fewer, so that `ahead_ns` shrinks."""
    if abs(ahead_ns) < SLACK_NS:
        return samples
    n = len(samples)
    most = max(n // MOST_STRETCH, 1)
    more = min(max(round(ahead_ns * rate_hz / NS_PER_S), -most), most)
    at = np.linspace(0, n - 1, max(n + more, 1))
    return np.interp(at, np.arange(n), samples).astype(np.float32)
