"""Any file or URL that FFmpeg reads, as a source.

Invariant: times are the container's own presentation times, counted from the earliest start of
the chosen tracks; items come in order of `due_ns` across the tracks, and no more than about two
seconds of the media are decoded ahead of what has been handed out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import av
from av.packet import Packet as AvPacket
from av.stream import Stream

from streaming.clock import NS_PER_S
from streaming.errors import SourceError
from streaming.packets import Modality
from streaming.redact import redacted
from streaming.results import HealthKind
from streaming.settings import VisionSettings
from streaming.source_settings import MediaSettings
from streaming.sources.base import Item, due_ns
from streaming.sources.media_audio import AudioTrack
from streaming.sources.media_captions import CaptionTrack, choose_captions
from streaming.sources.media_open import choose_tracks, is_url, open_container
from streaming.sources.media_time import Stitcher
from streaming.sources.media_tracks import Track, to_ns
from streaming.sources.media_video import VideoTrack

LOOK_AHEAD_NS = 2 * NS_PER_S  # a track this far behind the others holds them back no longer
END_SLACK_NS = NS_PER_S // 2
MAX_READ_ERRORS = 100  # in a row
MAX_PROBE_PACKETS = 200
# Containers that state their duration, so that a file cut short can be told.
STATES_DURATION = {"mov", "mp4", "matroska", "webm", "avi"}


class MediaSource:
    """Pictures at `vision.rate_hz`, sound on hop boundaries and captions, out of one container."""

    def __init__(
        self, settings: MediaSettings, *, stream: str, vision: VisionSettings, hop_ns: int
    ) -> None:
        self._url = settings.url
        self._stream = stream
        self._container = open_container(settings.url)
        self.live, self.ordered = False, True
        self._closed = self._iterating = False
        self._failed: str | None = None
        try:
            self._tracks = self._open_tracks(settings, vision, hop_ns)
            self.modalities: tuple[Modality, ...] = tuple(t.modality for t in self._tracks)
            if self._captions is not None:
                self.modalities += (Modality.TEXT,)
            self._packets = self._demux()
            self._probe()
        except BaseException:
            self._container.close()
            raise

    def items(self) -> Iterator[Item]:
        """Everything the source has to say, once."""
        if self._closed:
            return
        self._iterating = True
        try:
            yield from self._released()
            for packet in self._packets:
                self._feed(packet)
                yield from self._released()
                if self._closed:
                    return
            self._finish()
            yield from self._released()
        finally:
            self._container.close()

    def close(self) -> None:
        """End the iteration; a read from the network ends at its time limit at the latest."""
        self._closed = True
        if not self._iterating:
            self._container.close()

    def spare(self, wanted: bool) -> None:
        """Decode key pictures only, or all from the next key picture on."""
        for track in self._tracks:
            if isinstance(track, VideoTrack):
                track.sparing = wanted

    def _open_tracks(
        self, settings: MediaSettings, vision: VisionSettings, hop_ns: int
    ) -> tuple[Track, ...]:
        video, audio = choose_tracks(self._container, settings)
        captions = choose_captions(self._container, settings.captions, redacted(settings.url))
        starts = [
            to_ns(t.start_time, t.time_base)
            for t in (video, audio)
            if t is not None and t.start_time is not None and t.time_base
        ]
        self._zero_ns = min(starts, default=0)
        stitcher = Stitcher(self._zero_ns if starts else None)
        tracks: list[Track] = []
        if video is not None:
            tracks.append(VideoTrack(video, stream=self._stream, time_line=stitcher, vision=vision))
        if audio is not None:
            tracks.append(AudioTrack(audio, stream=self._stream, time_line=stitcher, hop_ns=hop_ns))
        self._captions: CaptionTrack | None = None
        if captions is not None:
            self._captions = CaptionTrack(captions, stream=self._stream, stitcher=stitcher)
        self._by_index = {t.track.index: t for t in tracks}
        return tuple(tracks)

    def _probe(self) -> None:
        """Read until something decodes, so that a hopeless file is refused when it is opened."""
        for _ in range(MAX_PROBE_PACKETS):
            if any(t.frames for t in self._tracks):
                return
            packet = next(self._packets, None)
            if packet is None:
                break
            self._feed(packet)
        for track in self._tracks:
            track.feed(None)
        if not any(t.frames for t in self._tracks):
            count = sum(t.packets for t in self._tracks)
            raise SourceError(
                f"{redacted(self._url)}: none of the first {count} packets could be decoded; the "
                "media is damaged, empty or encrypted. Check that it plays, or decrypt it first."
            )

    def _demux(self) -> Iterator[AvPacket[Any]]:
        """Packets of the chosen tracks; a read error is counted and reading goes on."""
        errors = 0
        chosen: list[Stream] = [t.track for t in self._tracks]
        if self._captions is not None:
            chosen.append(self._captions.track)
        while errors < MAX_READ_ERRORS and not self._closed:
            try:
                for packet in self._container.demux(chosen):
                    if packet.size:
                        errors = 0
                        yield packet
                    if self._closed:
                        return
                return
            except (av.InvalidDataError, av.PatchWelcomeError) as error:
                errors += 1
                self._tracks[0].count_corrupt(1, f"unreadable data ({error.strerror})".lower())
            except (av.FFmpegError, OSError) as error:
                self._failed = f"reading broke off ({error.strerror or error})"
                return

    def _feed(self, packet: AvPacket[Any]) -> None:
        if self._captions is not None and packet.stream.index == self._captions.track.index:
            self._captions.feed(packet)
            return
        track = self._by_index[packet.stream.index]
        if not track.ended:
            track.feed(packet)
        for track in self._tracks:
            behind_ns = self._others_ns(track) - track.decoded_ns
            if not track.ended and track.all_read and behind_ns > END_SLACK_NS:
                track.finish()
            elif not track.ended and track.frames and behind_ns > LOOK_AHEAD_NS:
                track.rest()

    def _finish(self) -> None:
        self._say_end()
        for track in sorted(self._tracks, key=lambda t: t.decoded_ns):
            track.finish()
        if self._captions is not None:
            self._captions.finish(max(t.decoded_ns for t in self._tracks))

    def _say_end(self) -> None:
        """Why the stream ends here, if not because it was complete."""
        last = max(self._tracks, key=lambda t: t.decoded_ns)
        read_ns = max(t.raw_end_ns or 0 for t in self._tracks) - self._zero_ns
        missing_ns = self._declared_ns() - read_ns
        if self._failed:
            last.say(HealthKind.SOURCE_LOST, f"{redacted(self._url)}: {self._failed}")
        elif missing_ns > NS_PER_S:
            last.say(
                HealthKind.CORRUPT,
                f"{redacted(self._url)} is cut short: {read_ns / NS_PER_S:.1f} s of "
                f"{self._declared_ns() / NS_PER_S:.1f} s could be read",
            )

    def _declared_ns(self) -> int:
        names = set(self._container.format.name.split(","))
        if is_url(self._url) or not names & STATES_DURATION:
            return 0
        return (self._container.duration or 0) * NS_PER_S // av.time_base

    def _others_ns(self, track: Track) -> int:
        return max((t.decoded_ns for t in self._tracks if t is not track), default=0)

    def _released(self) -> Iterator[Item]:
        """What no track can undercut any more, in order of `due_ns`."""
        while not self._closed:
            ready = [queue for queue in self._queues() if queue]
            if not ready:
                return
            first = min(ready, key=lambda queue: due_ns(queue[0]))
            if any(self._may_undercut(t, due_ns(first[0])) for t in self._tracks):
                return
            yield first.popleft()

    def _queues(self) -> list[deque[Item]]:
        captions = [] if self._captions is None else [self._captions.queue]
        return [t.queue for t in self._tracks] + captions

    def _may_undercut(self, track: Track, at_ns: int) -> bool:
        if track.ended or track.queue:
            return False
        behind_ns = self._others_ns(track) - track.decoded_ns
        return track.floor_ns < at_ns and behind_ns <= LOOK_AHEAD_NS
