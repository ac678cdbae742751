"""A live stream on a network: pictures and sound as they come, by the sender's own timestamps.

Invariant: a stream that goes is told of once for each modality, connected to again every quarter of
a second, and told of when it delivers again; while it is away nothing waits for it. One track that
stays silent while the other goes on is a loss of that modality alone. Where what comes counts
later, a loss and a return are told when they are known, and a connection that breaks and is made
again at once is no loss: what still waits bridges it.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterable, Iterator

from streaming.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock
from streaming.errors import SourceError
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet
from streaming.redact import redacted
from streaming.settings import VisionSettings
from streaming.source_settings import MediaSettings
from streaming.sources.base import Item, due_ns
from streaming.sources.late_tracks import may_grow
from streaming.sources.network_connection import NetworkConnection
from streaming.sources.network_pace import SILENT_NS, Pace
from streaming.sources.network_port import Arrived, Connected, Gone, NetworkPort, PacketPort
from streaming.sources.outlet import Outlet
from streaming.sources.sound_run import SoundRun, chunk_ns

POLL_S = 0.1
BEHIND_NS = 200 * NS_PER_MS  # how far promises of what is away stay behind
FIRST_NS = 1 * NS_PER_S  # a new connection may give what is older meanwhile: nothing is promised


class NetworkSource:
    """A stream through FFmpeg, or whatever `open_port` opens."""

    live = True
    ordered = True

    def __init__(
        self,
        settings: MediaSettings,
        *,
        stream: str,
        vision: VisionSettings,
        hop_ns: int,
        clock: Clock | None = None,
        open_port: Callable[[], PacketPort] | None = None,
    ) -> None:
        if settings.captions not in (None, False):
            raise SourceError(
                f"{redacted(settings.url)}: expected no captions, which are read "
                "from files only, for a live stream; leave `captions` out"
            )
        self._clock: Clock = clock or SystemClock()
        self._stream, self._vision = stream, vision
        self._name = redacted(settings.url)
        self._delay_ns = round(settings.delay_ms * NS_PER_MS)
        self._later: list[Item] = []
        self._length_ns = round(settings.duration_s * NS_PER_S)
        self._stop, self._iterating = threading.Event(), False
        self._run = SoundRun(chunk_ns(hop_ns), stream=stream)
        self._connection: NetworkConnection | None = None
        self._pace = Pace(self._delay_ns)
        self._lost: set[Modality] = set()  # as was told
        self._away: dict[Modality, int] = {}  # nothing waits for what comes after this time
        self._port = open_port() if open_port else NetworkPort(settings, self._clock)
        tracks = self._port.first
        self._known = _modalities(tracks)
        self.modalities: tuple[Modality, ...] = self._known
        if settings.late_tracks and may_grow(tracks.container):
            asked = {Modality.VIDEO: settings.video, Modality.AUDIO: settings.audio}
            self.modalities = tuple(m for m, wanted in asked.items() if wanted)

    def items(self) -> Iterator[Item]:
        """Pictures and sound until the duration is over or `close` is called."""
        start_ns = self._clock.now_ns()
        self._heard_ns = dict.fromkeys(self._known, start_ns)
        outlet = Outlet(self._stream, self.modalities, start_ns)
        self._intake = Outlet(self._stream, self.modalities, start_ns)
        self._iterating = True
        self._port.start()
        try:
            while not self._stop.is_set():
                if 0 < self._length_ns <= self._clock.now_ns() - start_ns:
                    break
                yield from self._given(self._due(self._step()), outlet)
            yield from self._given(self._later + self._ended(), outlet)
        finally:
            self._port.close()
        yield from outlet.end()

    def close(self) -> None:
        """End the iteration."""
        self._stop.set()
        if not self._iterating:
            self._port.close()

    def _step(self) -> list[Item]:
        """What happened next, and what became of the tracks meanwhile."""
        event = self._port.read(POLL_S)
        match event:
            case Connected() as connected:
                items = self._connected(connected)
            case Arrived() as arrived:
                items = self._arrived(arrived)
            case Gone(reason):
                items = self._gone(reason)
            case _:
                items = []
        if self._connection is not None:
            items += self._connection.settle(self._clock.now_ns())
        now_ns = event.arrival_ns if isinstance(event, Arrived) else self._clock.now_ns()
        return items + self._silent(now_ns)

    def _gone(self, reason: str) -> list[Item]:
        """What a connection that broke still holds, and its loss: where something waits to bridge
        it, only once it could not be made again."""
        items: list[Item] = []
        if self._connection is not None:
            items = self._ended()
            self._port.release()
            if self._delay_ns:
                return items
        return items + self._losses(self._known, f"{reason}; it is tried again")

    def _connected(self, connected: Connected) -> list[Item]:
        now_ns = self._clock.now_ns()
        self._pace = Pace(self._delay_ns)
        new = [m for m in _modalities(connected) if m not in self._known]
        self._known += (*new,)
        self._heard_ns = dict.fromkeys(self._known, now_ns)
        self._connection = NetworkConnection(
            connected,
            stream=self._stream,
            vision=self._vision,
            run=self._run,
            now_ns=now_ns,
            delay_ns=self._delay_ns,
        )
        words = f"{self._name} has a track that was not there at first"
        return [self._health(HealthKind.FORMAT, m, f"{words}: {m}") for m in new]

    def _arrived(self, arrived: Arrived) -> list[Item]:
        if self._connection is None:
            return []
        self._pace.note(arrived.arrival_ns)
        items: list[Item] = []
        if arrived.passed:
            words = "packets came faster than they were decoded"
            items.append(self._health(HealthKind.DROP, None, words, arrived.passed))
        items += self._connection.take(arrived)
        self._heard_ns |= self._connection.heard_ns
        if self._connection.changed:
            self._port.renew()
        return items

    def _silent(self, now_ns: int) -> list[Item]:
        """The loss of tracks of which nothing has come for too long, and what they still hold;
        `now_ns`: up to when it is known what has come."""
        limit_ns = now_ns - SILENT_NS - self._delay_ns
        all_silent = self._pace.is_silent(now_ns)
        silent = [m for m, heard_ns in self._heard_ns.items() if all_silent or heard_ns < limit_ns]
        connection = self._connection
        held: list[Item] = []
        if connection is not None:
            held = [i for m in silent if m not in self._lost for i in connection.rest(m)]
            if any(connection.is_stuck(m) for m in silent):
                self._port.renew()
        return held + self._losses(silent, "nothing has come for too long")

    def _losses(self, modalities: Iterable[Modality], why: str) -> list[Item]:
        kind, name = HealthKind.SOURCE_LOST, self._name
        return [self._health(kind, m, f"{name}, {m}: {why}") for m in modalities]

    def _ended(self) -> list[Item]:
        """What the connection still holds."""
        connection, self._connection = self._connection, None
        return connection.end() if connection is not None else []

    def _due(self, items: list[Item]) -> list[Item]:
        """What is due by now, each loss only once; nothing but a delay makes anything wait."""
        taken: list[Item] = []
        for item in items:
            if isinstance(item, Health) and item.kind is HealthKind.SOURCE_LOST and item.modality:
                if item.modality not in self._lost:
                    self._lost.add(item.modality)
                    taken.append(item)
            elif not self._delay_ns:
                taken.append(item)
            else:
                for out in self._intake.put(item):
                    taken += [*self._back(out), out]
        if not self._delay_ns:
            return taken
        self._later = sorted(self._later + taken, key=due_ns)  # news is due at once
        first = bisect.bisect_right(self._later, self._clock.now_ns(), key=due_ns)
        due, self._later = self._later[:first], self._later[first:]
        return due

    def _given(self, items: list[Item], outlet: Outlet) -> Iterator[Item]:
        """`items` as they leave, with news of what is back, and promises for what is away."""
        for item in items:
            if isinstance(item, Health) and item.kind is HealthKind.SOURCE_LOST and item.modality:
                self._away[item.modality] = self._waiting_ns(item.modality)
            for out in outlet.put(item):
                if isinstance(out, Packet) and self._away.get(out.modality, out.t_ns) < out.t_ns:
                    del self._away[out.modality]
                    yield from self._back(out)
                yield out
        now_ns = self._clock.now_ns()
        for modality in self.modalities:
            if modality not in self._known:
                yield from outlet.promise(modality, now_ns)
        new = self._connection
        if new is not None and (new.settling or now_ns < new.since_ns + FIRST_NS):
            return
        for modality in self._away:
            yield from outlet.promise(modality, now_ns - BEHIND_NS)

    def _waiting_ns(self, modality: Modality) -> int:
        """The time of the last packet that waits."""
        waiting = (i for i in self._later if isinstance(i, Packet) and i.modality is modality)
        return max((packet.t_ns for packet in waiting), default=0)

    def _back(self, item: Item) -> list[Item]:
        """The news that what was lost has come."""
        if not isinstance(item, Packet) or item.modality not in self._lost:
            return []
        self._lost.discard(item.modality)
        words = f"{self._name}: {item.modality} is back"
        return [self._health(HealthKind.RECOVERED, item.modality, words)]

    def _health(
        self, kind: HealthKind, modality: Modality | None, detail: str, count: int = 0
    ) -> Health:
        return Health(
            stream=self._stream,
            kind=kind,
            modality=modality,
            t_ns=self._clock.now_ns(),
            count=count,
            detail=detail,
        )


def _modalities(tracks: Connected) -> tuple[Modality, ...]:
    """What a connection gives."""
    found = {Modality.VIDEO: tracks.video, Modality.AUDIO: tracks.audio}
    return tuple(m for m, track in found.items() if track is not None)
