"""Frames reduced to what the model needs of them: the faces.

A frame weighs a megabyte, five faces 60 kB, and the model looks at nothing else. Invariant: the
reduced packet has the frame's own seq, time and duration; a frame without faces becomes an
observation that says so, never nothing.
"""

from __future__ import annotations

import cv2
import numpy as np

from streaming.packets import FaceCrop, FaceObservation, Packet, Uint8Array, VideoFrame
from streaming.settings import VisionSettings
from streaming.sources.face_detectors import (
    Box,
    Detection,
    Detector,
    HaarDetector,
    YuNetDetector,
    make_detector,
)
from streaming.sources.face_tracking import FaceTrack, FaceTracker
from streaming.sources.marking import FlashMarker
from streaming.sources.mouth import MouthFollower

CROP_PX = 64
MAX_FACES = 5
LEAST_ROLL_DEG = 2.0


class FaceReducer:
    """Finds, follows and cuts out the faces of one stream."""

    def __init__(self, vision: VisionSettings, detector: Detector | None = None) -> None:
        self._detector = detector or make_detector(vision.detector)
        self._tracker = FaceTracker(self._detector, vision.min_face_share)
        self._flashes, self._mouth = FlashMarker(), MouthFollower()

    def observe(self, packet: Packet) -> Packet:
        """`packet` with its `VideoFrame` replaced by a `FaceObservation`; others as they are."""
        frame = packet.payload
        if not isinstance(frame, VideoFrame):
            return packet
        tracks = self._tracker.look(frame.pixels, packet.t_ns)[:MAX_FACES]
        observation = FaceObservation(
            frame_width_px=frame.pixels.shape[1],
            frame_height_px=frame.pixels.shape[0],
            faces=tuple(self._cut(frame.pixels, track) for track in tracks),
            flashes=self._flashes.flashes(frame, packet.t_ns),
            mouth=self._mouth.follow(frame, packet.t_ns, tracks),
        )
        return Packet(
            stream=packet.stream,
            modality=packet.modality,
            seq=packet.seq,
            t_ns=packet.t_ns,
            duration_ns=packet.duration_ns,
            uncertainty_ns=packet.uncertainty_ns,
            received_ns=packet.received_ns,
            payload=observation,
        )

    def _cut(self, rgb: Uint8Array, track: FaceTrack) -> FaceCrop:
        x, y, w, h = (round(v) for v in track.box)
        framing = self._detector.framing
        pixels = (
            square_crop(rgb, track.box, framing)
            if track.landmarks is None
            else level(rgb, track.box, framing, track.landmarks)
        )
        return FaceCrop(
            pixels=pixels,
            box_px=(x, y, w, h),
            track_id=track.track_id,
            score=track.score,
        )


def square_crop(rgb: Uint8Array, box: Box, framing: float) -> Uint8Array:
    """A square of `framing` box heights around the middle of `box`: uint8 RGB (64, 64, 3).

    What lies outside the picture repeats its border.
    """
    x, y, w, h = box
    side = max(round(max(w, h) * framing), 1)
    x0, y0 = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    height, width = rgb.shape[:2]
    left, top = max(-x0, 0), max(-y0, 0)
    right, bottom = max(x0 + side - width, 0), max(y0 + side - height, 0)
    inside: np.ndarray = rgb[max(y0, 0) : y0 + side, max(x0, 0) : x0 + side]
    if left or top or right or bottom:
        inside = cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return _scaled(inside)


def level(rgb: Uint8Array, box: Box, framing: float, eyes: np.ndarray) -> Uint8Array:
    """As `square_crop`, turned about the middle of `box` so that the eyes are level.

    `eyes`: float (2 or more, 2), px; its first two rows are the eye on the left of the picture and
    the one on the right, as YuNet orders its landmarks. A turn of under 2 degrees is left alone:
    it would only blur.
    """
    (x0, y0), (x1, y1) = eyes[:2].tolist()
    roll = np.degrees(np.arctan2(y1 - y0, x1 - x0))
    if not abs(roll) >= LEAST_ROLL_DEG:  # so that a NaN is left alone too
        return square_crop(rgb, box, framing)
    x, y, w, h = box
    side = max(round(max(w, h) * framing), 1)
    middle = (x + w / 2, y + h / 2)
    turn = np.asarray(cv2.getRotationMatrix2D(middle, float(roll), 1.0), np.float64)
    turn[:, 2] += side / 2 - np.array(middle)
    turned = cv2.warpAffine(
        rgb, turn, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return _scaled(np.asarray(turned, dtype=np.uint8))


def _scaled(square: np.ndarray) -> Uint8Array:
    scaled = cv2.resize(square, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
    pixels = np.asarray(scaled, dtype=np.uint8)
    pixels.flags.writeable = False
    return pixels


__all__ = [
    "Detection",
    "Detector",
    "FaceReducer",
    "FaceTracker",
    "HaarDetector",
    "YuNetDetector",
    "level",
    "square_crop",
]
