"""Captions in a container: a subtitle track as words on the container's own clock.

Invariants: an entry that cannot be read costs itself and is counted; nothing ever waits for
captions, which containers carry in front of the pictures that they are shown with.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import av
from av.codec.codec import Properties
from av.container import InputContainer
from av.packet import Packet as AvPacket
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from streaming.errors import SourceError
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, Progress, TextMessage
from streaming.source_settings import Captions
from streaming.sources.base import Item
from streaming.sources.media_time import Stitcher
from streaming.sources.media_tracks import to_ns
from streaming.sources.text_formats import MAX_CHARS, MAX_DURATION_NS, words_of
from streaming.sources.text_refusals import Refusals

WEBVTT = "webvtt"


class CaptionTrack:
    """Queues the words of one subtitle track, each with the time for which it is shown."""

    def __init__(self, track: SubtitleStream, *, stream: str, stitcher: Stitcher) -> None:
        self.track = track
        self.queue: deque[Item] = deque()
        self._stream, self._stitcher = stream, stitcher
        self._time_base = track.time_base or Fraction(1, 1000)
        self._language = _language(track)
        self._faults = Refusals()
        self._seq, self._reached_ns = 0, 0

    def feed(self, packet: AvPacket[SubtitleStream]) -> None:
        """Read one entry and queue its words, if it has some."""
        if packet.pts is None:
            self._faults.add(HealthKind.CORRUPT, "a caption has no time")
        else:
            shown_ns = self._stitcher.follow(to_ns(packet.pts, self._time_base))
            self._reached_ns = max(self._reached_ns, shown_ns)
            self._take(packet)
        self._tell(self._reached_ns)

    def finish(self, at_ns: int) -> None:
        """Nothing more comes; the container ends at `at_ns`."""
        self._reached_ns = max(self._reached_ns, at_ns)
        self._tell(None)
        self.queue.append(
            Progress(stream=self._stream, modality=Modality.TEXT, t_ns=self._reached_ns, ended=True)
        )

    def _take(self, packet: AvPacket[SubtitleStream]) -> None:
        try:
            text, speaker = self._words(packet)
        except (av.FFmpegError, ValueError) as error:
            reason = str(getattr(error, "strerror", None) or error).lower()
            self._faults.add(HealthKind.CORRUPT, f"a caption cannot be read ({reason})")
            return
        if len(text) > MAX_CHARS:
            said = f"a caption has {len(text)} characters; cut to {MAX_CHARS}"
            self._faults.add(HealthKind.CORRUPT, said)
        if text:
            self.queue.append(self._packet(packet, text[:MAX_CHARS], speaker))

    def _words(self, packet: AvPacket[SubtitleStream]) -> tuple[str, str]:
        """Text and speaker. FFmpeg has each format as a line of an SSA script, but leaves out who
        speaks in WebVTT."""
        if self.track.codec_context.name == WEBVTT:
            return words_of(bytes(packet).decode(errors="replace"))
        found = self.track.codec_context.decode2(packet)
        lines = [r.ass.decode(errors="replace") for r in found or () if isinstance(r, AssSubtitle)]
        # read order, layer, style, name, three margins, effect, text
        fields = [line.split(",", 8) for line in lines if line.count(",") >= 8]
        text, speaker = words_of("\n".join(field[8] for field in fields))
        return text, next((field[3] for field in fields if field[3]), speaker)

    def _packet(self, packet: AvPacket[SubtitleStream], text: str, speaker: str) -> Packet:
        seq, self._seq = self._seq, self._seq + 1
        return Packet(
            stream=self._stream,
            modality=Modality.TEXT,
            seq=seq,
            t_ns=self._reached_ns,
            duration_ns=min(to_ns(packet.duration or 0, self._time_base), MAX_DURATION_NS),
            uncertainty_ns=to_ns(1, self._time_base) // 2,
            payload=TextMessage(text=text, language=self._language, speaker=speaker),
        )

    def _tell(self, now_ns: int | None) -> None:
        for kind, count, reason in self._faults.due(now_ns):
            self.queue.append(
                Health(
                    stream=self._stream,
                    kind=kind,
                    modality=Modality.TEXT,
                    t_ns=self._reached_ns,
                    count=count,
                    detail=reason,
                )
            )


def choose_captions(
    container: InputContainer, wanted: Captions, name: str
) -> SubtitleStream | None:
    """The track of text that `wanted` asks for; SourceError where there is none such."""
    if wanted is False:
        return None
    tracks = [t for t in container.streams.subtitles if _is_text(t)]
    if wanted is None or wanted is True:
        found = [t for t in tracks if not t.disposition & Disposition.forced] or tracks
    elif isinstance(wanted, int):
        found = tracks[wanted : wanted + 1]
    else:
        found = [t for t in tracks if _language(t).casefold() == wanted.casefold()]
    if not found and wanted is not None:
        there = ", ".join(f"{n}: {_language(t) or 'unknown'}" for n, t in enumerate(tracks))
        raise SourceError(
            f"{name}: expected captions {_asked(wanted)}, found "
            f"{there or 'no track of text (pictures of text cannot be read)'}. Choose captions by "
            "number or language, or leave them out: captions: false."
        )
    return found[0] if found else None


def _asked(wanted: Captions) -> str:
    return "as text" if wanted is True else repr(wanted)


def _is_text(track: SubtitleStream) -> bool:
    # PyAV leaves the context out where FFmpeg has no decoder, whatever its stubs say.
    context = getattr(track, "codec_context", None)
    return context is not None and Properties.TEXT_SUB in Properties(context.codec.properties)


def _language(track: SubtitleStream) -> str:
    """As the container says it, mostly three letters; empty where it does not."""
    stated = str(track.metadata.get("language", ""))
    return "" if stated == "und" else stated
