"""Pictures of a media file, thinned out to those that are looked at.

Invariant: exactly the first frame at or after each tick `i / rate_hz` is converted and put out,
at its own presentation time; what it covers ends where the next tick or frame takes over. While
it is sparing only key pictures are decoded, and up to the next one after that: what lies between
cannot be without what was left out. Pictures left out are counted in a `Health`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.packet import Packet as AvPacket
from av.video.frame import VideoFrame as AvVideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from streaming.clock import NS_PER_S
from streaming.packets import Modality, Packet, Uint8Array, VideoFrame
from streaming.results import HealthKind
from streaming.settings import VisionSettings
from streaming.sources.between import GlanceLog, LightLog, glance_size
from streaming.sources.media_time import TimeLine
from streaming.sources.media_tracks import Track, to_ns
from streaming.sources.ticks import Ticks

MAX_SIDE_PX = 1280
LIGHT_PX = (32, 18)  # to take the mean of
MAX_FRAME_NS = NS_PER_S  # of a frame whose duration nobody knows
MAX_KEYLESS_NS = 20 * NS_PER_S  # then the track is taken for one without key pictures


class VideoTrack(Track):
    """The track of pictures: `VideoFrame` packets at `rate_hz`, RGB, at most 1280 px wide."""

    modality = Modality.VIDEO

    def __init__(
        self, track: VideoStream, *, stream: str, time_line: TimeLine, vision: VisionSettings
    ) -> None:
        super().__init__(track, stream=stream, time_line=time_line)
        self._ticks = Ticks(vision.rate_hz)
        self._reformatter, self._small = VideoReformatter(), VideoReformatter()
        self._smaller = VideoReformatter()
        self._light, self._glances = LightLog(vision.light_hz), GlanceLog(vision.mouth_hz)
        self._pending: Packet | None = None
        self.sparing = False
        self._left_out = 0  # pictures since the last that was decoded
        self._left_ns = 0  # time of the first of them
        self._seq = 0
        self._last_ns = -1
        rate = track.average_rate or track.guessed_rate
        self._nominal_ns = round(NS_PER_S / rate) if rate else 0
        length = to_ns(track.duration, self._time_base) if track.duration else 0
        self._declared_end_ns = self._start_ns + length

    @property
    def floor_ns(self) -> int:
        if self._pending is not None:
            return self._pending.t_ns
        if self._last_ns < 0:
            return self._start_ns
        return max(self._last_ns, min(self._ticks.next_ns, self.decoded_ns))

    def feed(self, packet: AvPacket[Any] | None) -> None:
        """Decode one packet, or leave it out."""
        if packet is None or packet.dts is None or not packet.size:
            super().feed(packet)
            return
        keyless = self._left_out and self.decoded_ns - self._left_ns > MAX_KEYLESS_NS
        if packet.is_keyframe or not (self.sparing or self._left_out) or keyless:
            self._say_left_out()
            super().feed(packet)
        else:
            self._leave_out(packet.dts)

    def finish(self) -> None:
        """Nothing more comes: give out the rest and the track's end."""
        if not self.ended:
            self._say_left_out()
        super().finish()

    def _leave_out(self, dts: int) -> None:
        """Count a picture that is not decoded; the first ends what the decoder has in hand."""
        if not self._left_out:
            super().feed(None)
            self.track.codec_context.flush_buffers()
        raw_ns = to_ns(dts, self._time_base)
        t_ns = self._time_line.place(self.modality, raw_ns, 0).t_ns
        if not self._left_out:
            self._left_ns = t_ns
            self._settle(t_ns)
        self.packets += 1
        self._left_out += 1
        self._last_ns = max(self._last_ns, t_ns - 1)
        self.decoded_ns = max(self.decoded_ns, t_ns)

    def _say_left_out(self) -> None:
        count, self._left_out = self._left_out, 0
        if count:
            self.say(HealthKind.OVERLOAD, "reading is behind: pictures not decoded", count)

    def rest(self) -> None:
        """Put out the pending picture, up to the real end of the track."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._put(pending, min(pending.end_ns, max(self.decoded_ns, pending.t_ns + 1)))

    def _take(
        self, frame: AudioFrame | AvVideoFrame, t_ns: int, duration_ns: int, uncertainty_ns: int
    ) -> None:
        assert isinstance(frame, AvVideoFrame)
        t_ns = max(t_ns, 0)
        if t_ns <= self._last_ns:
            self.say(HealthKind.DROP, "a picture out of order is left out", 1)
            return
        self._last_ns = t_ns
        self._settle(t_ns)
        if self._light.wants(t_ns):
            self._light.add(t_ns, self._level(frame))
        if self._glances.wants(t_ns):
            self._glances.add(t_ns, self._grey(frame))
        if not self._ticks.wants(t_ns):
            return
        end_ns = max(t_ns + (duration_ns or MAX_FRAME_NS), self._ticks.next_ns)
        if t_ns < self._declared_end_ns < end_ns:
            end_ns = self._declared_end_ns
        self._pending = Packet(
            stream=self._stream,
            modality=Modality.VIDEO,
            seq=self._seq,
            t_ns=t_ns,
            duration_ns=end_ns - t_ns,
            uncertainty_ns=uncertainty_ns,
            payload=VideoFrame(
                pixels=self._pixels(frame),
                light=self._light.take(t_ns),
                glances=self._glances.take(t_ns),
            ),
        )
        self._seq += 1

    def _settle(self, next_ns: int) -> None:
        """Another frame has come at `next_ns`: the pending one lasts to its tick or to here."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._put(pending, min(pending.end_ns, max(next_ns, self._ticks.next_ns)))

    def _put(self, packet: Packet, end_ns: int) -> None:
        self.queue.append(
            Packet(
                stream=packet.stream,
                modality=packet.modality,
                seq=packet.seq,
                t_ns=packet.t_ns,
                duration_ns=end_ns - packet.t_ns,
                uncertainty_ns=packet.uncertainty_ns,
                payload=packet.payload,
            )
        )

    def _level(self, frame: AvVideoFrame) -> float:
        """Mean grey level, 0 to 255."""
        small = self._small.reformat(
            frame, *LIGHT_PX, format="gray", interpolation="AREA", threads=1
        )
        return float(small.to_ndarray().mean())

    def _grey(self, frame: AvVideoFrame) -> Uint8Array:
        size = glance_size(frame.width, frame.height)
        grey = self._smaller.reformat(frame, *size, format="gray", threads=1)
        return _turned(grey.to_ndarray(), frame)

    def _pixels(self, frame: AvVideoFrame) -> Uint8Array:
        scale = min(1.0, MAX_SIDE_PX / max(frame.width, frame.height))
        width, height = max(round(frame.width * scale), 1), max(round(frame.height * scale), 1)
        rgb = self._reformatter.reformat(frame, width, height, format="rgb24", threads=1)
        pixels = _turned(rgb.to_ndarray(), frame)
        pixels.flags.writeable = False
        return pixels

    def _duration_ns(self, frame: AudioFrame | AvVideoFrame) -> int:
        if frame.duration:
            return to_ns(frame.duration, frame.time_base or self._time_base)
        return self._nominal_ns


def _turned(pixels: np.ndarray, frame: AvVideoFrame) -> Uint8Array:
    """As the frame says it is to be shown."""
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns) if turns else pixels, dtype=np.uint8)
