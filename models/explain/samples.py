"""Validation samples on which the fidelity of explanations is measured, always the same ones."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from models.data.speech import decode
from models.errors import DataError
from models.explain import fidelity
from models.explain.fidelity import Deletable
from models.network import Network

Samples = Callable[[Network, Path, int], Iterator[Deletable]]
_SEED = 20


def faces(network: Network, data: Path, n: int) -> Iterator[Deletable]:
    """n crops of the validation split of FER+."""
    path = data / "faces" / "ferplus48.npz"
    if not path.exists():
        raise DataError(f"{path}: expected the faces of FER+, got no file")
    with np.load(path) as arrays:
        pixels = arrays["pixels"][np.flatnonzero(arrays["split"] == "valid")]
    for i in _chosen(len(pixels), n):
        yield fidelity.face(network, pixels[i])


def voices(network: Network, data: Path, n: int) -> Iterator[Deletable]:
    """n clips of validation speakers in which somebody is heard to speak."""
    path = data / "speech" / "manifest.csv"
    if not path.exists():
        raise DataError(f"{path}: expected the manifest of the speech corpora, got no file")
    with path.open(newline="", encoding="utf-8") as lines:
        clips = [row["path"] for row in csv.DictReader(lines) if row["split"] == "valid"]
    made = (fidelity.sound(network, decode(data / clips[i])) for i in _chosen(len(clips)))
    return islice((sample for sample in made if sample is not None), n)


def texts(network: Network, data: Path, n: int) -> Iterator[Deletable]:
    """n sentences of GoEmotions' validation split with at least three words."""
    path = data / "text" / "goemotions_dev.tsv"
    if not path.exists():
        raise DataError(f"{path}: expected GoEmotions, got no file")
    lines = [line.split("\t")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    made = (fidelity.words(network, lines[i]) for i in _chosen(len(lines)))
    return islice((sample for sample in made if sample is not None), n)


SAMPLES: dict[str, Samples] = {"face": faces, "voice": voices, "words": texts}


def _chosen(total: int, n: int | None = None) -> list[int]:
    return np.random.default_rng(_SEED).permutation(total)[:n].tolist()
