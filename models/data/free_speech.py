"""Speech that is free for any use, in a folder of the user's: what the trunk is fitted on, and what
tells a voice from the sounds of a room.

`free/train` and `free/valid` below the data hold sound files in any folders; docs/training.md says
how to make them. Pieces in which hardly anybody speaks are left out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from models.data.speech import Clip, analysed, decode
from models.errors import DataError
from models.features import STEP_N
from models.state import SPEECH
from models.types import SAMPLE_RATE_HZ

LONGEST_S = 8
LEAST_T = 100  # frames of speech, 1 s
SUFFIXES = {".flac", ".g722", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav"}


def load_free(data: Path, part: str, cache: Path) -> list[Clip]:
    """The clips of "train" or "valid", at most 8 s from the beginning of each file."""
    folder = data / "free" / part
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(
            f"expected free speech below {folder}, found none; docs/training.md says how to get it"
        )
    names = [str(path.relative_to(data)) for path in files]
    mark = hashlib.sha256(repr(names).encode()).hexdigest()[:12]
    pairs = analysed(data, names, f"free-{part}-{mark}", cache, LONGEST_S * SAMPLE_RATE_HZ)
    return [
        Clip(path=name, corpus="free", speaker="", label=0, mel=mel, speech=speech)
        for name, (mel, speech) in zip(names, pairs, strict=True)
        if (speech >= SPEECH).sum() >= LEAST_T
    ]


def sound_of(data: Path, clip: Clip) -> np.ndarray:
    """float32 (N,), the samples of which the frames of a clip were made."""
    return decode(data / clip.path)[: len(clip.mel) * STEP_N]
