"""Marks put on packets next to their source, so that no stage behind it needs every picture.

Invariant: nothing is taken off a packet, and its times stay; marks are counted from its `t_ns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from streaming.packets import AudioChunk, Mark, Packet, VideoFrame
from streaming.settings import AUDIO_RATE_HZ
from streaming.sources.base import Item, Source
from streaming.sync.marks import FlashFinder, OnsetFinder, Span
from streaming.sync.voice import VoiceFollower


class FlashMarker:
    """Finds the flashes of one stream's pictures."""

    def __init__(self) -> None:
        self._finder = FlashFinder()

    def flashes(self, frame: VideoFrame, t_ns: int) -> tuple[Mark, ...]:
        """Those in the pictures up to `frame`, whose packet is dated `t_ns`."""
        found = (self._finder.take(t_ns - a.before_ns, a.level) for a in frame.light)
        return _marks((span for span in found if span is not None), t_ns)


class MarkedSource:
    """`source` with the beginnings of its sounds marked, and with the colour of its `voice`."""

    def __init__(self, source: Source, *, voice: bool = False) -> None:
        self._source, self._finder = source, OnsetFinder(AUDIO_RATE_HZ)
        self._voice = VoiceFollower() if voice else None
        self.modalities, self.live, self.ordered = source.modalities, source.live, source.ordered

    def items(self) -> Iterator[Item]:
        """Everything the source has to say, once."""
        for item in self._source.items():
            yield self._marked(item)

    def close(self) -> None:
        """End the iteration."""
        self._source.close()

    def _marked(self, item: Item) -> Item:
        if not isinstance(item, Packet) or not isinstance(item.payload, AudioChunk):
            return item
        samples = item.payload.samples
        onsets = _marks(self._finder.take(item.t_ns, samples), item.t_ns)
        voice = self._voice.take(item.t_ns, samples) if self._voice else None
        payload = msgspec.structs.replace(item.payload, onsets=onsets, voice=voice)
        return msgspec.structs.replace(item, payload=payload)


def _marks(spans: Iterable[Span], t_ns: int) -> tuple[Mark, ...]:
    return tuple(Mark(from_ns=a - t_ns, to_ns=b - t_ns) for a, b in spans)
