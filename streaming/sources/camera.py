"""A local camera: the freshest frame at each tick of `vision.rate_hz`, at its time of exposure.

Invariant: a camera that goes is told of once, tried again with growing pauses, and told of when
it is back; what is wrong with its pictures is told of, and the pictures go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from streaming.clock import NS_PER_S, Clock, SystemClock
from streaming.clock_map import ClockMap, Stamp, Tracking
from streaming.errors import PortLostError
from streaming.packets import Modality, Packet, Progress, Uint8Array, VideoFrame
from streaming.results import Health, HealthKind
from streaming.settings import VisionSettings
from streaming.source_settings import CameraSettings
from streaming.sources.base import Item
from streaming.sources.between import GlanceLog, LightLog, grey_of
from streaming.sources.frame_port import FramePort, Shot
from streaming.sources.kept_port import AWAY_NS, KeptPort
from streaming.sources.media_video import MAX_SIDE_PX
from streaming.sources.opencv_port import OpenCvPort
from streaming.sources.picture_health import PictureJudge
from streaming.sources.ticks import Ticks

POLL_S = 0.03
SAME_CLOCK_NS = NS_PER_S  # a driver's time this little before arrival is session time


class CameraSource:
    """A camera through OpenCV, or whatever `open_port` opens."""

    modalities: tuple[Modality, ...] = (Modality.VIDEO,)
    live = True
    ordered = True

    def __init__(
        self,
        settings: CameraSettings,
        *,
        stream: str,
        vision: VisionSettings,
        clock: Clock | None = None,
        open_port: Callable[[], FramePort] | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._stream, self._clock, self._rate_hz = stream, clock, vision.rate_hz
        self._name = settings.device
        self._length_ns = round(settings.duration_s * NS_PER_S)
        self._stop = threading.Event()
        self._ticks, self._map, self._judge = Ticks(vision.rate_hz), ClockMap(), PictureJudge()
        self._light, self._glances = LightLog(vision.light_hz), GlanceLog(vision.mouth_hz)
        self._start_ns = self._last_ns = self._seen_ns = 0
        self._seq = self._behind_ns = self._promised_ns = 0
        self._size = (0, 0)
        self._kept: KeptPort[FramePort] = KeptPort(
            open_port or (lambda: OpenCvPort(settings, clock)), clock
        )

    def items(self) -> Iterator[Item]:
        """Frames until the duration is over or `close` is called."""
        self._start_ns = self._last_ns = self._promised_ns = self._clock.now_ns()
        try:
            yield from self._guarded(self._begin)
            while not self._stop.is_set():
                if 0 < self._length_ns <= self._clock.now_ns() - self._start_ns:
                    break
                yield from self._guarded(self._step)
        finally:
            self._kept.close()
        yield Progress(stream=self._stream, modality=Modality.VIDEO, t_ns=self._last_ns, ended=True)

    def close(self) -> None:
        """End the iteration at the next frame."""
        self._stop.set()

    def _guarded(self, step: Callable[[], list[Item]]) -> list[Item]:
        """What `step` gives, or the news that the camera is gone."""
        try:
            return step()
        except PortLostError as error:
            if not self._kept.lose():
                return []
            words = f"camera {self._name}: {error}; it will be tried again"
            return [self._health(HealthKind.SOURCE_LOST, words)]

    def _begin(self) -> list[Item]:
        self._kept.start()
        complaint = self._kept.port.complaint if self._kept.port is not None else ""
        return [self._health(HealthKind.FORMAT, complaint)] if complaint else []

    def _step(self) -> list[Item]:
        """One frame, or one look at what became of the camera."""
        port = self._kept.port
        if port is None:
            self._kept.reopen(self._stop)
            return self._promise(self._clock.now_ns() - AWAY_NS)
        shot = port.read(POLL_S, self._start_ns + self._wanted_ns())
        if shot is not None:
            return self._take(shot, port.frame_ns)
        self._kept.require_life()
        away_ns = self._clock.now_ns() - AWAY_NS if self._kept.away else 0
        return self._promise(max(port.seen_ns - self._behind_ns, away_ns))

    def _take(self, shot: Shot, frame_ns: int) -> list[Item]:
        items = self._back()
        t_ns, uncertainty_ns = self._dated(shot, frame_ns)
        self._follow(shot, t_ns)
        self._behind_ns = shot.arrival_ns - t_ns
        if t_ns <= self._last_ns or not self._ticks.wants(t_ns - self._start_ns):
            return items + self._promise(t_ns)
        self._last_ns = t_ns
        items += self._sized(shot.pixels)
        items += [self._health(*found) for found in self._judge.look(shot.pixels, t_ns)]
        return [*items, self._packet(t_ns, uncertainty_ns, shot)]

    def _promise(self, t_ns: int) -> list[Item]:
        """That no picture from before `t_ns` comes: frames that nobody wants have come since, or
        the camera is away."""
        if t_ns <= self._promised_ns:
            return []
        self._promised_ns = t_ns
        return [Progress(stream=self._stream, modality=Modality.VIDEO, t_ns=t_ns)]

    def _wanted_ns(self) -> int:
        """When the next frame is wanted: to be looked at, or for its light or mouths alone."""
        wanted = (self._ticks.next_ns, self._light.next_ns, self._glances.next_ns)
        return min(ns for ns in wanted if ns is not None)

    def _follow(self, shot: Shot, t_ns: int) -> None:
        if t_ns <= self._seen_ns:
            return
        self._seen_ns = t_ns
        if self._light.wants(t_ns - self._start_ns):
            self._light.add(t_ns, float(np.mean(cv2.mean(shot.pixels)[:3])))
        if self._glances.wants(t_ns - self._start_ns):
            self._glances.add(t_ns, grey_of(shot.pixels, cv2.COLOR_BGR2GRAY))

    def _dated(self, shot: Shot, frame_ns: int) -> tuple[int, int]:
        """Session time of the exposure, and its uncertainty.

        A frame is in hand about one frame time after its exposure. A driver whose time is the
        session clock's, as V4L2's is, says so itself, to half a frame; another clock is mapped.
        """
        stamp: Stamp | None = None
        for pair in shot.pairs:
            stamp = self._map.observe(*pair)
        if stamp is None or stamp.tracking is Tracking.QUARANTINED:
            return shot.arrival_ns - frame_ns, frame_ns
        driver_ns = shot.pairs[-1][0]
        if 0 <= stamp.t_ns - driver_ns < SAME_CLOCK_NS:
            return driver_ns, frame_ns // 2
        return stamp.t_ns - frame_ns, stamp.uncertainty_ns + frame_ns

    def _back(self) -> list[Item]:
        if not self._kept.heard():
            return []
        self._judge = PictureJudge()
        self._map.reanchor()
        return [self._health(HealthKind.RECOVERED, "the camera is back")]

    def _sized(self, pixels: Uint8Array) -> list[Item]:
        """A camera that changes its resolution is told of."""
        size, before = (pixels.shape[1], pixels.shape[0]), self._size
        self._size = size
        if before in (size, (0, 0)):
            return []
        words = f"the camera changed from {before[0]}x{before[1]} to {size[0]}x{size[1]}"
        return [self._health(HealthKind.FORMAT, words)]

    def _packet(self, t_ns: int, uncertainty_ns: int, shot: Shot) -> Packet:
        seq, self._seq = self._seq, self._seq + 1
        return Packet(
            stream=self._stream,
            modality=Modality.VIDEO,
            seq=seq,
            t_ns=t_ns,
            duration_ns=round(NS_PER_S / self._rate_hz),
            uncertainty_ns=uncertainty_ns,
            payload=VideoFrame(
                pixels=_rgb(shot.pixels),
                light=self._light.take(t_ns),
                glances=self._glances.take(t_ns),
            ),
        )

    def _health(self, kind: HealthKind, detail: str) -> Health:
        return Health(
            stream=self._stream,
            kind=kind,
            modality=Modality.VIDEO,
            t_ns=self._clock.now_ns(),
            detail=detail,
        )


def _rgb(bgr: Uint8Array) -> Uint8Array:
    """Read-only RGB, at most `MAX_SIDE_PX` wide or high."""
    scale = min(1.0, MAX_SIDE_PX / max(bgr.shape[:2]))
    scaled: np.ndarray = bgr
    if scale < 1:
        scaled = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    pixels = np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    pixels.flags.writeable = False
    return pixels
