"""FER+ as arrays.

Votes for "unknown" and "not_face" are dropped, and so are faces with no other votes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import DataError
from models.labels import FERPLUS


@dataclass(frozen=True, kw_only=True)
class FaceSet:
    """pixels uint8 (B, 48, 48); targets float32 (B, 8), the vote shares."""

    pixels: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    def head(self, n: int) -> FaceSet:
        """The first n faces."""
        return FaceSet(pixels=self.pixels[:n], targets=self.targets[:n])


def load_faces(data: Path, split: str) -> FaceSet:
    """Read one split ("train" or "valid") of `faces/ferplus48.npz`."""
    path = data / "faces" / "ferplus48.npz"
    if not path.exists():
        raise DataError(f"expected FER+ at {path}, found nothing: pass --data with a faces folder")
    with np.load(path) as archive:
        chosen = archive["split"] == split
        pixels, votes = archive["pixels"][chosen], archive["votes"][chosen]
    votes = votes[:, : len(FERPLUS)].astype(np.float32)
    keep = votes.sum(1) > 0
    votes = votes[keep]
    return FaceSet(pixels=pixels[keep], targets=votes / votes.sum(1, keepdims=True))
