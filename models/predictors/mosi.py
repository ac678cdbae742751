"""CMU-MOSI: videos in, sentiment of every utterance in [-3, 3] out.

"shipped" fuses text and sound; "text" and "audio" are the same network with one of them hidden.
A folder is that of a run of `attune train configs/recipes/mosi.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from models import weights
from models.data.mosi import Segments
from models.errors import ChoiceError
from models.mosi import Mosi


class Lone:
    """A network from which one modality is hidden."""

    def __init__(self, whole: Mosi, hidden: str) -> None:
        self._whole, self._hidden = whole, hidden

    def predict(self, videos: Sequence[Segments]) -> list[np.ndarray]:
        """As `Mosi.predict`."""
        return self._whole.predict(videos, self._hidden)


MODELS: dict[str, Callable[[], Mosi | Lone]] = {
    "shipped": lambda: Mosi.load(weights.SHIPPED),
    "text": lambda: Lone(Mosi.load(weights.SHIPPED), "audio"),
    "audio": lambda: Lone(Mosi.load(weights.SHIPPED), "text"),
}


def load(name: str) -> Mosi | Lone:
    """A model by name, or the weights in the folder of a run."""
    if name in MODELS:
        return MODELS[name]()
    if not Path(name).is_dir():
        raise ChoiceError(f"no model {name!r} for mosi; there are {', '.join(MODELS)}, or a folder")
    return Mosi.load(Path(name))
