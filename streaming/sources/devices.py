"""Local cameras and microphones.

Invariant: the audio callback only copies; times are session-clock times of capture, not of
arrival; what the devices' libraries would print on stderr does not get there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import av
import cv2
import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock
from streaming.errors import SourceError
from streaming.packets import Float32Array, Modality, Packet, Progress, VideoFrame
from streaming.results import Health, HealthKind
from streaming.settings import CameraSettings, MicrophoneSettings, VisionSettings
from streaming.sources.audio_framing import AudioFramer
from streaming.sources.base import Item
from streaming.sources.device_list import list_devices, portaudio, quiet, there_are
from streaming.sources.media_audio import MonoResampler
from streaming.sources.media_video import MAX_SIDE_PX, Ticks

MAX_MISSES = 50  # failed reads in a row before a camera counts as lost
MAX_BLOCKS = 500  # of sound waiting to be read
BLOCK_S = 0.02
CHUNK_NS = 100 * NS_PER_MS


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


class MicrophoneSource:
    """A microphone through PortAudio: 16 kHz mono in chunks of a tenth of a second."""

    modalities: tuple[Modality, ...] = (Modality.AUDIO,)
    live = True
    ordered = True

    def __init__(
        self,
        settings: MicrophoneSettings,
        *,
        stream: str,
        hop_ns: int,
        clock: Clock | None = None,
    ) -> None:
        self._stream = stream
        self._clock = clock or SystemClock()
        self._length_ns = round(settings.duration_s * NS_PER_S)
        self._blocks: queue.Queue[tuple[int, np.ndarray] | None] = queue.Queue(MAX_BLOCKS)
        self._lost = 0
        self._stop = threading.Event()
        self._framer = AudioFramer(min(hop_ns, CHUNK_NS), stream=stream)
        self._swr: MonoResampler | None = None
        self._open(str(settings.device))

    def _open(self, device: str) -> None:
        with quiet():
            sounddevice = portaudio()
            try:
                chosen: int | str | None = int(device) if device.isdigit() else device or None
                info = sounddevice.query_devices(chosen, "input")
                self._rate_hz = int(info["default_samplerate"])
                self._input = sounddevice.InputStream(
                    device=chosen,
                    channels=1,
                    samplerate=self._rate_hz,
                    blocksize=round(self._rate_hz * BLOCK_S),
                    dtype="float32",
                    callback=self._take,
                )
            except (sounddevice.PortAudioError, ValueError) as error:
                name = f"microphone {device!r}" if device else "default microphone"
                reason = " ".join(str(error).split())
                raise SourceError(
                    f"{name}: cannot be opened ({reason}). {there_are('microphone')}"
                ) from error

    def items(self) -> Iterator[Item]:
        """Sound until the duration is over or `close` is called."""
        start_ns = self._clock.now_ns()
        with quiet():
            self._input.start()
        try:
            while (block := self._next()) is not None:
                t_ns, samples = block
                yield from self._framer.push(t_ns, self._converted(samples))
                if self._lost:
                    yield self._dropped()
                if 0 < self._length_ns <= self._framer.end_ns - start_ns:
                    break
            yield from self._framer.flush()
        finally:
            self._input.close()
        end_ns = max(self._framer.end_ns, start_ns)
        yield Progress(stream=self._stream, modality=Modality.AUDIO, t_ns=end_ns, ended=True)

    def close(self) -> None:
        """End the iteration."""
        self._stop.set()

    def _take(self, data: np.ndarray, frames: int, time: Any, status: Any) -> None:
        """PortAudio's thread: date the block, copy it, be gone."""
        age_s = time.currentTime - time.inputBufferAdcTime
        if not 0 < age_s < 1:
            age_s = frames / self._rate_hz
        try:
            self._blocks.put_nowait((self._clock.now_ns() - int(age_s * NS_PER_S), data.copy()))
        except queue.Full:
            self._lost += frames

    def _next(self) -> tuple[int, np.ndarray] | None:
        while not self._stop.is_set():
            try:
                return self._blocks.get(timeout=0.1)
            except queue.Empty:
                continue
        return None

    def _converted(self, samples: np.ndarray) -> Float32Array:
        finite = np.nan_to_num(samples.reshape(1, -1), posinf=0.0, neginf=0.0)
        frame = av.AudioFrame.from_ndarray(finite.astype(np.float32), format="flt", layout="mono")
        frame.sample_rate = self._rate_hz
        if self._swr is None:
            self._swr = MonoResampler(frame)
        return self._swr.convert(frame)

    def _dropped(self) -> Health:
        count, self._lost = self._lost, 0
        return Health(
            stream=self._stream,
            kind=HealthKind.DROP,
            modality=Modality.AUDIO,
            t_ns=self._framer.end_ns,
            count=count,
            detail="sound came faster than it was read",
        )


__all__ = ["CameraSource", "MicrophoneSource", "list_devices"]
