"""Generated scenes played as a source, with everything that can go wrong on the way.

Invariant: packets carry true capture times whatever delay, loss or disorder is asked for, and
the same settings give the same items, bit for bit. No packet comes later than `disorder_bound_ns`
after it was due.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Protocol

import cv2
import msgspec
import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import (
    Float32Array,
    Glance,
    Light,
    Modality,
    Packet,
    Payload,
    Progress,
    TextMessage,
    Uint8Array,
    VideoFrame,
)
from streaming.settings import AUDIO_RATE_HZ, VisionSettings
from streaming.source_settings import SyntheticSettings
from streaming.sources.audio_framing import AudioFramer
from streaming.sources.base import Item, due_ns
from streaming.sources.between import GlanceLog, LightLog, grey_of

DISORDER_NS = NS_PER_S  # most that a disordered packet is held up
Span = tuple[int, int]


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What a scene was made from, in nanoseconds of stream time.

    `flashes_ns` as the pictures show them; `beeps_ns` as the sound's own clock dates them, that
    is with its drift and offset. `sentiment`: (start, end, value in [-1, 1]).
    """

    flashes_ns: tuple[int, ...] = ()
    beeps_ns: tuple[int, ...] = ()
    sentiment: tuple[tuple[int, int, float], ...] = ()
    faces: tuple[Span, ...] = ()
    speech: tuple[Span, ...] = ()


class Cue(msgspec.Struct, frozen=True, kw_only=True):
    """Words said from `start_ns` on for `duration_ns`."""

    start_ns: int
    duration_ns: int
    text: str
    speaker: str = ""


class Scene(Protocol):
    """What is to be seen, heard and read."""

    truth: Truth
    cues: tuple[Cue, ...]
    sample_count: int  # at 16 kHz, before drift and offset

    def heard(self, start: int, stop: int) -> Float32Array:
        """Its samples from `start` to `stop`: (N,)."""
        ...

    def render(self, t_ns: int) -> Uint8Array:
        """The picture at `t_ns`: uint8 RGB (H, W, 3)."""
        ...


