"""A local microphone: 16 kHz mono, dated by its own sample count through a clock map.

Sound is dated by counting samples, which no scheduling disturbs; the clock map ties the count to
the session clock, and what the driver says of its delay is taken off. Invariant: a microphone
that goes is told of once, tried again with growing pauses, and told of when it is back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock
from streaming.clock_map import ClockMap, Tracking
from streaming.errors import PortLostError
from streaming.packets import Float32Array, Modality, Progress
from streaming.results import Health, HealthKind
from streaming.source_settings import MicrophoneSettings
from streaming.sources.base import Item
from streaming.sources.kept_port import AWAY_NS, KeptPort
from streaming.sources.portaudio_port import PortAudioPort
from streaming.sources.sound_delay import DriverDelay
from streaming.sources.sound_health import SoundJudge
from streaming.sources.sound_port import SoundBlock, SoundPort, mended
from streaming.sources.sound_run import SoundRun, chunk_ns

POLL_S = 0.1
SETTLE_NS = 300 * NS_PER_MS  # after which the first packets' lateness is known


class MicrophoneSource:
    """A microphone through PortAudio, or whatever `open_port` opens."""

    modalities: tuple[Modality, ...] = (Modality.AUDIO,)
    live = True
    ordered = True

    def __init__(
        self,
        settings: MicrophoneSettings,
        *,
        stream: str,
        hop_ns: int,
        clock: Clock | None = None,
        open_port: Callable[[], SoundPort] | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._stream, self._clock = stream, clock
        self._length_ns = round(settings.duration_s * NS_PER_S)
        self._stop = threading.Event()
        self._run = SoundRun(chunk_ns(hop_ns), stream=stream)
        self._map, self._judge = ClockMap(), SoundJudge()
        self._delay = DriverDelay()
        self._held: list[tuple[SoundBlock, int]] = []
        self._anchor_frame = 0
        self._kept: KeptPort[SoundPort] = KeptPort(
            open_port or (lambda: PortAudioPort(settings, clock)), clock
        )

    def items(self) -> Iterator[Item]:
        """Sound until the duration is over or `close` is called."""
        start_ns = self._clock.now_ns()
        try:
            yield from self._guarded(self._kept.start)
            while not self._stop.is_set():
                if 0 < self._length_ns <= self._clock.now_ns() - start_ns:
                    break
                yield from self._guarded(self._step)
            yield from self._ended()
        finally:
            self._kept.close()
        end_ns = max(self._run.end_ns, start_ns)
        yield Progress(stream=self._stream, modality=Modality.AUDIO, t_ns=end_ns, ended=True)

    def close(self) -> None:
        """End the iteration."""
        self._stop.set()

    def _guarded(self, step: Callable[[], list[Item] | None]) -> list[Item]:
        """What `step` gives, or the news that the device is gone."""
        try:
            return step() or []
        except PortLostError as error:
            items = self._ended()
            if self._kept.lose():
                words = f"microphone: {error}; it will be tried again"
                items.append(self._health(HealthKind.SOURCE_LOST, words))
            return items

    def _step(self) -> list[Item]:
        """One block, or one look at what became of the device."""
        if self._kept.port is None:
            self._kept.reopen(self._stop)
            return self._away()
        block = self._kept.port.read(POLL_S)
        if block is not None:
            return self._take(mended(block), self._kept.port.rate_hz)
        self._kept.require_life()
        return self._away() if self._kept.away else []

    def _away(self) -> list[Item]:
        """That nothing older comes once it is back: no window waits for it."""
        t_ns = self._clock.now_ns() - AWAY_NS
        return [Progress(stream=self._stream, modality=Modality.AUDIO, t_ns=t_ns)]

    def _take(self, block: SoundBlock, rate_hz: int) -> list[Item]:
        """Let the block move the clock map; place it once the map has settled."""
        items = self._back() + self._told(block)
        judged = self._judge.look(block.samples, rate_hz)
        items += [self._health(kind, words, count) for kind, count, words in judged]
        stamp = self._map.observe(block.first_frame * NS_PER_S // rate_hz, block.arrival_ns)
        if stamp.tracking is Tracking.ANCHORED:
            self._anchor_frame = block.first_frame
        self._held.append((block, rate_hz))
        if (block.first_frame - self._anchor_frame) * NS_PER_S // rate_hz < SETTLE_NS:
            return items
        return items + self._place()

    def _place(self) -> list[Item]:
        """Date the held blocks and put them out."""
        items: list[Item] = []
        held, self._held = self._held, []
        for block, rate_hz in held:
            t_ns, uncertainty_ns = self._dated(block, rate_hz)
            mono: Float32Array = block.samples.mean(axis=1, dtype=np.float32)
            items += self._run.push(t_ns, mono, rate_hz, uncertainty_ns=uncertainty_ns)
        return items

    def _dated(self, block: SoundBlock, rate_hz: int) -> tuple[int, int]:
        """Session time of the block's first sample, and its uncertainty: the clock map's and, as
        the driver's figure cannot be checked, half a block."""
        length_ns = len(block.samples) * NS_PER_S // rate_hz
        t_ns, uncertainty_ns = self._map.at(block.first_frame * NS_PER_S // rate_hz)
        delay_ns = self._delay.of(block.age_ns, length_ns)
        return t_ns - delay_ns, uncertainty_ns + length_ns // 2

    def _told(self, block: SoundBlock) -> list[Item]:
        items: list[Item] = []
        if block.overflow:
            items += self._place()
            self._map.reanchor()
            items.append(self._health(HealthKind.XRUN, "the driver lost sound; dated anew"))
        if block.lost:
            words = "sound came faster than it was read"
            items.append(self._health(HealthKind.DROP, words, block.lost))
        if block.corrupt:
            words = "samples that are not numbers, replaced by 0"
            items.append(self._health(HealthKind.CORRUPT, words, block.corrupt))
        return items

    def _back(self) -> list[Item]:
        if not self._kept.heard():
            return []
        self._delay, self._judge = DriverDelay(), SoundJudge()
        self._map.reanchor()
        return [self._health(HealthKind.RECOVERED, "the microphone is back")]

    def _ended(self) -> list[Item]:
        """The rest of the run of sound."""
        return [*self._place(), *self._run.end()]

    def _health(self, kind: HealthKind, detail: str, count: int = 0) -> Health:
        return Health(
            stream=self._stream,
            kind=kind,
            modality=Modality.AUDIO,
            t_ns=self._clock.now_ns(),
            count=count,
            detail=detail,
        )
