"""FER+ as arrays: pixels, votes, and parts that share no picture.

Votes for "unknown" and "not_face" are dropped, and so are faces with no other votes. FER2013 holds
many pictures twice, also mirrored or encoded anew; pictures are therefore told apart by a
fingerprint that such copies share, and a fingerprint decides the part: those of "valid" as the
corpus has it, a tenth of the rest is "test", and what remains is "train".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import DataError
from models.labels import FERPLUS
from models.types import FACE_PX

PARTS = ("train", "valid", "test")
TEST_SHARE = 0.1
THUMB_PX = 8  # divides 48


@dataclass(frozen=True, kw_only=True)
class FaceSet:
    """pixels uint8 (B, 48, 48); votes float32 (B, 8), how many annotators chose each class.

    clear: bool (B,): one class has more than half of all votes, "unknown" and "not_face" among
    them and single votes not counted; the faces that Barsoum et al. (2016) measure accuracy on.
    """

    pixels: np.ndarray
    votes: np.ndarray
    clear: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def targets(self) -> np.ndarray:
        """float32 (B, 8), the vote shares."""
        return self.votes / self.votes.sum(1, keepdims=True)

    @property
    def labels(self) -> np.ndarray:
        """int64 (B,), the class with most votes; of several, the first in the order of FERPLUS."""
        return self.votes.argmax(1)

    def take(self, rows: np.ndarray) -> FaceSet:
        """Those faces that an index or mask names."""
        return FaceSet(pixels=self.pixels[rows], votes=self.votes[rows], clear=self.clear[rows])

    def head(self, n: int) -> FaceSet:
        """The first n faces."""
        return self.take(np.arange(min(n, len(self))))


def load_faces(data: Path, part: str) -> FaceSet:
    """One of PARTS of `faces/ferplus48.npz`; no picture of one part is in another."""
    if part not in PARTS:
        raise DataError(f"faces: expected a part of {', '.join(PARTS)}, got {part!r}")
    faces, split = read_faces(data / "faces" / "ferplus48.npz")
    if split is None:
        raise DataError("faces: expected an array 'split' with train and valid, found none")
    prints = fingerprints(faces.pixels)
    valid = split == "valid"
    if part == "valid":
        return faces.take(valid)
    known = set(prints[valid])
    rest = np.array([p not in known for p in prints]) & (split == "train")
    held = np.array([int(p[:8], 16) < TEST_SHARE * 2**32 for p in prints])
    return faces.take(rest & (held if part == "test" else ~held))


def read_faces(path: Path) -> tuple[FaceSet, np.ndarray | None]:
    """All faces of a file in the shape of FER+, and its `split` (B,) if it has one."""
    if not path.exists():
        raise DataError(f"expected FER+ at {path}, found nothing: pass --data with a faces folder")
    try:
        with np.load(path) as archive:
            pixels, votes = archive["pixels"], archive["votes"].astype(np.float32)
            split = archive.get("split")
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: expected arrays 'pixels' and 'votes', got {reason}") from error
    if pixels.shape[1:] != (FACE_PX, FACE_PX) or votes.shape[:1] != pixels.shape[:1]:
        raise DataError(
            f"{path}: expected pixels (B, 48, 48) and votes (B, 8 or more), "
            f"got {pixels.shape} and {votes.shape}"
        )
    if votes.ndim != 2 or votes.shape[1] < len(FERPLUS):
        raise DataError(f"{path}: expected votes (B, 8 or more), got {votes.shape}")
    clear = _clear(votes)
    votes = votes[:, : len(FERPLUS)]
    keep = votes.sum(1) > 0
    if not keep.any():
        raise DataError(f"{path}: expected faces with votes for an emotion, found none")
    faces = FaceSet(pixels=pixels, votes=votes, clear=clear).take(keep)
    return faces, None if split is None else split[keep]


def _clear(votes: np.ndarray) -> np.ndarray:
    counted = np.where(votes > 1, votes, 0)
    most = counted.max(1)
    return (most > counted.sum(1) / 2) & (counted[:, : len(FERPLUS)].max(1) == most)


def fingerprints(pixels: np.ndarray) -> np.ndarray:
    """uint8 (B, 48, 48) -> str (B,): equal for copies, mirrored ones too, of the same picture.

    SHA-256 of a difference hash (which of two neighbours on an 8 by 8 thumbnail is lighter), the
    smaller of the picture's and its mirror image's.
    """
    block = FACE_PX // THUMB_PX
    thumbs = pixels.reshape(-1, THUMB_PX, block, THUMB_PX, block).mean((2, 4))
    return np.array([hashlib.sha256(min(_bits(t), _bits(t[:, ::-1]))).hexdigest() for t in thumbs])


def _bits(thumb: np.ndarray) -> bytes:
    return np.packbits(thumb[:, 1:] > thumb[:, :-1]).tobytes()
