"""One stream is read: paced, reduced to faces, handed over in batches.

One thread reads all scheduled sources of a stream, merged by the time at which a live device
would have delivered them; each live source has a thread of its own. Packets leave when their
hop is over, so that one hand-over carries a hop. In real time a reader that has fallen behind
gives up pictures (and says so), never sound or words; when many are behind, all do. Words that are
made of the sound leave as soon as they are there.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable, Iterator, Sequence

import msgspec

from actors.batching import HopBatcher, shifted
from actors.behind import Behind
from actors.looks import Looks
from actors.messages import Beginning, Cargo, Packets, StreamOpened
from actors.speech import SpeechLane
from actors.speech_kept import KeptRecogniser
from streaming.clock import NS_PER_MS, NS_PER_S, Clock
from streaming.errors import AttuneError
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, PacketBatch, Progress, VideoFrame
from streaming.settings import AttuneSettings
from streaming.sources.base import Item, Source, due_ns
from streaming.sources.open import close_sources
from streaming.sources.sound_run import chunk_ns

log = logging.getLogger(__name__)

RUN_UP_NS = 12 * NS_PER_S  # before what is wanted of a file; key pictures may be so far apart
STOP_S = 2.0  # how long the last words are waited for when a stream is stopped
Emit = Callable[[Cargo], bool]


class StreamReader:
    """All sources of one stream. `emit` may block; it answers False when nobody takes more.

    `phase_ns`: how much later than now a paced stream's time begins. `segment`: how often the
    stream has come to an end before. `recogniser`: makes its words of its sound. `behind`: of
    all readers of the process.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[Source],
        settings: AttuneSettings,
        clock: Clock,
        emit: Emit,
        phase_ns: int = 0,
        segment: int = 0,
        recogniser: KeptRecogniser | None = None,
        *,
        sends_words: bool = False,
        behind: Behind | None = None,
    ) -> None:
        self._sends_words = sends_words
        self.name = self._name = name
        self._sources = sources
        self._clock = clock
        self._emit = emit
        self._paced = settings.pipeline.pace == "realtime"
        self._hop_ns = round(settings.windows.hop_ms * NS_PER_MS)
        self._phase_ns = phase_ns if self._paced else 0
        self._hears = any(s.live for s in sources if Modality.AUDIO in s.modalities)
        self._chunk_ns = chunk_ns(self._hop_ns) if self._hears else self._hop_ns
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._cut_ns = 0
        self._segment = segment
        self._origin_ns = 0
        self._sources_ns = 0
        self._begin_ns = 0
        self._handed = 0
        self._looks = Looks(
            name, sources, settings.vision, behind or Behind(settings.pipeline.max_age_ms)
        )
        self._patience_ns = round(
            (settings.windows.deadline_ms + settings.windows.revise_ms) * NS_PER_MS
        )
        self._derived = () if recogniser is None else (Modality.TEXT,)
        claimed = {m for source in sources for m in source.modalities} | {*self._derived}
        self.modalities = tuple(m for m in Modality if m in claimed)
        self._batcher = HopBatcher(name, self.modalities)
        self._speech = None if recogniser is None else self._lane(recogniser)

    @property
    def beginning(self) -> Beginning | None:
        """When the stream's own time began; None before `run`."""
        if not self._origin_ns:
            return None
        return Beginning(
            origin_ns=self._origin_ns, sources_ns=self._sources_ns, modalities=self.modalities
        )

    @property
    def speech_cpu_s(self) -> float:
        """CPU seconds that its words have cost so far."""
        return 0.0 if self._speech is None else self._speech.cpu_s

    def run(self, before: Beginning | None = None, *, anew: bool = False) -> None:
        """Read to the end or until `stop`; the stream is always ended properly.

        `before`: of a stream that was read before. What is past by now is passed over, unless it
        has new sources, which begin now (`anew`).
        """
        now_ns = self._clock.now_ns()
        self._origin_ns = self._origin(now_ns) if before is None else before.origin_ns
        if before is not None:
            self._begin_ns = -(-(now_ns - self._origin_ns) // self._hop_ns) * self._hop_ns
            self._sources_ns = self._begin_ns if anew else before.sources_ns
        self._cut_ns = self._begin_ns
        self._opened = StreamOpened(
            stream=self._name,
            modalities=self.modalities,
            origin_ns=self._origin_ns,
            paced=self._paced,
            begin_ns=self._begin_ns,
            segment=self._segment,
            derived=self._derived,
            sends_words=self._sends_words,
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

    def _origin(self, now_ns: int) -> int:
        """Where the stream's time begins: where a device's chunk of sound does."""
        origin_ns = now_ns + self._phase_ns
        return origin_ns - origin_ns % self._chunk_ns if self._hears else origin_ns

    def stop(self) -> None:
        """End soon: what was read is still delivered."""
        self._stop.set()
        close_sources([s for s in self._sources if s.live])

    def close(self) -> None:
        """Close the sources of a stream that was never read."""
        close_sources(self._sources)
        if self._speech is not None:
            self._speech.close()

    def _lane(self, recogniser: KeptRecogniser) -> SpeechLane:
        return SpeechLane(
            self._name,
            recogniser,
            self._take_words,
            self._oldest_ns,
            waiting=self._patience_ns // self._chunk_ns if self._paced else 0,
        )

    def _oldest_ns(self) -> int:
        """The earliest time of words that no settled window has passed over."""
        if not self._paced:
            return 0
        now_ns = self._clock.now_ns() - self._origin_ns
        return max(now_ns - self._patience_ns + self._hop_ns, 0)

    def _take_words(self, items: Sequence[Item]) -> None:
        """Words leave at once in real time, and with the next cut otherwise."""
        with self._lock:
            if not self._batcher.is_open(Modality.TEXT):
                return  # the stream is over
            for item in items:
                self._batcher.add(_received(item, self._clock.now_ns()))
            if self._paced:
                self._send(self._batcher.cut_promised(Modality.TEXT))

    def _read_scheduled(self, sources: Sequence[Source]) -> None:
        for own in heapq.merge(*(self._guarded(s) for s in sources), key=due_ns):
            item = shifted(own, self._sources_ns)
            due = due_ns(item)
            if item.t_ns < self._begin_ns and not _matters(item):
                self._looks.spare(item.t_ns < self._begin_ns - RUN_UP_NS)
                continue  # read before, or while nobody read
            while due > self._cut_ns + self._hop_ns:
                self._cut_at(self._cut_ns + self._hop_ns)
            if self._stop.is_set() or not self._wait_until(due):
                return
            self._admit(item)

    def _read_live(self, source: Source) -> None:
        for item in self._guarded(source):
            self._admit(shifted(item, -self._origin_ns), live=True, ordered=source.ordered)

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

    def _admit(self, item: Item, *, live: bool = False, ordered: bool = True) -> None:
        now_ns = self._clock.now_ns()
        if isinstance(item, Packet):
            if self._paced:
                self._looks.keep_up(now_ns - self._origin_ns - due_ns(item), now_ns)
            if isinstance(item.payload, VideoFrame):
                looked_at = self._looks.at(item)
                if looked_at is None:
                    return
                item = looked_at
            item = _received(item, now_ns)
        with self._lock:
            words = isinstance(item, Packet) and item.modality is Modality.TEXT
            if live and words and ordered:  # for these, up to the last cut was promised
                item = shifted(item, max(self._cut_ns - item.t_ns, 0))
            before_ns = self._batcher.promised_ns(item.modality) if item.modality else 0
            self._batcher.add(item)
            if live and isinstance(item, Progress) and not item.ended:
                self._pass_on(item.modality, before_ns)
            elif live and isinstance(item, Packet) and item.modality is not Modality.TEXT:
                self._hand_over_live(item)
        if self._speech is not None and not isinstance(item, Health):
            self._speech.hear(item)

    def _hand_over_live(self, packet: Packet) -> None:
        """A device's hop leaves as soon as the device itself has passed the hop's end."""
        reached = due_ns(packet)
        if reached // self._hop_ns > (packet.t_ns - 1) // self._hop_ns or reached == packet.t_ns:
            self._send(self._batcher.cut_one(packet.modality, reached))

    def _pass_on(self, modality: Modality, before_ns: int) -> None:
        """A promise leaves as soon as it reaches beyond a hop, so that no window waits for the next
        picture, or for a device that is away."""
        if self._batcher.promised_ns(modality) // self._hop_ns > before_ns // self._hop_ns:
            self._send(self._batcher.cut_promised(modality))

    def _cut_at(self, boundary_ns: int) -> None:
        self._wait_until(boundary_ns)
        with self._lock:
            self._cut_ns = boundary_ns
            self._report_missed()
            for batch in self._batcher.cut(boundary_ns, self._unpromised()):
                self._send(batch)

    def _unpromised(self) -> set[Modality]:
        """Modalities that may still deliver something older than the boundary."""
        return {*self._derived} | {
            m
            for source in self._sources
            for m in source.modalities
            if not source.ordered or (source.live and m is not Modality.TEXT)
        }

    def _report_missed(self) -> None:
        if self._speech is not None and (missed := self._speech.missed(self._cut_ns)):
            self._batcher.add(missed)
        if passed_over := self._looks.passed_over(self._cut_ns):
            self._batcher.add(passed_over)

    def _finish(self) -> None:
        with self._lock:
            self._report_missed()
            for modality in self.modalities:
                if modality not in self._derived:
                    self._batcher.end(modality, self._cut_ns)
            for batch in self._batcher.cut(self._cut_ns, self._derived):
                self._send(batch)
        close_sources(self._sources)
        self._looks.end()
        if self._speech is not None:
            self._finish_words(self._speech)

    def _finish_words(self, speech: SpeechLane) -> None:
        """The last words, for as long as a window could show them."""
        patience_s = self._patience_ns / NS_PER_S
        speech.finish(min(patience_s, STOP_S) if self._stop.is_set() else patience_s)
        with self._lock:
            self._report_missed()
            for batch in self._batcher.cut(self._cut_ns, self._derived):
                self._send(batch)

    def _send(self, batch: PacketBatch) -> None:
        if not self._emit(Packets(batch, self._handed, self._opened)):
            self._stop.set()
        self._handed += len(batch.payloads)

    def _wait_until(self, t_ns: int) -> bool:
        if not self._paced:
            return not self._stop.is_set()
        return self._clock.wait_until(self._origin_ns + t_ns, self._stop)


def _matters(item: Item) -> bool:
    """Whether an item counts although its time was over before reading began."""
    lost = isinstance(item, Health) and item.kind is HealthKind.SOURCE_LOST
    return lost or isinstance(item, Progress)


def _received(item: Item, now_ns: int) -> Item:
    return msgspec.structs.replace(item, received_ns=now_ns) if isinstance(item, Packet) else item
