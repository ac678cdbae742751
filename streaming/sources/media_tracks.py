"""What becomes of one track of a container: packets in, items on the stream's time line out.

Invariant: a track never raises on bad data. What cannot be decoded is skipped and counted in a
`Health` at most once for each second of stream, and times it puts out never decrease.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame as AvVideoFrame
from av.video.stream import VideoStream

from streaming.clock import NS_PER_S
from streaming.packets import Modality, Progress
from streaming.results import Health, HealthKind
from streaming.sources.base import Item, due_ns
from streaming.sources.media_time import TimeLine

# Above this a single decoder thread may fall behind real time.
ONE_THREAD_PIXELS = 2560 * 1440


def to_ns(ticks: int, time_base: Fraction) -> int:
    """Container ticks as nanoseconds, exact to half a nanosecond."""
    doubled = 2 * ticks * NS_PER_S * time_base.numerator
    return (doubled + time_base.denominator) // (2 * time_base.denominator)


def from_ns(t_ns: int, time_base: Fraction) -> int:
    """The container tick that `t_ns` falls into."""
    return t_ns * time_base.denominator // (time_base.numerator * NS_PER_S)


class Track(ABC):
    """Decodes one track and queues its items in order of `due_ns`."""

    modality: Modality

    def __init__(
        self, track: VideoStream | AudioStream, *, stream: str, time_line: TimeLine
    ) -> None:
        self.track = track
        self.queue: deque[Item] = deque()
        self.ended = False
        self.decoded_ns = 0  # end of what has been decoded
        self.packets = 0
        self.frames = 0
        self._stream = stream
        self._time_line = time_line
        self._time_base = track.time_base or Fraction(1, 1000)
        self._start_ns = self._declared_start_ns()
        self.raw_end_ns: int | None = None  # the same by the container's own clock
        self._corrupt = 0
        self._corrupt_detail = ""
        self._corrupt_said_ns = -NS_PER_S
        # One thread: streams run side by side, so threads for each would only fight over the
        # cores, and frame threading delays every picture by one frame for each thread.
        context = track.codec_context
        pixels = track.width * track.height if isinstance(track, VideoStream) else 0
        context.thread_count = 1 if pixels <= ONE_THREAD_PIXELS else 0

    @property
    @abstractmethod
    def floor_ns(self) -> int:
        """No item that is due before this will be queued any more."""

    @property
    def uncertainty_ns(self) -> int:
        """Half a tick of the container's clock."""
        return to_ns(1, self._time_base) // 2

    @property
    def all_read(self) -> bool:
        """The container says how many packets there are, and all have come."""
        return 0 < self.track.frames <= self.packets

    def feed(self, packet: av.Packet[Any] | None) -> None:
        """Decode one packet (None: what the decoder still holds) and queue what it gives."""
        self.packets += packet is not None
        try:
            frames: Sequence[object] = self.track.codec_context.decode(packet)
        except EOFError:
            return
        except (av.FFmpegError, ValueError) as error:
            self.count_corrupt(1, f"undecodable data ({_plain(error)})")
            return
        for frame in frames:
            if isinstance(frame, AudioFrame | AvVideoFrame):
                self._take_frame(frame)

    def finish(self) -> None:
        """Nothing more comes: give out the rest and the track's end."""
        if self.ended:
            return
        self.feed(None)
        self.rest()
        self._say_corrupt()
        if self.packets and not self.frames:
            self.say(HealthKind.SOURCE_LOST, f"no {self.modality} could be decoded", self.packets)
        self.ended = True
        self.queue.append(
            Progress(stream=self._stream, modality=self.modality, t_ns=self._end_ns(), ended=True)
        )

    @abstractmethod
    def rest(self) -> None:
        """Queue what waits for a successor that may not come."""

    def say(self, kind: HealthKind, detail: str, count: int = 0) -> None:
        """Queue a `Health` at the present place in the stream."""
        after_ns = due_ns(self.queue[-1]) if self.queue else 0
        self.queue.append(
            Health(
                stream=self._stream,
                kind=kind,
                modality=self.modality,
                t_ns=max(self.floor_ns, after_ns),
                count=count,
                detail=detail,
            )
        )

    def count_corrupt(self, count: int, detail: str) -> None:
        """Count bad data; say so at most once for each second of stream."""
        self._corrupt += count
        self._corrupt_detail = self._corrupt_detail or detail
        if self.floor_ns - self._corrupt_said_ns >= NS_PER_S:
            self._say_corrupt()

    def _say_corrupt(self) -> None:
        if self._corrupt:
            self.say(HealthKind.CORRUPT, self._corrupt_detail, self._corrupt)
            self._corrupt_said_ns = self.floor_ns
            self._corrupt, self._corrupt_detail = 0, ""

    def _take_frame(self, frame: AudioFrame | AvVideoFrame) -> None:
        if frame.is_corrupt:
            self.count_corrupt(1, "damaged frame")
            return
        duration_ns = self._duration_ns(frame)
        ticks = frame.pts if frame.pts is not None else frame.dts
        base = frame.time_base or self._time_base
        uncertainty_ns = self.uncertainty_ns
        if ticks is not None:
            raw_ns = to_ns(ticks, base)
        else:
            raw_ns = self.raw_end_ns if self.raw_end_ns is not None else self._first_raw_ns()
            uncertainty_ns += max(duration_ns, 1)
        self.raw_end_ns = raw_ns + duration_ns
        t_ns, vague_ns, leapt_ns = self._time_line.place(self.modality, raw_ns, duration_ns)
        if leapt_ns:
            self.rest()
            self.say(
                HealthKind.CLOCK_JUMP,
                f"timestamps leapt by {leapt_ns / NS_PER_S:+.3f} s; the stream goes on without it",
            )
        self.frames += 1
        self._take(frame, t_ns, duration_ns, uncertainty_ns + vague_ns)
        self.decoded_ns = max(self.decoded_ns, t_ns + duration_ns)

    @abstractmethod
    def _take(
        self, frame: AudioFrame | AvVideoFrame, t_ns: int, duration_ns: int, uncertainty_ns: int
    ) -> None: ...

    @abstractmethod
    def _duration_ns(self, frame: AudioFrame | AvVideoFrame) -> int: ...

    def _end_ns(self) -> int:
        """End of the track: never before anything already queued."""
        last_ns = due_ns(self.queue[-1]) if self.queue else 0
        return max(self.decoded_ns, last_ns)

    def _declared_start_ns(self) -> int:
        if self.track.start_time is None or self._time_line.zero_ns is None:
            return 0
        return max(to_ns(self.track.start_time, self._time_base) - self._time_line.zero_ns, 0)

    def _first_raw_ns(self) -> int:
        return self._start_ns + (self._time_line.zero_ns or 0)


def _plain(error: Exception) -> str:
    """The error's own words without numbers and addresses."""
    return str(getattr(error, "strerror", None) or error).lower()
