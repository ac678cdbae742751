"""Following faces from look to look, cheaply.

A scan of the whole picture is dear, a look around the last place is not. Invariant: a face is
reported only after two looks found it and a second opinion agreed; a face once reported keeps
its id, is carried over one look that missed it (if the place still looks the same), and is gone
after the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from streaming.clock import NS_PER_S
from streaming.packets import Uint8Array
from streaming.sources.face_detectors import Box, Detection, Detector

# Scans of the whole picture: (for large faces, for all faces), nobody or somebody in sight.
# Large faces take a quarter of the work, and most faces before a camera are large.
SCAN_EMPTY_NS = (0, NS_PER_S // 2)
SCAN_FACES_NS = (NS_PER_S, 3 * NS_PER_S)
LARGE_SHARE = 0.25  # of the picture's height
CONFIRM_LOOKS = 2
WEAK_SCORE, WEAK_LOOKS = 0.65, 4  # a further face that was hardly found needs more looks
VERIFY_LOOKS = 8  # looks a supposed face has to convince the second opinion
REJECT_NS = 10 * NS_PER_S  # a place found to be no face is not looked at for so long
SAME_FACE_IOU = 0.3
SEARCH_SHARE = 1.9  # side of the region searched, in widths of the last box
SIZE_CHANGE = 1.35  # largest change of size from look to look
NEW_SIZE_CHANGE = 1.5  # likewise after a scan, which is coarse about sizes
SAME_LOOK = 0.5  # correlation of thumbnails above which a place still looks the same
THUMB_PX = 16
SMOOTHING = 0.5  # share of the new box in the reported one


@dataclass
class FaceTrack:
    """One face followed. `box` x, y, width, height in px.

    landmarks: float (5, 2) px where the detector gives them, smoothed as the box is.
    """

    track_id: int
    box: Box
    score: float
    wanted_looks: int = CONFIRM_LOOKS
    looks: int = 1
    missed: int = 0
    verified: bool = False
    thumb: np.ndarray = field(default_factory=lambda: np.zeros(1))
    landmarks: np.ndarray | None = None

    @property
    def reported(self) -> bool:
        """Whether the face is sure enough to be spoken of."""
        return self.verified and self.looks >= self.wanted_looks


class FaceTracker:
    """Tracks over the looks of one stream; `min_share`: smallest face, in picture heights."""

    def __init__(self, detector: Detector, min_share: float) -> None:
        self._detector = detector
        self._min_share = min_share
        self._tracks: list[FaceTrack] = []
        self._rejected: list[tuple[int, Box]] = []  # (until, where)
        self._next_id = 0
        self._shape: tuple[int, int] | None = None
        self._scanned_ns = (
            -SCAN_FACES_NS[0],
            -SCAN_FACES_NS[1],
        )  # last scan for large, for all faces

    def look(self, rgb: Uint8Array, t_ns: int) -> list[FaceTrack]:
        """The faces in `rgb` (H, W, 3) at `t_ns`, largest first."""
        self._fit(rgb.shape[:2])
        for track in self._tracks:
            self._follow(track, rgb)
        share = self._scan_share(t_ns)
        if share is not None:
            self._scan(rgb, share)
        self._judge(rgb, t_ns)
        faces = [t for t in self._tracks if t.reported]
        return sorted(faces, key=lambda t: -t.box[2] * t.box[3])

    def _fit(self, shape: tuple[int, int]) -> None:
        """Carry the tracks over a change of resolution; forget them if the form changed."""
        old, self._shape = self._shape, shape
        if old is None or old == shape:
            return
        scale = shape[0] / old[0]
        self._rejected.clear()
        if abs(shape[1] / old[1] / scale - 1) > 0.05:
            self._tracks.clear()
        for track in self._tracks:
            x, y, w, h = track.box
            track.box = (x * scale, y * scale, w * scale, h * scale)
            if track.landmarks is not None:
                track.landmarks = track.landmarks * scale

    def _follow(self, track: FaceTrack, rgb: Uint8Array) -> None:
        """Look for one face around its last place."""
        region, x0, y0 = around(rgb, track.box, SEARCH_SHARE)
        size = track.box[2]
        change = SIZE_CHANGE if track.reported else NEW_SIZE_CHANGE
        found = self._detector.detect(region, size / change, size * change, near=True)
        moved = [_shifted(d, x0, y0) for d in found]
        best = max(moved, key=lambda d: iou(d.box, track.box), default=None)
        if best is not None and iou(best.box, track.box) >= SAME_FACE_IOU / 2:
            self._seen(track, best, rgb)
        else:
            track.missed += 1

    def _scan_share(self, t_ns: int) -> float | None:
        """Smallest face to scan the picture for now, in picture heights; None: no scan."""
        large_ns, all_ns = self._scanned_ns
        every_large_ns, every_all_ns = SCAN_FACES_NS if self._tracks else SCAN_EMPTY_NS
        if not 0 <= t_ns - all_ns < every_all_ns:
            self._scanned_ns = (t_ns, t_ns)
            return self._min_share
        missed = [t.box[3] for t in self._tracks if t.missed]
        if missed or not 0 <= t_ns - large_ns < every_large_ns:
            self._scanned_ns = (t_ns, all_ns)
            height = self._shape[0] if self._shape else 1
            share = min([LARGE_SHARE, *(px / height / SIZE_CHANGE for px in missed)])
            return max(share, self._min_share)
        return None

    def _scan(self, rgb: Uint8Array, share: float) -> None:
        height = rgb.shape[0]
        for found in self._detector.detect(rgb, share * height, height):
            track = max(self._tracks, key=lambda t: iou(t.box, found.box), default=None)
            if track is not None and overlaps(track.box, found.box):
                if track.missed:
                    self._seen(track, found, rgb)
            elif not any(overlaps(box, found.box) for _, box in self._rejected):
                self._begin(found, rgb)

    def _begin(self, found: Detection, rgb: Uint8Array) -> None:
        doubtful = found.score < WEAK_SCORE and any(t.reported for t in self._tracks)
        wanted = WEAK_LOOKS if doubtful else CONFIRM_LOOKS
        thumb = _thumb(rgb, found.box)
        track = FaceTrack(self._next_id, found.box, found.score, wanted, thumb=thumb)
        track.landmarks = found.landmarks
        self._tracks.append(track)
        self._next_id += 1

    def _judge(self, rgb: Uint8Array, t_ns: int) -> None:
        """Ask the second opinion on new faces; let go of the lost and the rejected."""
        self._rejected = [(until, box) for until, box in self._rejected if until > t_ns]
        kept = []
        for track in self._tracks:
            if not track.verified and not track.missed:
                region, _, _ = around(rgb, track.box, SEARCH_SHARE)
                size = track.box[2]
                track.verified = self._detector.verify(
                    region, size / NEW_SIZE_CHANGE, size * NEW_SIZE_CHANGE
                )
            if not track.verified and track.looks >= VERIFY_LOOKS:
                self._rejected.append((t_ns + REJECT_NS, track.box))
            elif self._stays(track, rgb):
                kept.append(track)
        self._tracks = kept

    def _stays(self, track: FaceTrack, rgb: Uint8Array) -> bool:
        if not track.missed:
            return True
        if track.missed > 1 or not track.verified:
            return False
        return _alike(track.thumb, _thumb(rgb, track.box))

    def _seen(self, track: FaceTrack, found: Detection, rgb: Uint8Array) -> None:
        old, new = np.array(track.box), np.array(found.box)
        x, y, w, h = (old + SMOOTHING * (new - old)).tolist()
        track.box = (x, y, w, h)
        if track.landmarks is None or found.landmarks is None:
            track.landmarks = found.landmarks
        else:
            track.landmarks = track.landmarks + SMOOTHING * (found.landmarks - track.landmarks)
        track.score = found.score
        track.looks += 1
        track.missed = 0
        track.thumb = _thumb(rgb, track.box)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    shared = _shared(a, b)
    return shared / max(a[2] * a[3] + b[2] * b[3] - shared, 1e-9)


def overlaps(a: Box, b: Box) -> bool:
    """Whether two boxes mean the same face: alike, or one mostly inside the other."""
    smaller = max(min(a[2] * a[3], b[2] * b[3]), 1e-9)
    return iou(a, b) >= SAME_FACE_IOU or _shared(a, b) / smaller > 0.6


def around(rgb: Uint8Array, box: Box, share: float) -> tuple[Uint8Array, int, int]:
    """The part of `rgb` around `box`, `share` times as large, and its top left corner."""
    x, y, w, h = box
    half_w, half_h = w * share / 2, h * share / 2
    x0, y0 = max(int(x + w / 2 - half_w), 0), max(int(y + h / 2 - half_h), 0)
    x1, y1 = max(int(x + w / 2 + half_w), x0 + 1), max(int(y + h / 2 + half_h), y0 + 1)
    x0, y0 = min(x0, rgb.shape[1] - 1), min(y0, rgb.shape[0] - 1)
    return rgb[y0:y1, x0:x1], x0, y0


def _shared(a: Box, b: Box) -> float:
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(w, 0.0) * max(h, 0.0)


def _shifted(found: Detection, x0: int, y0: int) -> Detection:
    x, y, w, h = found.box
    marks = None if found.landmarks is None else found.landmarks + np.array([x0, y0])
    return Detection((x + x0, y + y0, w, h), found.score, marks)


def _thumb(rgb: Uint8Array, box: Box) -> np.ndarray:
    region, _, _ = around(rgb, box, 1.0)
    small = cv2.resize(region, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float64)
    return np.asarray(grey - grey.mean())


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return a.shape == b.shape and norm > 0 and float((a * b).sum()) / norm > SAME_LOOK
