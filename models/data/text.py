"""Labelled English text: emotions from GoEmotions and MELD, sentiment from those, SST and CR.

A row may lack one of the two labels; weights of 0 say so. SST-2 is not read for training: it is
SST-5 without its neutral reviews.
"""

from __future__ import annotations

import csv
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import DataError
from models.labels import (
    CR_SENTIMENT,
    GOEMOTIONS_SENTIMENT,
    GOEMOTIONS_TO_EMOTION,
    MELD_SENTIMENT,
    MELD_TO_EMOTION,
    SST5_SENTIMENT,
    emotion_index,
)
from models.types import EMOTIONS

SETS = ("goemotions", "meld", "sst5", "cr")


@dataclass(frozen=True)
class Row:
    """emotions: (7,) shares that sum to 1, or None. sentiment: in [-1, 1], or None."""

    text: str
    emotions: np.ndarray | None
    sentiment: float | None

    @property
    def label(self) -> int | None:
        """The emotion, if there is exactly one."""
        if self.emotions is None or self.emotions.max() < 1:
            return None
        return int(self.emotions.argmax())


def _lines(path: Path, encoding: str = "utf-8") -> list[str]:
    if not path.exists():
        raise DataError(f"expected text data at {path}, found nothing: see --data")
    return path.read_text(encoding, errors="replace").splitlines()


def _goemotions(folder: Path, split: str) -> list[Row]:
    names = [n.strip() for n in _lines(folder / "goemotions_labels.txt") if n.strip()]
    rows = []
    for line in _lines(folder / f"goemotions_{'train' if split == 'train' else 'dev'}.tsv"):
        text, labels, _ = line.split("\t")
        groups = {GOEMOTIONS_TO_EMOTION[names[int(i)]] for i in labels.split(",")}
        emotions = np.zeros(len(EMOTIONS), np.float32)
        emotions[[emotion_index(g) for g in groups]] = 1 / len(groups)
        sentiment = float(np.mean([GOEMOTIONS_SENTIMENT[g] for g in groups]))
        rows.append(Row(text, emotions, sentiment))
    return rows


def _meld(folder: Path, split: str) -> list[Row]:
    lines = _lines(folder / f"meld_{'train' if split == 'train' else 'dev'}.csv")
    rows = []
    for row in csv.DictReader(lines):
        emotions = np.zeros(len(EMOTIONS), np.float32)
        emotions[emotion_index(MELD_TO_EMOTION[row["Emotion"]])] = 1
        rows.append(Row(row["Utterance"], emotions, MELD_SENTIMENT[row["Sentiment"]]))
    return rows


def _sst5(folder: Path, split: str) -> list[Row]:
    lines = _lines(folder / f"stsa.fine.{'train' if split == 'train' else 'dev'}")
    return [Row(line[2:], None, SST5_SENTIMENT[int(line[0])]) for line in lines]


def _cr(folder: Path, split: str) -> list[Row]:
    """CR has no split of its own: one line in ten, by hash of its text, is held out."""
    rows = []
    for line in _lines(folder / "custrev.all", "latin-1"):
        held_out = zlib.crc32(line[2:].encode()) % 10 == 0
        if held_out == (split != "train"):
            rows.append(Row(line[2:], None, CR_SENTIMENT[int(line[0])]))
    return rows


def load_text(data: Path, split: str) -> dict[str, list[Row]]:
    """The rows of one split ("train" or "valid") of every set, by name."""
    readers = dict(zip(SETS, (_goemotions, _meld, _sst5, _cr), strict=True))
    return {name: reader(data / "text", split) for name, reader in readers.items()}


def load_sst2(data: Path) -> list[tuple[str, int]]:
    """The validation sentences of SST-2 with 0 or 1."""
    lines = _lines(data / "text" / "sst2_dev.tsv")
    return [(text, int(label)) for text, label in (line.rsplit("\t", 1) for line in lines)]


def load_mosi(data: Path) -> tuple[list[str], np.ndarray]:
    """Transcripts of the CMU-MOSI validation split and their sentiment / 3, for testing only."""
    path = data / "mosi" / "mosi_train_valid.npz"
    if not path.exists():
        raise DataError(f"expected CMU-MOSI at {path}, found nothing: see --data")
    with np.load(path) as archive:
        chosen = archive["split"] == "valid"
        return [str(t) for t in archive["text"][chosen]], archive["sentiment"][chosen] / 3
