"""Sound files that a manifest names: found beside it or beside its folder, decoded, checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.data.speech import decode
from models.errors import DataError
from models.evaluate.files import Line
from models.types import SAMPLE_RATE_HZ

SHORTEST_S = 0.1  # less holds no syllable and fewer than ten frames
LONGEST_S = 600.0


def find(manifest: Path, line: Line) -> Path:
    """The file of a row: `path` relative to the manifest's folder or to its parent."""
    name = line.fields["path"].strip()
    if not name:
        raise DataError(f"{manifest}, line {line.number}: expected a sound file as path, got none")
    for root in (manifest.parent, manifest.parent.parent):
        if (root / name).is_file():
            return root / name
    raise DataError(
        f"{manifest}, line {line.number}: expected {name} in {manifest.parent} or above it, "
        "found nothing"
    )


def load_one(manifest: Path, line: Line) -> np.ndarray:
    """A clip as float32 16 kHz mono; one that cannot be used stops the reading."""
    path = find(manifest, line)
    where = f"{manifest}, line {line.number}: {path.name}"
    try:
        samples = decode(path)
    except (OSError, ValueError, IndexError) as error:  # PyAV's errors derive from these
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where}: expected a sound file, got {reason}") from error
    seconds = len(samples) / SAMPLE_RATE_HZ
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise DataError(
            f"{where}: expected {SHORTEST_S:g} to {LONGEST_S:g} s of sound, got {seconds:.3g} s"
        )
    if not np.isfinite(samples).all():
        raise DataError(f"{where}: expected finite samples, got NaN or infinity")
    return samples
