"""A camera through OpenCV.

Drivers queue frames and a slow reader gets old ones. Invariant: a thread takes every frame out
of the driver's queue as it comes, and only the freshest one is held.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from streaming.clock import NS_PER_MS, NS_PER_S, Clock
from streaming.errors import PortLostError, SourceError
from streaming.source_settings import CameraSettings
from streaming.sources.device_list import list_devices, quiet, there_are
from streaming.sources.frame_port import Shot

log = logging.getLogger(__name__)

MAX_MISSES = 50  # failed reads in a row before the camera counts as gone
MISS_S = 0.01
USUAL_FPS = 30.0
MAX_PAIRS = 1000  # frames between two shots


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def get(self, propId: int, /) -> float: ...
    def set(self, propId: int, value: float, /) -> bool: ...
    def release(self) -> None: ...


class OpenCvPort:
    """A capture, and the thread that empties it."""

    def __init__(
        self,
        settings: CameraSettings,
        clock: Clock,
        open_capture: Callable[[str | int], Capture] | None = None,
    ) -> None:
        self._clock = clock
        self._capture = (open_capture or _opened)(address(settings.device))
        self._ask(settings)
        self._ready = threading.Condition()
        self._shot: Shot | None = None
        self._pairs: list[tuple[int, int]] = []
        self._from_ns = self._last_driver_ns = self.seen_ns = 0
        self._stop, self._gone = threading.Event(), False
        self._thread = threading.Thread(target=self._empty, daemon=True, name="camera")

    def start(self) -> None:
        """Let frames come."""
        self._thread.start()

    def read(self, timeout_s: float, from_ns: int) -> Shot | None:
        """The freshest frame that came at `from_ns` or later."""
        with self._ready:
            self._from_ns = from_ns
            self._ready.wait_for(lambda: self._shot is not None or self._gone, timeout_s)
            shot, self._shot = self._shot, None
            if shot is None and self._gone:
                raise PortLostError("it gives no more frames")
            return shot

    def close(self) -> None:
        """Give the device back; a read that hangs keeps it until it returns."""
        self._stop.set()
        if not self._thread.is_alive():
            self._capture.release()

    def _ask(self, settings: CameraSettings) -> None:
        asked = {
            "width": (cv2.CAP_PROP_FRAME_WIDTH, settings.width_px),
            "height": (cv2.CAP_PROP_FRAME_HEIGHT, settings.height_px),
            "frames/s": (cv2.CAP_PROP_FPS, settings.fps),
        }
        for prop, value in asked.values():
            if value:
                self._capture.set(prop, value)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        got = {name: self._capture.get(prop) for name, (prop, _) in asked.items()}
        fps = got["frames/s"]
        self.frame_ns = round(NS_PER_S / (fps if 1 <= fps <= 240 else USUAL_FPS))
        self.complaint = ", ".join(
            f"asked for {name} {value:g}, the camera gives {got[name]:g}"
            for name, (_, value) in asked.items()
            if value and abs(value - got[name]) > 0.5
        )
        log.info("camera %s: %s", settings.device, got)

    def _empty(self) -> None:
        """The thread."""
        misses = 0
        while not self._stop.is_set() and misses < MAX_MISSES:
            if self._capture.grab():
                misses = 0
                self._keep()
            else:
                misses += 1
                self._stop.wait(MISS_S)
        self._capture.release()
        with self._ready:
            self._gone = True
            self._ready.notify_all()

    def _keep(self) -> None:
        arrival_ns = self._clock.now_ns()
        driver_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * NS_PER_MS)
        if driver_ns > 0 and driver_ns != self._last_driver_ns and len(self._pairs) < MAX_PAIRS:
            self._pairs.append((driver_ns, arrival_ns))
        timed, self._last_driver_ns = driver_ns != self._last_driver_ns, driver_ns
        self.seen_ns = arrival_ns
        if arrival_ns < self._from_ns:
            return
        ok, pixels = self._capture.retrieve()
        if not ok:
            return
        with self._ready:
            if self._shot is not None:  # nobody took it: its times go with the fresher one
                self._pairs[:0] = self._shot.pairs
            pairs, self._pairs = tuple(self._pairs[-MAX_PAIRS:]) if timed else (), []
            self._shot = Shot(
                pixels=np.asarray(pixels, np.uint8), arrival_ns=arrival_ns, pairs=pairs
            )
            self._ready.notify_all()


def address(device: str | int) -> str | int:
    """What OpenCV is to open: an index, or a path or URL as it stands."""
    text = str(device)
    if text.isdigit():
        return int(text)
    if "://" in text or Path(text).exists():
        return text
    named = [
        index
        for kind, index, name, _ in list_devices()
        if kind == "camera" and text.lower() in name.lower()
    ]
    if not named:
        raise SourceError(f"camera {text!r}: not found. {there_are('camera')}")
    return min(named)  # a camera's further nodes, for metadata, come after it


def _opened(where: str | int) -> Capture:
    with quiet():
        capture = cv2.VideoCapture(where)
    if not capture.isOpened():
        raise SourceError(f"camera {where}: not found. {there_are('camera')}")
    return capture
