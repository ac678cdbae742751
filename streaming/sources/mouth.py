"""Motion of the mouth from picture to picture, for the offset of sound and picture.

Invariant: what moves the whole face is taken off, and lengths are counted in widths of the face, so
the numbers do not depend on where the face is, how large, or how often it is pictured.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Glance, Trace, Uint8Array, VideoFrame
from streaming.sources.face_detectors import Box
from streaming.sources.face_tracking import FaceTrack

SIDE = 96  # px of the face as it is looked at
DOWN = 0.08  # of the face's box: how far below its middle
BREAK_NS = 125 * NS_PER_MS  # between two pictures: further apart, nothing is said of them
KEEP = 70  # percent of the upper face that moves most alike: it moves as the head does

UPPER = (slice(8, 54), slice(14, 82))
MOUTH = (slice(50, 92), slice(20, 76))

FloatArray = npt.NDArray[np.float64]


def _waves(rows: int, columns: int, orders: tuple[tuple[int, int], ...]) -> FloatArray:
    """Cosine patterns, (len(orders), rows, columns)."""
    y = (np.arange(rows) + 0.5) * np.pi / rows
    x = (np.arange(columns) + 0.5) * np.pi / columns
    return np.stack([np.outer(np.cos(i * y), np.cos(j * x)) for i, j in orders]) / rows / columns


def _mouth_waves(orders: tuple[tuple[int, int], ...]) -> FloatArray:
    rows, columns = (s.stop - s.start for s in MOUTH)
    return _waves(rows, columns, orders)


SAME_BOTH_SIDES = _mouth_waves(((0, 0), (0, 2), (1, 0)))
OPPOSITE = _mouth_waves(((0, 1), (0, 3), (1, 1)))  # left against right

_GRID = np.mgrid[0:SIDE, 0:SIDE][::-1].astype(np.float32)  # x, y of each pixel
_AFFINE = np.stack([np.ones((SIDE, SIDE)), *(_GRID / SIDE - 0.5)], axis=-1)
_HEAD = _AFFINE[UPPER].reshape(-1, 3)
_HEAD_INVERSE = np.linalg.pinv(_HEAD)


class MouthFollower:
    """Follows the mouth of the largest face of one stream."""

    def __init__(self) -> None:
        self._before: tuple[int, Uint8Array] | None = None

    def follow(self, frame: VideoFrame, t_ns: int, tracks: list[FaceTrack]) -> Trace | None:
        """Motion between the pictures up to `frame`, whose packet is dated `t_ns`: (n, 9)."""
        if not tracks or not frame.glances:
            self._before = None
            return None
        at_ns, values = [], []
        for glance in frame.glances:
            before, self._before = self._before, (t_ns - glance.before_ns, glance.grey)
            if before is None or before[1].shape != glance.grey.shape:
                continue
            apart_ns = self._before[0] - before[0]
            if not 0 < apart_ns <= BREAK_NS:
                continue
            box = _scaled(tracks[0].box, glance, frame)
            at_ns.append(-glance.before_ns - apart_ns // 2)
            values.append(mouth_motion(before[1], glance.grey, box) * (NS_PER_S / apart_ns))
        if not values:
            return None
        return Trace(
            at_ns=np.array(at_ns, dtype=np.int64), values=np.array(values, dtype=np.float32)
        )


def mouth_motion(before: Uint8Array, after: Uint8Array, box: Box) -> FloatArray:
    """How the mouth in `box` moved from one grey picture to the next: (9,), in face widths.

    Three patterns of motion across that mirror left and right, three of motion down, and three of
    brightness, the last in standard deviations of the face's own.
    """
    old, new = _cut(before, box), _cut(after, box)
    flow = cv2.calcOpticalFlowFarneback(
        old, new, np.zeros((SIDE, SIDE, 2), np.float32), 0.5, 3, 11, 2, 5, 1.1, 0
    )
    head = _head_motion(flow)
    x, y = (_GRID + head.transpose(2, 0, 1)).astype(np.float32)
    still = cv2.remap(new, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    brighter = (still.astype(np.float64) - old) / max(float(old.std()), 1.0)
    moved = (flow - head) / SIDE
    across, down = moved[..., 0][MOUTH], moved[..., 1][MOUTH]
    return np.concatenate(
        [
            np.tensordot(OPPOSITE, across, 2),
            np.tensordot(SAME_BOTH_SIDES, down, 2),
            np.tensordot(SAME_BOTH_SIDES, brighter[MOUTH], 2),
        ]
    )


def _head_motion(flow: np.ndarray) -> FloatArray:
    """The affine motion of the upper face, carried on over all of it: (SIDE, SIDE, 2)."""
    upper = flow[UPPER].reshape(-1, 2).astype(np.float64)
    off = np.linalg.norm(upper - _HEAD @ (_HEAD_INVERSE @ upper), axis=1)
    kept = off <= np.percentile(off, KEEP)
    motion, *_ = np.linalg.lstsq(_HEAD[kept], upper[kept], rcond=None)
    return np.asarray(_AFFINE @ motion)


def _cut(grey: Uint8Array, box: Box) -> Uint8Array:
    x, y, w, h = box
    side = max(w, h)
    scale, middle_x, middle_y = SIDE / side, x + w / 2, y + h / 2 + DOWN * side
    move = np.array(
        [
            [scale, 0, SIDE / 2 - middle_x * scale],
            [0, scale, SIDE / 2 - middle_y * scale],
        ]
    )
    cut = cv2.warpAffine(grey, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, dtype=np.uint8)


def _scaled(box: Box, glance: Glance, frame: VideoFrame) -> Box:
    scale = glance.grey.shape[1] / frame.pixels.shape[1]
    x, y, w, h = box
    return x * scale, y * scale, w * scale, h * scale
