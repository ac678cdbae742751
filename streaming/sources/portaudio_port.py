"""A microphone through PortAudio.

Invariant: the callback copies, counts and dates; it never waits and never raises.
"""

from __future__ import annotations

import atexit
import queue
import threading
from functools import cache
from typing import Any

import numpy as np

from streaming.clock import NS_PER_S, Clock
from streaming.errors import PortLostError, SourceError
from streaming.source_settings import MicrophoneSettings
from streaming.sources.device_list import portaudio, quiet, there_are
from streaming.sources.sound_port import SoundBlock

BLOCK_S = 0.02
BYTES_PER_MB = 1_000_000
MAX_CHANNELS = 2
CLOSE_S = 0.3

_lock = threading.Lock()
_open_ports: set[int] = set()


@cache
def _end_without_waiting(sounddevice: Any) -> None:
    """Have the process end although a device that is gone is still being closed, for which
    PortAudio's own end would wait: for ever, if the driver is stuck."""

    def leave() -> None:
        if _open_ports:
            atexit.unregister(sounddevice._exit_handler)

    atexit.register(leave)  # so before what was registered earlier


class PortAudioPort:
    """An input stream and the queue behind its callback."""

    def __init__(self, settings: MicrophoneSettings, clock: Clock) -> None:
        self._clock = clock
        self._blocks: queue.Queue[SoundBlock] = queue.Queue()
        self._frames = self._lost = 0
        self._overflow = False
        self._ended, self._closed = threading.Event(), threading.Event()
        self._device = str(settings.device)
        with quiet(), _lock:
            sounddevice = portaudio()
            _end_without_waiting(sounddevice)
            if not _open_ports:  # PortAudio learns of new devices only when it begins
                sounddevice._terminate()
                sounddevice._initialize()
            try:
                self._open(sounddevice, settings)
            except (sounddevice.PortAudioError, ValueError) as error:
                raise _refusal(self._device, error) from error
            _open_ports.add(id(self))

    def _open(self, sounddevice: Any, settings: MicrophoneSettings) -> None:
        device = self._device
        chosen: int | str | None = int(device) if device.isdigit() else device or None
        info = sounddevice.query_devices(chosen, "input")
        channels = settings.channels or min(int(info["max_input_channels"]), MAX_CHANNELS)
        self.rate_hz = settings.sample_rate_hz or int(info["default_samplerate"])
        block = round(self.rate_hz * BLOCK_S)
        most = int(settings.waiting_mb * BYTES_PER_MB / (4 * channels * block))
        self._blocks = queue.Queue(max(most, 1))
        self._stream = sounddevice.InputStream(
            device=chosen,
            channels=channels,
            samplerate=self.rate_hz,
            blocksize=block,
            dtype="float32",
            callback=self._take,
            finished_callback=self._ended.set,
        )

    def start(self) -> None:
        """Let sound come."""
        with quiet():
            try:
                self._stream.start()
            except portaudio().PortAudioError as error:
                raise PortLostError(f"cannot be started ({_one_line(error)})") from error

    def read(self, timeout_s: float) -> SoundBlock | None:
        """The next block, or None when none came in time."""
        try:
            return self._blocks.get(timeout=timeout_s)
        except queue.Empty:
            if self._ended.is_set():
                raise PortLostError("the driver ended the stream") from None
            return None

    def close(self) -> None:
        """Give the device back. The driver of one that is gone may take long: it is not waited for,
        and PortAudio does not begin anew meanwhile."""
        with quiet():
            closing = threading.Thread(target=self._let_go, daemon=True, name="microphone-close")
            closing.start()
            closing.join(CLOSE_S)

    def _let_go(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            # Closing a stream that runs cancels its thread, in the middle of taking Python's lock
            # if need be, which nobody has then ever again; a stopped one has ended by itself.
            self._stream.stop(ignore_errors=True)
            self._stream.close(ignore_errors=True)
            with _lock:
                _open_ports.discard(id(self))

    def _take(self, data: np.ndarray, frames: int, time: Any, status: Any) -> None:
        """PortAudio's thread."""
        self._overflow |= bool(status.input_overflow)
        block = SoundBlock(
            samples=data.copy(),
            first_frame=self._frames,
            arrival_ns=self._clock.now_ns(),
            age_ns=int((time.currentTime - time.inputBufferAdcTime) * NS_PER_S),
            overflow=self._overflow,
            lost=self._lost,
        )
        self._frames += frames
        try:
            self._blocks.put_nowait(block)
            self._overflow, self._lost = False, 0
        except queue.Full:
            self._lost += frames


def _refusal(device: str, error: Exception) -> SourceError:
    name = f"microphone {device!r}" if device else "default microphone"
    return SourceError(f"{name}: cannot be opened ({_one_line(error)}). {there_are('microphone')}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
