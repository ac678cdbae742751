"""A sender on a network that does what a script says, on a clock driven by hand.

A clip is cut into its packets; the script says when each of them comes. In a script an int is a
silence of so many nanoseconds. Picture `n` of a clip is grey of brightness `grey(n)`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from av.packet import Packet as AvPacket
from media_factory import write_clip

from streaming.clock import NS_PER_MS, NS_PER_S, HandClock
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, Progress
from streaming.settings import VisionSettings
from streaming.source_settings import MediaSettings
from streaming.sources.base import Item
from streaming.sources.media_tracks import to_ns
from streaming.sources.network import NetworkSource
from streaming.sources.network_port import Arrived, Connected, Event, Gone

BEGIN_NS = 1_000 * NS_PER_S
FRAME_NS = NS_PER_S // 25
VISION = VisionSettings(rate_hz=25.0)
MPEG = {"codec": "mpeg2video", "audio_codec": "mp2"}


class Clip:
    """A transport stream of pictures and sound and its packets, in the order of the container."""

    def __init__(self, path: Path, *, seconds: float = 4.0, **clip: object) -> None:
        container = av.open(str(write_clip(path, seconds=seconds, **(MPEG | clip))))
        self.connected = Connected(
            container, next(iter(container.streams.video), None), container.streams.audio[0]
        )
        self.packets: list[AvPacket] = [p for p in container.demux() if p.size]
        self.zero_ns = min(time_ns(p) for p in self.packets)

    def sent(
        self,
        *,
        begin_ns: int = BEGIN_NS,
        delay_ms: float = 40.0,
        jitter_ms: float = 5.0,
        keep: object = None,
    ) -> Iterator[Arrived]:
        """Each packet as soon as what it holds is over, `delay_ms` and up to `jitter_ms` later;
        in order, for the network keeps it."""
        random, last_ns = np.random.default_rng(3), 0
        for packet in self.packets:
            late_ns = round((delay_ms + random.uniform(0, jitter_ms)) * NS_PER_MS)
            over_ns = begin_ns + end_ns(packet) - self.zero_ns
            last_ns = max(last_ns, over_ns + late_ns)
            if keep is None or packet.stream.type == keep:
                yield Arrived(packet, last_ns)

    def moved(self, packet: AvPacket, by_ns: int) -> None:
        """Let a packet's times leap."""
        ticks = round(by_ns / NS_PER_S / packet.time_base)
        packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks


def time_ns(packet: AvPacket) -> int:
    return to_ns(packet.pts, packet.time_base)


def end_ns(packet: AvPacket) -> int:
    length = packet.duration or 0 if packet.stream.type == "audio" else 0
    return to_ns(packet.pts + length, packet.time_base)


class ScriptedNetwork:
    """A port that answers from a script; then it is silent."""

    def __init__(self, clock: HandClock, script: Iterable[Event | int]) -> None:
        self.closed = self.renewed = False
        self._clock, self._silence_ns = clock, 0
        self._script = iter(script)
        self.first = next(self._script)

    def start(self) -> None:
        self._script = iter([self.first, *self._script])

    def renew(self) -> None:
        """Go on with the part of the script after the next end."""
        self.renewed = True
        self._script = itertools.dropwhile(lambda e: not isinstance(e, Gone), self._script)

    def release(self) -> None:
        """Packets of a clip are kept by the test."""

    def close(self) -> None:
        self.closed = True

    def read(self, timeout_s: float) -> Event | None:
        if self._silence_ns <= 0:
            match next(self._script, 1 << 62):
                case int(silence_ns):
                    self._silence_ns = silence_ns
                case Arrived() as arrived:
                    self._clock.wait_until(arrived.arrival_ns)
                    return arrived
                case event:
                    return event
        self._clock.advance(round(timeout_s * NS_PER_S))
        self._silence_ns -= round(timeout_s * NS_PER_S)
        return None


def watch(script: Iterable[Event | int], *, seconds: float, **settings: float) -> list:
    """What a source gives that reads this script for so long."""
    return [item for _, item in watched(script, seconds=seconds, **settings)]


def watched(
    script: Iterable[Event | int],
    *,
    seconds: float,
    delay_ms: float = 0.0,
    rate_hz: float = VISION.rate_hz,
    late_tracks: bool = False,
) -> list[tuple[int, Item]]:
    """The same, each item with the time at which it came out."""
    clock = HandClock(BEGIN_NS)
    port = ScriptedNetwork(clock, script)
    source = NetworkSource(
        MediaSettings(
            url="udp://me:secret@camera:1",
            duration_s=seconds,
            delay_ms=delay_ms,
            late_tracks=late_tracks,
        ),
        stream="s",
        vision=VisionSettings(rate_hz=rate_hz),
        hop_ns=NS_PER_S // 2,
        clock=clock,
        open_port=lambda: port,
    )
    items = [(clock.now_ns(), item) for item in source.items()]
    assert port.closed
    return items


def of(items: list, modality: Modality) -> list[Packet]:
    return [i for i in items if isinstance(i, Packet) and i.modality is modality]


__all__ = [
    "BEGIN_NS",
    "FRAME_NS",
    "Clip",
    "Gone",
    "ScriptedNetwork",
    "end_ns",
    "of",
    "time_ns",
    "watch",
    "watched",
]


def told(items: list) -> list[tuple[HealthKind, Modality | None]]:
    return [(i.kind, i.modality) for i in items if isinstance(i, Health)]


def sound(items: list) -> np.ndarray:
    return np.concatenate([p.payload.samples[:, 0] for p in of(items, Modality.AUDIO)])


def check_laws(items: list) -> None:
    """What holds for whatever is sent: numbers, order, promises, and the ends."""
    floor = {}
    for modality in (Modality.VIDEO, Modality.AUDIO):
        packets = of(items, modality)
        assert [p.seq for p in packets] == list(range(len(packets)))
    for item in items:
        if isinstance(item, Packet | Progress):
            assert item.t_ns >= floor.get(item.modality, BEGIN_NS)
            floor[item.modality] = item.t_ns
    assert [i.modality for i in items[-3:] if isinstance(i, Progress) and i.ended] == [
        Modality.VIDEO,
        Modality.AUDIO,
    ]