class SceneSource:
    """Plays a `Scene`: pictures at `vision.rate_hz`, sound on hop boundaries, and words.

    A lost packet leaves a hole in `seq`, as on a network.
    """

    modalities: tuple[Modality, ...] = (Modality.VIDEO, Modality.AUDIO, Modality.TEXT)
    live = False

    def __init__(
        self,
        scene: Scene,
        settings: SyntheticSettings,
        *,
        stream: str,
        vision: VisionSettings,
        hop_ns: int,
    ) -> None:
        self._scene = scene
        self._settings = settings
        self._stream = stream
        self._rate_hz, self._light = vision.rate_hz, LightLog(vision.light_hz)
        self._glances = GlanceLog(vision.mouth_hz)
        self._hop_ns = hop_ns
        self._end_ns = round(settings.duration_s * NS_PER_S)
        self._closed = False
        self._rng = np.random.default_rng(settings.seed)
        held_ns = DISORDER_NS if settings.disorder else 0
        self.disorder_bound_ns = held_ns + round(settings.jitter_ms * NS_PER_MS)
        self.ordered = self.disorder_bound_ns == 0
        self.truth = scene.truth

    def items(self) -> Iterator[Item]:
        """Everything the source has to say, once."""
        tracks = {
            Modality.VIDEO: self._video, Modality.AUDIO: self._audio, Modality.TEXT: self._text,
        }  # fmt: skip
        merged = heapq.merge(*(tracks[m]() for m in self.modalities), key=due_ns)
        for item in self._delivered(merged):
            if self._closed:
                return
            yield item

    def close(self) -> None:
        """End the iteration."""
        self._closed = True

    def _delivered(self, items: Iterator[Item]) -> Iterator[Item]:
        """`items` in the order in which a bad network would bring them."""
        held: list[tuple[int, int, Item]] = []
        for n, item in enumerate(items):
            if isinstance(item, Packet) and self._rng.random() < self._settings.loss:
                continue
            heapq.heappush(held, (due_ns(item) + self._delay_ns(item), n, item))
            while held and held[0][0] <= due_ns(item):
                yield heapq.heappop(held)[2]
        while held:
            yield heapq.heappop(held)[2]

    def _delay_ns(self, item: Item) -> int:
        if not isinstance(item, Packet):
            return self.disorder_bound_ns  # an end comes after all that it ends
        jitter_ns = round(self._rng.random() * self._settings.jitter_ms * NS_PER_MS)
        if self._rng.random() < self._settings.disorder:
            return jitter_ns + round(self._rng.random() * DISORDER_NS)
        return jitter_ns

    def _video(self) -> Iterator[Item]:
        count = -int(-self._end_ns * self._rate_hz // NS_PER_S)
        for i in range(count):
            t_ns = round(i * NS_PER_S / self._rate_hz)
            next_ns = min(round((i + 1) * NS_PER_S / self._rate_hz), self._end_ns)
            pixels = self._scene.render(t_ns)
            pixels.flags.writeable = False
            frame = VideoFrame(
                pixels=pixels, light=self._followed(t_ns), glances=self._glanced(t_ns)
            )
            yield self._packet(Modality.VIDEO, i, t_ns, max(next_ns - t_ns, 1), frame)
        yield self._ended(Modality.VIDEO, self._end_ns)

    def _followed(self, until_ns: int) -> tuple[Light, ...]:
        """Brightness of the scene up to the look at `until_ns`."""
        while (t_ns := self._light.next_ns) is not None and t_ns <= until_ns:
            self._light.wants(t_ns)
            self._light.add(t_ns, float(self._scene.render(t_ns).mean()))
        return self._light.take(until_ns)

    def _glanced(self, until_ns: int) -> tuple[Glance, ...]:
        """The scene's pictures up to the look at `until_ns`."""
        while (t_ns := self._glances.next_ns) is not None and t_ns <= until_ns:
            self._glances.wants(t_ns)
            self._glances.add(t_ns, grey_of(self._scene.render(t_ns), cv2.COLOR_RGB2GRAY))
        return self._glances.take(until_ns)

    def _audio(self) -> Iterator[Item]:
        framer = AudioFramer(self._hop_ns, stream=self._stream)
        count = round(self._scene.sample_count * self._sound_rate)
        offset_ns = round(self._settings.audio_offset_ms * NS_PER_MS)
        early = min(max(-offset_ns * AUDIO_RATE_HZ // NS_PER_S, 0), count)
        step = AUDIO_RATE_HZ // 10
        for start in range(early, count, step):
            t_ns = max(offset_ns, 0) + (start - early) * NS_PER_S // AUDIO_RATE_HZ
            yield from framer.push(t_ns, self._recorded(start, min(start + step, count)))
        yield from framer.flush()
        yield self._ended(Modality.AUDIO, framer.end_ns)

    def _text(self) -> Iterator[Item]:
        end_ns = 0
        for seq, cue in enumerate(self._scene.cues):
            words = TextMessage(text=cue.text, language="en", speaker=cue.speaker)
            yield self._packet(Modality.TEXT, seq, cue.start_ns, cue.duration_ns, words)
            end_ns = cue.start_ns + cue.duration_ns
        yield self._ended(Modality.TEXT, max(end_ns, self._end_ns))

    @property
    def _sound_rate(self) -> float:
        """Seconds that the sound's clock counts in one."""
        return 1 + self._settings.drift_ppm * 1e-6

    def _recorded(self, start: int, stop: int) -> Float32Array:
        """Samples of the scene's sound as that clock dates them."""
        if self._sound_rate == 1:
            return self._scene.heard(start, stop)
        at = np.arange(start, stop) / self._sound_rate
        first, after = int(at[0]), min(int(at[-1]) + 2, self._scene.sample_count)
        heard = self._scene.heard(first, after)
        return np.interp(at, np.arange(first, after), heard).astype(np.float32)

    def _packet(
        self, modality: Modality, seq: int, t_ns: int, duration_ns: int, payload: Payload
    ) -> Packet:
        return Packet(
            stream=self._stream,
            modality=modality,
            seq=seq,
            t_ns=t_ns,
            duration_ns=duration_ns,
            payload=payload,
        )

    def _ended(self, modality: Modality, t_ns: int) -> Progress:
        return Progress(stream=self._stream, modality=modality, t_ns=t_ns, ended=True)


def dated_by_sound(t_ns: int, settings: SyntheticSettings) -> int:
    """When the sound's own clock says that something at `t_ns` happened."""
    drift_ns = t_ns * settings.drift_ppm * 1e-6
    return round(t_ns + drift_ns + settings.audio_offset_ms * NS_PER_MS)
