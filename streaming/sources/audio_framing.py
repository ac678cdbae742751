"""Sound cut on the hop boundaries of the stream's time line.

Decoders and devices deliver sound in pieces of their own size; everything downstream wants one
chunk for each hop. Invariant: within a run (sound without a hole) the time of a sample is
`anchor + index / rate`, never a sum of rounded durations, so nothing drifts; no sample is
invented, and each one that is taken away is counted in a `Health`.
"""

from __future__ import annotations

import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import AudioChunk, Float32Array, Modality, Packet
from streaming.results import Health, HealthKind
from streaming.settings import AUDIO_RATE_HZ

# Containers round times (Matroska and FLV to 1 ms): closer than this is the same run.
RUN_TOLERANCE_NS = 20 * NS_PER_MS


class AudioFramer:
    """Cuts mono or multi-channel sound into one `AudioChunk` packet for each hop and run.

    `push` takes pieces in order of time; a piece that starts more than 20 ms after the end of
    what was there begins a new run (a `GAP`), one that starts more than 20 ms before it is
    trimmed (a `DROP`). A piece before time 0 is trimmed as well.
    """

    def __init__(
        self, hop_ns: int, sample_rate_hz: int = AUDIO_RATE_HZ, *, stream: str = "main"
    ) -> None:
        self._hop_ns = hop_ns
        self._rate = sample_rate_hz
        self._stream = stream
        self._seq = 0
        self._anchor_ns = 0  # time of sample 0 of the run
        self._taken = 0  # samples of the run already cut off
        self._held = 0  # samples of the run waiting in `_pieces`
        self._pieces: list[Float32Array] = []
        self._uncertainty_ns = 0
        self._repeated = 0  # samples left out and not yet told of
        self._started = False

    @property
    def end_ns(self) -> int:
        """First instant after the sound taken so far."""
        return self._time_ns(self._taken + self._held)

    def push(
        self, t_ns: int, samples: Float32Array, *, uncertainty_ns: int = 0
    ) -> list[Packet | Health]:
        """Take float32 `samples` (N,) or (N, C), the first one at `t_ns`; give what is complete."""
        samples = samples if samples.ndim == 2 else samples[:, None]
        items: list[Packet | Health] = []
        if not self._started:
            self._anchor_ns, self._started = max(t_ns, 0), True
        ahead_ns = t_ns - self.end_ns
        if ahead_ns > RUN_TOLERANCE_NS:
            items += self._new_run(t_ns)
        elif ahead_ns < -RUN_TOLERANCE_NS or (self._repeated and ahead_ns < 0):
            kept = samples[self._count(-ahead_ns) :]
            self._repeated += len(samples) - len(kept)
            samples = kept
        if len(samples):
            items += self._report_repeated()
            self._pieces.append(samples)
            self._held += len(samples)
            self._uncertainty_ns = max(self._uncertainty_ns, uncertainty_ns)
        items += self._cut()
        return items

    def flush(self) -> list[Packet | Health]:
        """The last, partial chunk. Sound pushed later goes on with the run."""
        rest = [self._chunk(self._held, self.end_ns)] if self._held else []
        return [*rest, *self._report_repeated()]

    def _new_run(self, t_ns: int) -> list[Packet | Health]:
        gap = Health(
            stream=self._stream,
            kind=HealthKind.GAP,
            modality=Modality.AUDIO,
            t_ns=self.end_ns,
            count=self._count(t_ns - self.end_ns),
            detail=f"no sound for {(t_ns - self.end_ns) / NS_PER_S:.3f} s",
        )
        items = [*self.flush(), gap]
        self._anchor_ns, self._taken = t_ns, 0
        return items

    def _report_repeated(self) -> list[Packet | Health]:
        count, self._repeated = self._repeated, 0
        if not count:
            return []
        drop = Health(
            stream=self._stream,
            kind=HealthKind.DROP,
            modality=Modality.AUDIO,
            t_ns=self.end_ns,
            count=count,
            detail="sound repeats a span that was already there; the repetition is left out",
        )
        return [drop]

    def _cut(self) -> list[Packet | Health]:
        items: list[Packet | Health] = []
        while self._held:
            boundary_ns = (self._time_ns(self._taken) // self._hop_ns + 1) * self._hop_ns
            n = self._index(boundary_ns) - self._taken
            if n > self._held:
                break
            items.append(self._chunk(n, boundary_ns))
        return items

    def _chunk(self, n: int, limit_ns: int) -> Packet:
        """The next `n` samples. The last one may outlast the boundary by less than itself."""
        held = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)
        t_ns = self._time_ns(self._taken)
        self._taken += n
        self._held -= n
        self._pieces = [held[n:]] if self._held else []
        samples = np.ascontiguousarray(held[:n], dtype=np.float32)
        samples.flags.writeable = False
        packet = Packet(
            stream=self._stream,
            modality=Modality.AUDIO,
            seq=self._seq,
            t_ns=t_ns,
            duration_ns=min(self._time_ns(self._taken), limit_ns) - t_ns,
            uncertainty_ns=self._uncertainty_ns,
            payload=AudioChunk(samples=samples, sample_rate_hz=self._rate),
        )
        self._seq += 1
        self._uncertainty_ns = 0
        return packet

    def _time_ns(self, index: int) -> int:
        return self._anchor_ns + index * NS_PER_S // self._rate

    def _index(self, t_ns: int) -> int:
        """Index in the run of the first sample at or after `t_ns`."""
        return -((self._anchor_ns - t_ns) * self._rate // NS_PER_S)

    def _count(self, span_ns: int) -> int:
        """Samples in a span, to the nearest."""
        return (span_ns * self._rate + NS_PER_S // 2) // NS_PER_S
