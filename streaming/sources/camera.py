"""Local cameras and microphones.

Invariant: the audio callback only copies; times are session-clock times of capture, not of
arrival; what the devices' libraries would print on stderr does not get there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import cv2
import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock
from streaming.errors import SourceError
from streaming.packets import Modality, Packet, Progress, VideoFrame
from streaming.results import Health, HealthKind
from streaming.settings import CameraSettings, VisionSettings
from streaming.sources.base import Item
from streaming.sources.device_list import quiet, there_are
from streaming.sources.media_video import MAX_SIDE_PX, Ticks

MAX_MISSES = 50  # failed reads in a row before a camera counts as lost


class CameraSource:
    """A camera through OpenCV: the freshest frame at each tick of `vision.rate_hz`."""

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
    ) -> None:
        self._stream = stream
        self._clock = clock or SystemClock()
        self._length_ns = round(settings.duration_s * NS_PER_S)
        self._rate_hz = vision.rate_hz
        self._stop = threading.Event()
        with quiet():
            self._camera = cv2.VideoCapture(settings.device)
        if not self._camera.isOpened():
            raise SourceError(f"camera {settings.device}: not found. {there_are('camera')}")
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        fps = self._camera.get(cv2.CAP_PROP_FPS) or 30.0
        # A frame is exposed about one frame time before it can be read.
        self._delay_ns = round(NS_PER_S / fps) if 1 <= fps <= 240 else 33 * NS_PER_MS

    def items(self) -> Iterator[Item]:
        """Frames until the duration is over, `close` is called or the camera is lost."""
        start_ns = self._clock.now_ns()
        ticks, seq, misses, t_ns = Ticks(self._rate_hz), 0, 0, start_ns
        while not self._stop.is_set() and not self._over(t_ns - start_ns):
            if not self._camera.grab():
                misses += 1
                if misses > MAX_MISSES:
                    yield self._lost(t_ns)
                    break
                self._stop.wait(0.01)
                continue
            misses, t_ns = 0, self._clock.now_ns() - self._delay_ns
            if ticks.wants(t_ns - start_ns):
                ok, picture = self._camera.retrieve()
                if ok:
                    yield self._packet(seq, t_ns, picture)
                    seq += 1
        self._camera.release()
        yield Progress(stream=self._stream, modality=Modality.VIDEO, t_ns=t_ns, ended=True)

    def close(self) -> None:
        """End the iteration at the next frame."""
        self._stop.set()

    def _over(self, passed_ns: int) -> bool:
        return 0 < self._length_ns <= passed_ns

    def _packet(self, seq: int, t_ns: int, picture: np.ndarray) -> Packet:
        scale = min(1.0, MAX_SIDE_PX / max(picture.shape[:2]))
        if scale < 1:
            picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pixels = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        pixels.flags.writeable = False
        return Packet(
            stream=self._stream,
            modality=Modality.VIDEO,
            seq=seq,
            t_ns=t_ns,
            duration_ns=round(NS_PER_S / self._rate_hz),
            uncertainty_ns=self._delay_ns,
            payload=VideoFrame(pixels=pixels),
        )

    def _lost(self, t_ns: int) -> Health:
        return Health(
            stream=self._stream,
            kind=HealthKind.SOURCE_LOST,
            modality=Modality.VIDEO,
            t_ns=t_ns,
            detail="the camera gives no more frames; was it unplugged?",
        )
