"""One connection of a network stream: packets with their arrivals in, items on session time out.

Invariant: nothing is decoded until the first packets have laid the time line: until for `CALM_NS`
none has come sooner after its own time than those before, or for `SETTLE_NS` at most. Then all of
them are, in order, but for those before a track's first time: pieces of what began before.
A container without any times is dated by the arrival of its packets.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from av.packet import Packet as AvPacket

from streaming.clock import NS_PER_MS
from streaming.modality import Modality
from streaming.settings import VisionSettings
from streaming.sources.base import Item
from streaming.sources.media_tracks import Track, from_ns, to_ns
from streaming.sources.network_port import Arrived, Connected
from streaming.sources.network_time import NetworkTime, Sighting
from streaming.sources.network_tracks import NetworkSound, NetworkVideo
from streaming.sources.sound_run import SoundRun

SETTLE_NS = 250 * NS_PER_MS
CALM_NS = 100 * NS_PER_MS
SOONER_NS = 20 * NS_PER_MS  # less is the way's own unrest
MANY = 10  # packets; no decoder delays its frames by so many after it has begun


class NetworkConnection:
    """Decodes what comes over `connected`, which was made at `now_ns`; sound goes into `run`.

    `heard_ns`: when the last packet came, of each modality, that gave something.
    """

    def __init__(
        self,
        connected: Connected,
        *,
        stream: str,
        vision: VisionSettings,
        run: SoundRun,
        now_ns: int,
        delay_ns: int = 0,
    ) -> None:
        self._time = NetworkTime(delay_ns)
        self._held: list[Arrived] | None = []
        self._least_ns = self._least_at_ns = 1 << 62  # from a packet's own time to its arrival
        self._dated: set[Modality] = set()  # tracks whose first time has come
        self._by_arrival = False
        self._barren: dict[Modality, int] = {}  # packets since the last that gave something
        tracks: list[Track] = []
        if connected.video is not None:
            tracks.append(
                NetworkVideo(connected.video, stream=stream, time_line=self._time, vision=vision)
            )
        if connected.audio is not None:
            tracks.append(
                NetworkSound(connected.audio, stream=stream, time_line=self._time, run=run)
            )
        self._tracks = {t.track.index: t for t in tracks}
        self.heard_ns = {t.modality: now_ns for t in tracks}
        self.since_ns = now_ns

    def take(self, arrived: Arrived) -> list[Item]:
        """What one more packet gives."""
        if self._held is None:
            return self._decoded(arrived)
        self._held.append(arrived)
        seen = self._sighting(arrived)
        if seen is not None and seen.arrival_ns - seen.end_ns < self._least_ns - SOONER_NS:
            self._least_ns = seen.arrival_ns - seen.end_ns
            self._least_at_ns = seen.arrival_ns
        return self.settle(arrived.arrival_ns)

    def settle(self, now_ns: int) -> list[Item]:
        """What was held back at first, once it is time."""
        if not self._held:
            return []
        if now_ns < min(self._held[0].arrival_ns + SETTLE_NS, self._least_at_ns + CALM_NS):
            return []
        held, self._held = self._held, None
        self._by_arrival = all(_time(a.packet) is None for a in held)
        self._time.begin(seen for a in held if (seen := self._sighting(a)) is not None)
        return [item for arrived in held for item in self._decoded(arrived)]

    def rest(self, modality: Modality) -> list[Item]:
        """What waits for a successor in the track of `modality`, which may not come."""
        items: list[Item] = []
        for track in self._tracks.values():
            if track.modality is modality:
                track.rest()
                items += _taken(track)
        return items

    @property
    def settling(self) -> bool:
        """Whether packets are held back until the time line lies."""
        return bool(self._held)

    @property
    def changed(self) -> bool:
        """Whether sound has come in another format, whose times are right in a new connection."""
        return any(t.changed for t in self._tracks.values() if isinstance(t, NetworkSound))

    def is_stuck(self, modality: Modality) -> bool:
        """Whether packets come that give nothing any more, although they did."""
        gave = any(t.frames for t in self._tracks.values() if t.modality is modality)
        return gave and self._barren.get(modality, 0) >= MANY

    def end(self) -> list[Item]:
        """What is still in hand; nothing of the connection is used any more."""
        items = self.settle(1 << 62)
        for track in self._tracks.values():
            if self._held is None:
                track.feed(None)
            track.rest()
            items += _taken(track)
        self._tracks = {}
        return items

    def _decoded(self, arrived: Arrived) -> list[Item]:
        track = self._tracks[arrived.packet.stream.index]
        sighting = self._sighting(arrived)
        if sighting is not None:
            self._dated.add(track.modality)
            self._time.observe(sighting)
        elif track.modality not in self._dated:
            return []
        frames = track.frames
        track.feed(arrived.packet)
        if track.frames > frames:
            self.heard_ns[track.modality] = arrived.arrival_ns
            self._barren[track.modality] = 0
        else:
            self._barren[track.modality] = self._barren.get(track.modality, 0) + 1
        return _taken(track)

    def _sighting(self, arrived: Arrived) -> Sighting | None:
        """What a packet says of its sender's clock, if anything."""
        packet = arrived.packet
        base = packet.time_base or Fraction(1, 1000)
        if self._by_arrival:
            packet.pts = packet.dts = from_ns(arrived.arrival_ns, base)
        ticks = _time(packet)
        if ticks is None:
            return None
        modality = self._tracks[packet.stream.index].modality
        order = packet.dts if packet.dts is not None else ticks
        length = packet.duration or 0 if modality is Modality.AUDIO else 0
        return Sighting(
            modality, to_ns(order, base), to_ns(ticks + length, base), arrived.arrival_ns
        )


def _time(packet: AvPacket[Any]) -> int | None:
    """When what it holds is shown, in ticks; when it is decoded, if that is all it says."""
    return packet.pts if packet.pts is not None else packet.dts


def _taken(track: Track) -> list[Item]:
    items = list(track.queue)
    track.queue.clear()
    return items
