"""Ingest: sources are paced, frames are reduced to faces, packets leave in batches.

One thread reads all scheduled sources of a stream, merged by the time at which a live device
would have delivered them; each live source has a thread of its own. Packets leave when their
hop is over, so that one hand-over carries a hop. In real time a reader that has fallen behind
gives up pictures (and says so), never sound or words.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from actors.batching import HopBatcher, shifted
from actors.messages import Cargo, Packets, StreamOpened
from streaming.clock import NS_PER_MS, Clock
from streaming.errors import AttuneError, UsageError
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, PacketBatch, Progress, VideoFrame
from streaming.settings import AttuneSettings, StreamSettings
from streaming.sources.base import Item, Source, due_ns
from streaming.sources.faces import FaceReducer
from streaming.sources.open import open_source

log = logging.getLogger(__name__)

FRESH_NS = 500 * NS_PER_MS  # a picture older than this is not worth a look in real time
Emit = Callable[[Cargo], bool]


class StreamReader:
    """All sources of one stream. `emit` may block; it answers False when nobody takes more.

    `phase_ns`: how much later than now a paced stream's time begins.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[Source],
        settings: AttuneSettings,
        clock: Clock,
        emit: Emit,
        phase_ns: int = 0,
    ) -> None:
        self.name = self._name = name
        self._sources = sources
        self._clock = clock
        self._emit = emit
        self._paced = settings.pipeline.pace == "realtime"
        self._hop_ns = round(settings.windows.hop_ms * NS_PER_MS)
        self._phase_ns = phase_ns if self._paced else 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._cut_ns = 0
        self._overdue = 0
        self._origin_ns = 0
        self._begin_ns = 0
        self._handed = 0
        self._reducer = FaceReducer(settings.vision)
        claimed = {m for source in sources for m in source.modalities}
        self.modalities = tuple(m for m in Modality if m in claimed)
        self._batcher = HopBatcher(name, self.modalities)

    @property
    def origin_ns(self) -> int:
        """Session time at which the stream's own time began; 0 before `run`."""
        return self._origin_ns

    def run(self, origin_ns: int | None = None) -> None:
        """Read to the end or until `stop`; the stream is always ended properly.

        `origin_ns`: of a stream that was read before. What is past by now is passed over.
        """
        now_ns = self._clock.now_ns()
        self._origin_ns = now_ns + self._phase_ns if origin_ns is None else origin_ns
        if origin_ns is not None:
            self._begin_ns = -(-(now_ns - origin_ns) // self._hop_ns) * self._hop_ns
        self._cut_ns = self._begin_ns
        self._opened = StreamOpened(
            stream=self._name,
            modalities=self.modalities,
            origin_ns=self._origin_ns,
            paced=self._paced,
            begin_ns=self._begin_ns,
        )
        self._emit(self._opened)
        live = [s for s in self._sources if s.live]
        threads = [
            threading.Thread(target=self._read_live, args=(s,), daemon=True, name=f"{self._name}")
            for s in live
        ]
        for thread in threads:
            thread.start()
        self._read_scheduled([s for s in self._sources if not s.live])
        while any(t.is_alive() for t in threads) and not self._stop.is_set():
            self._cut_at(self._cut_ns + self._hop_ns)
        self._finish()

    def stop(self) -> None:
        """End soon: what was read is still delivered."""
        self._stop.set()
        _close([s for s in self._sources if s.live])

    def _read_scheduled(self, sources: Sequence[Source]) -> None:
        for item in heapq.merge(*(self._guarded(s) for s in sources), key=due_ns):
            due = due_ns(item)
            if due < self._begin_ns and not isinstance(item, Progress):
                continue  # read before, or while nobody read
            while due > self._cut_ns + self._hop_ns:
                self._cut_at(self._cut_ns + self._hop_ns)
            if self._stop.is_set() or not self._wait_until(due):
                return
            self._admit(item)

    def _read_live(self, source: Source) -> None:
        for item in self._guarded(source):
            self._admit(shifted(item, -self._origin_ns), live=True)

    def _guarded(self, source: Source) -> Iterator[Item]:
        """`source.items()`, whose failure ends only its own modalities."""
        ended: set[Modality] = set()
        last_ns = self._origin_ns if source.live else 0
        try:
            for item in source.items():
                last_ns = max(last_ns, item.t_ns)
                if isinstance(item, Progress) and item.ended:
                    ended.add(item.modality)
                yield item
                if self._stop.is_set():
                    break
        except Exception as error:
            if not isinstance(error, AttuneError):
                log.exception("stream %s: a source failed", self._name)
            detail = " ".join(str(error).split()) or type(error).__name__
            yield Health(
                stream=self._name, kind=HealthKind.SOURCE_LOST, t_ns=last_ns, detail=detail
            )
        for modality in source.modalities:
            if modality not in ended:
                yield Progress(stream=self._name, modality=modality, t_ns=last_ns, ended=True)

    def _admit(self, item: Item, *, live: bool = False) -> None:
        now_ns = self._clock.now_ns()
        if isinstance(item, Packet):
            late_ns = now_ns - self._origin_ns - due_ns(item)
            if isinstance(item.payload, VideoFrame):
                if self._paced and late_ns > FRESH_NS:
                    self._overdue += 1
                    return
                item = self._reducer.observe(item)
            item = msgspec.structs.replace(item, received_ns=now_ns)
        with self._lock:
            if live and isinstance(item, Packet) and item.modality is Modality.TEXT:
                item = shifted(item, max(self._cut_ns - item.t_ns, 0))
            self._batcher.add(item)
            if live and isinstance(item, Packet) and item.modality is not Modality.TEXT:
                self._hand_over_live(item)

    def _hand_over_live(self, packet: Packet) -> None:
        """A device's hop leaves as soon as the device itself has passed the hop's end."""
        reached = due_ns(packet)
        if reached // self._hop_ns > (packet.t_ns - 1) // self._hop_ns or reached == packet.t_ns:
            self._send(self._batcher.cut_one(packet.modality, reached))

    def _cut_at(self, boundary_ns: int) -> None:
        self._wait_until(boundary_ns)
        with self._lock:
            self._cut_ns = boundary_ns
            self._report_overdue()
            for batch in self._batcher.cut(boundary_ns, self._unpromised()):
                self._send(batch)

    def _unpromised(self) -> set[Modality]:
        """Modalities that may still deliver something older than the boundary."""
        return {
            m
            for source in self._sources
            for m in source.modalities
            if not source.ordered or (source.live and m is not Modality.TEXT)
        }

    def _report_overdue(self) -> None:
        if self._overdue:
            self._batcher.add(
                Health(
                    stream=self._name,
                    kind=HealthKind.DROP,
                    t_ns=self._cut_ns,
                    modality=Modality.VIDEO,
                    count=self._overdue,
                    detail="overload: pictures passed over to stay in real time",
                )
            )
            self._overdue = 0

    def _finish(self) -> None:
        with self._lock:
            self._report_overdue()
            for modality in self.modalities:
                self._batcher.end(modality, self._cut_ns)
            for batch in self._batcher.cut(self._cut_ns):
                self._send(batch)
        _close(self._sources)

    def _send(self, batch: PacketBatch) -> None:
        if not self._emit(Packets(batch, self._handed, self._opened)):
            self._stop.set()
        self._handed += len(batch.payloads)

    def _wait_until(self, t_ns: int) -> bool:
        if not self._paced:
            return not self._stop.is_set()
        return self._clock.wait_until(self._origin_ns + t_ns, self._stop)


class Ingest:
    """Any number of stream readers, a thread each."""

    def __init__(
        self,
        streams: Sequence[StreamSettings],
        settings: AttuneSettings,
        clock: Clock,
        emit: Emit,
    ) -> None:
        opened: list[tuple[StreamSettings, list[Source]]] = []
        try:
            for stream in streams:
                opened.append((stream, open_sources(stream, settings)))  # noqa: PERF401 - the open ones must be closed
        except AttuneError:
            for _, sources in opened:
                _close(sources)
            raise
        self._readers = [
            StreamReader(s.name, sources, settings, clock, emit, phase_ns(s.name, settings))
            for s, sources in opened
        ]
        self._threads: list[threading.Thread] = []

    def start(self, origins: Mapping[str, int] | None = None) -> None:
        """Begin to read. `origins`: of streams that were read before, when they began."""
        known = origins or {}
        self._threads = [
            threading.Thread(
                target=reader.run, args=(known.get(reader.name),), name="ingest", daemon=True
            )
            for reader in self._readers
        ]
        for thread in self._threads:
            thread.start()

    def origins(self) -> dict[str, int]:
        """When the time of each stream that is read began, on the session clock."""
        return {r.name: r.origin_ns for r in self._readers if r.origin_ns}

    def stop(self) -> None:
        """Ask all readers to end."""
        for reader in self._readers:
            reader.stop()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the readers; True when all have ended."""
        for thread in self._threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in self._threads)


def open_sources(stream: StreamSettings, settings: AttuneSettings) -> list[Source]:
    """All sources of `stream`, or none and the first one's complaint."""
    hop_ns = round(settings.windows.hop_ms * NS_PER_MS)
    sources: list[Source] = []
    try:
        for spec in stream.sources:
            sources.append(  # noqa: PERF401 - what is open must be closed when the next fails
                open_source(spec, stream=stream.name, vision=settings.vision, hop_ns=hop_ns)
            )
        _require_fit(stream.name, sources, paced=settings.pipeline.pace == "realtime")
    except AttuneError:
        _close(sources)
        raise
    return sources


def _require_fit(stream: str, sources: Sequence[Source], *, paced: bool) -> None:
    claimed = [m for source in sources for m in source.modalities]
    twice = sorted({m for m in claimed if claimed.count(m) > 1})
    if twice:
        raise UsageError(
            f"stream {stream!r}: {twice[0]} comes from two sources; give one of them "
            "a stream of its own, or switch it off there (video: false, audio: false)"
        )
    if not paced and any(source.live for source in sources):
        raise UsageError(
            f"stream {stream!r}: a live source cannot be read as fast as possible; "
            "leave out --fast (pipeline.pace=fast)"
        )


def phase_ns(name: str, settings: AttuneSettings) -> int:
    """How much later than the first a paced stream begins.

    Streams that begin together would all end their hops together, and queue for the detector and
    the nets; spread over one hop they find them free.
    """
    names = [stream.name for stream in settings.streams]
    return round(settings.windows.hop_ms * NS_PER_MS) * names.index(name) // len(names)


def _close(sources: Sequence[Source]) -> None:
    for source in sources:
        source.close()
