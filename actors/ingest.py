"""Ingest: the readers of all streams of one process, which come and go alone."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from functools import partial

from actors.behind import Behind
from actors.messages import Assigned, Beginning
from actors.speech_kept import KeptRecogniser
from actors.speech_open import Opener, open_speech
from actors.speech_process import SpeechProcess
from actors.stream_reader import Emit, StreamReader
from streaming.clock import NS_PER_MS, Clock, SystemClock
from streaming.consent import require_consent
from streaming.errors import AttuneError, UsageError
from streaming.modality import Modality
from streaming.settings import AttuneSettings, StreamSettings
from streaming.source_settings import (
    CameraSettings,
    MediaSettings,
    MicrophoneSettings,
    SourceSettings,
    TextSettings,
)
from streaming.sources.awaited import AwaitedSource
from streaming.sources.base import Source
from streaming.sources.lost import LostSource
from streaming.sources.open import close_sources, open_source


class Ingest:
    """Any number of stream readers, a thread each. Streams may come and go."""

    def __init__(
        self,
        streams: Sequence[StreamSettings],
        settings: AttuneSettings,
        clock: Clock,
        emit: Emit,
        open_recogniser: Opener = SpeechProcess,
    ) -> None:
        self._settings, self._clock, self._emit = settings, clock, emit
        self._open_recogniser = open_recogniser
        self._behind = Behind(settings.pipeline.max_age_ms)
        self._readers: dict[str, StreamReader] = {}
        self._past_speech_s = 0.0  # of readers that others have taken the place of
        self._assigned: dict[str, Assigned] = {}
        self._threads: dict[str, threading.Thread] = {}
        try:
            for stream in streams:
                self.open(Assigned(stream=stream))
        except AttuneError:
            self.close()
            raise

    def open(self, assigned: Assigned, *, again: bool = False) -> None:
        """Open the sources of a stream, all or none. Raises the first one's complaint.

        `again`: another process has read it and is lost. Its live sources are opened in their own
        time then, and waited for.
        """
        before = assigned.beginning if again else None
        sources = open_sources(assigned.stream, self._settings, before, self._clock)
        try:
            recogniser = open_speech(
                assigned.stream, self._settings, sources, self._open_recogniser, self._clock
            )
        except AttuneError:
            close_sources(sources)
            raise
        self._take(assigned, sources, recogniser)

    def give_up(self, assigned: Assigned, why: str) -> None:
        """Have a stream ended that was read before and cannot be opened again."""
        modalities = assigned.beginning.modalities if assigned.beginning else ()
        self._take(assigned, [LostSource(modalities, why)])

    def _take(
        self, assigned: Assigned, sources: list[Source], recogniser: KeptRecogniser | None = None
    ) -> None:
        stream = assigned.stream
        if (before := self._readers.get(stream.name)) is not None:
            self._past_speech_s += before.speech_cpu_s
        self._assigned[stream.name] = assigned
        self._readers[stream.name] = StreamReader(
            stream.name,
            sources,
            self._settings,
            self._clock,
            self._emit,
            phase_ns(stream.name, self._settings),
            assigned.segment,
            recogniser,
            sends_words=stream.sends == "words",
            behind=self._behind,
        )

    def start(self) -> None:
        """Begin to read all streams that are open."""
        for name in self._readers.keys() - self._threads.keys():
            self.start_one(name)

    def start_one(self, name: str) -> None:
        """Begin to read one stream that is open."""
        reader, assigned = self._readers[name], self._assigned[name]
        thread = self._threads[name] = threading.Thread(
            target=reader.run,
            args=(assigned.beginning,),
            kwargs={"anew": assigned.anew},
            name="ingest",
            daemon=True,
        )
        thread.start()

    def beginnings(self) -> dict[str, Beginning]:
        """When the time of each stream that is read began."""
        found = {name: reader.beginning for name, reader in list(self._readers.items())}
        return {name: beginning for name, beginning in found.items() if beginning is not None}

    @property
    def speech_cpu_s(self) -> float:
        """CPU seconds of all processes that made words so far."""
        return self._past_speech_s + sum(r.speech_cpu_s for r in list(self._readers.values()))

    def stop(self) -> None:
        """Ask all readers to end."""
        for name in list(self._readers):
            self.stop_one(name)

    def stop_one(self, name: str) -> None:
        """Ask the reader of one stream to end; it may be read again later."""
        if name in self._readers:
            self._readers[name].stop()

    def close(self) -> None:
        """Close what was opened and never read."""
        for name in self._readers.keys() - self._threads.keys():
            self._readers[name].close()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the readers; True when all have ended."""
        threads = list(self._threads.values())
        for thread in threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in threads)


def open_sources(
    stream: StreamSettings,
    settings: AttuneSettings,
    before: Beginning | None = None,
    clock: Clock | None = None,
) -> list[Source]:
    """All sources of `stream`, or none and the first one's complaint. `before`: of a stream that
    another process has read, whose live sources are waited for."""
    require_consent(stream)
    hop_ns = round(settings.windows.hop_ms * NS_PER_MS)
    sources: list[Source] = []
    try:
        for spec in stream.settled_sources:
            opened = partial(
                open_source, spec, stream=stream.name, vision=settings.vision, hop_ns=hop_ns
            )
            found = live_modalities(spec)
            if before is None or not found:
                sources.append(opened())
                continue
            known = tuple(m for m in found if m in before.modalities)
            clock = clock or SystemClock()
            sources.append(AwaitedSource(opened, known, stream=stream.name, clock=clock))
        _require_fit(stream.name, sources, paced=settings.pipeline.pace == "realtime")
    except AttuneError:
        close_sources(sources)
        raise
    return sources


def _require_fit(stream: str, sources: Sequence[Source], *, paced: bool) -> None:
    claimed = [m for source in sources for m in source.modalities]
    twice = sorted({m for m in claimed if claimed.count(m) > 1})
    if twice:
        raise UsageError(
            f"stream {stream!r}: {twice[0]} comes from two sources; give one of them a stream of "
            "its own, or switch it off there (video: false, audio: false, captions: false)"
        )
    if not paced and any(source.live for source in sources):
        raise UsageError(
            f"stream {stream!r}: a live source cannot be read as fast as possible; "
            "leave out --fast (pipeline.pace=fast)"
        )


def live_modalities(settings: SourceSettings) -> tuple[Modality, ...]:
    """What a source that is read as it comes can give; nothing for any other."""
    match settings:
        case CameraSettings():
            return (Modality.VIDEO,)
        case MicrophoneSettings():
            return (Modality.AUDIO,)
        case TextSettings(is_address=True):
            return (Modality.TEXT,)
        case MediaSettings(is_live=True):
            wanted = {Modality.VIDEO: settings.video, Modality.AUDIO: settings.audio}
            return tuple(m for m, asked in wanted.items() if asked)
    return ()


def phase_ns(name: str, settings: AttuneSettings) -> int:
    """How much later than the first a paced stream begins.

    Streams that begin together would all end their hops together, and queue for the detector and
    the nets; spread over one hop they find them free.
    """
    hop_ns = round(settings.windows.hop_ms * NS_PER_MS)
    names = [stream.name for stream in settings.streams]
    if name not in names:  # it came later
        return zlib.crc32(name.encode()) * hop_ns >> 32
    return hop_ns * names.index(name) // len(names)
