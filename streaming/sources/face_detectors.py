"""Finding faces in one picture. Two ways: OpenCV's shipped cascades, or a YuNet model.

Invariant: a detector keeps nothing from picture to picture; boxes are in pixels of the picture
given, and a picture too small to hold a face gives an empty list.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from streaming.errors import SourceError
from streaming.packets import Uint8Array

# Streams run side by side: threads for each would only fight over the cores.
cv2.setNumThreads(1)
# What OpenCV would print about a bad model comes back as an error here.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

Box = tuple[float, float, float, float]  # x, y, width, height in px
CASCADE_PX = 24  # side of the smallest face a cascade knows
SCAN_PIXELS = 320 * 180  # a picture is made at most this large before it is scanned
MAX_UPSCALE = 2.0
LEAST_PX = 32  # width of a face that YuNet finds with ease
SCORE_HALF = 4  # agreeing windows for a score of a half


class Detection(NamedTuple):
    """One face. `box` in px; `score` 0..1; `landmarks`: float (5, 2) px, or None."""

    box: Box
    score: float
    landmarks: np.ndarray | None = None


class Detector(Protocol):
    """Finds faces. `framing`: side of the square that shows a face as FER2013 does, in box
    heights."""

    framing: float

    def detect(
        self, rgb: Uint8Array, min_px: float, max_px: float, *, near: bool = False
    ) -> list[Detection]:
        """Faces between `min_px` and `max_px` wide in `rgb` (H, W, 3).

        `near`: `rgb` is the surroundings of a face already known, to be looked at closely.
        """
        ...

    def verify(self, rgb: Uint8Array, min_px: float, max_px: float) -> bool:
        """A second opinion: does `rgb`, cut around a supposed face, show one?"""
        ...


class HaarDetector:
    """OpenCV's frontal cascade to find, a second cascade to verify."""

    framing = 1.0  # FER2013 was cut with this very detector

    def __init__(self) -> None:
        self._finder = _cascade("haarcascade_frontalface_default.xml")
        self._verifier = _cascade("haarcascade_frontalface_alt2.xml")

    def detect(
        self, rgb: Uint8Array, min_px: float, max_px: float, *, near: bool = False
    ) -> list[Detection]:
        if near:  # few scales, so each may be a fine step and need fewer to agree
            return _scan(self._finder, rgb, min_px, max_px, 1.1, 36, neighbours=2)
        factor = 1.12 if max_px < 5 * min_px else 1.2  # few sizes again: large faces only
        return _scan(self._finder, rgb, min_px, max_px, factor, CASCADE_PX, neighbours=4)

    def verify(self, rgb: Uint8Array, min_px: float, max_px: float) -> bool:
        return bool(_scan(self._verifier, rgb, min_px, max_px, 1.08, 36, neighbours=2))


class YuNetDetector:
    """A YuNet model in ONNX form, run by OpenCV."""

    framing = 0.95
    threshold = 0.7

    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise SourceError(
                f"face detector: no file {path}; expected the path of a YuNet ONNX model. "
                'Correct vision.detector, or set it to "haar".'
            )
        try:
            self._net = cv2.FaceDetectorYN.create(path, "", (64, 64), self.threshold)
            self.detect(np.zeros((64, 64, 3), np.uint8), 1, 64)
        except cv2.error as error:
            raise SourceError(
                f"face detector: {path} is not a YuNet ONNX model that OpenCV can run. "
                'Correct vision.detector, or set it to "haar".'
            ) from error

    def detect(
        self, rgb: Uint8Array, min_px: float, max_px: float, *, near: bool = False
    ) -> list[Detection]:
        height, width = rgb.shape[:2]
        scale = min(1.0, LEAST_PX / min_px, (SCAN_PIXELS / (height * width)) ** 0.5)
        size = (round(width * scale), round(height * scale))
        if min(size) < CASCADE_PX:
            return []
        picture = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        self._net.setInputSize(size)
        _, rows = self._net.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        found = [] if rows is None else [_from_yunet(row, scale) for row in rows]
        return [d for d in found if min_px <= max(d.box[2:]) <= max_px * 1.5]

    def verify(self, rgb: Uint8Array, min_px: float, max_px: float) -> bool:
        """The network needs no second opinion."""
        return True


def make_detector(name: str) -> Detector:
    """`haar`, or the path of a YuNet ONNX model."""
    return HaarDetector() if name == "haar" else YuNetDetector(name)


def _from_yunet(row: np.ndarray, scale: float) -> Detection:
    x, y, w, h = (float(v) / scale for v in row[:4])
    return Detection((x, y, w, h), float(row[14]), row[4:14].reshape(5, 2) / scale)


def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.__file__).parent / "data" / name
    cascade = cv2.CascadeClassifier(str(path))
    if cascade.empty():
        raise SourceError(f"face detector: OpenCV came without {path}. Reinstall opencv-python.")
    return cascade


def _scan(
    cascade: cv2.CascadeClassifier,
    rgb: Uint8Array,
    min_px: float,
    max_px: float,
    factor: float,
    base_px: int,
    *,
    neighbours: int,
) -> list[Detection]:
    """Run a cascade on `rgb`, scaled so that the smallest face wanted is `base_px` wide.

    The score is n / (n + 4) for n agreeing windows.
    """
    height, width = rgb.shape[:2]
    scale = min(base_px / min_px, (SCAN_PIXELS / (height * width)) ** 0.5, MAX_UPSCALE)
    size = (round(width * scale), round(height * scale))
    if min(size) < CASCADE_PX:
        return []
    grey = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    least, most = max(round(min_px * scale), CASCADE_PX), max(round(max_px * scale), CASCADE_PX)
    boxes, counts = cascade.detectMultiScale2(
        grey, factor, neighbours, minSize=(least, least), maxSize=(most, most)
    )
    return [
        Detection((x / scale, y / scale, w / scale, h / scale), float(n / (n + SCORE_HALF)))
        for (x, y, w, h), n in zip(boxes, np.ravel(counts), strict=True)
    ]
