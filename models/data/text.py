"""Labelled English text: GoEmotions, MELD, SST-5, CR and CMU-MOSI, each row with what it has.

Splits: "train" and "valid" as the corpora give them (CR has none: by hash of the text), less a
"test" part of our own taken out of train: GoEmotions one in twenty by hash of its id, MELD one
dialogue in ten, SST one sentence in twenty by hash, CR one in twenty, MOSI one video in ten.
SST-2 is not read for training: it is SST-5 without its neutral reviews.
"""

from __future__ import annotations

import csv
import re
import unicodedata
import zlib
from dataclasses import dataclass
from itertools import pairwise
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
TONES = ("negative", "neutral", "positive")
MOSI_SCALE = 3.0
_LETTERS = re.compile(r"[^a-z]")


@dataclass(frozen=True)
class Row:
    """One text.

    emotions: (7,) shares that sum to 1, or None. sentiment: in [-1, 1], or None. fine: ids of the
    28 labels of GoEmotions. spoken, tone: MELD's emotion (index of EMOTIONS) and sentiment (index
    of TONES). stars: 0 to 4 of SST-5. group: dialogue or video; position: order within it.
    """

    text: str
    emotions: np.ndarray | None
    sentiment: float | None
    fine: tuple[int, ...] = ()
    spoken: int | None = None
    tone: int | None = None
    stars: int | None = None
    group: str = ""
    position: int = 0
    speaker: str = ""

    @property
    def label(self) -> int | None:
        """The emotion, if there is exactly one."""
        if self.emotions is None or self.emotions.max() < 1:
            return None
        return int(self.emotions.argmax())


def in_part(key: str, parts: int, part: int = 0) -> bool:
    """True for one in `parts` of all keys, chosen by CRC-32: the same on every machine."""
    return zlib.crc32(key.encode()) % parts == part


def _lines(path: Path, encoding: str = "utf-8") -> list[str]:
    if not path.exists():
        raise DataError(f"expected text data at {path}, found nothing: see --data")
    return path.read_text(encoding, errors="replace").splitlines()


def goemotions_labels(data: Path) -> list[str]:
    """The 28 names in the order of their ids."""
    return [n.strip() for n in _lines(data / "text" / "goemotions_labels.txt") if n.strip()]


def _goemotions(folder: Path, split: str) -> list[Row]:
    names = goemotions_labels(folder.parent)
    rows = []
    for line in _lines(folder / f"goemotions_{'dev' if split == 'valid' else 'train'}.tsv"):
        text, labels, key = line.split("\t")
        if split != "valid" and in_part(key, 20) != (split == "test"):
            continue
        fine = tuple(int(i) for i in labels.split(","))
        groups = {GOEMOTIONS_TO_EMOTION[names[i]] for i in fine}
        emotions = np.zeros(len(EMOTIONS), np.float32)
        emotions[[emotion_index(g) for g in groups]] = 1 / len(groups)
        sentiment = float(np.mean([GOEMOTIONS_SENTIMENT[g] for g in groups]))
        rows.append(Row(text, emotions, sentiment, fine=fine))
    return rows


def _meld(folder: Path, split: str) -> list[Row]:
    lines = _lines(folder / f"meld_{'dev' if split == 'valid' else 'train'}.csv")
    rows = []
    for row in csv.DictReader(lines):
        dialogue = row["Dialogue_ID"]
        if split != "valid" and in_part(f"meld {dialogue}", 10) != (split == "test"):
            continue
        spoken = emotion_index(MELD_TO_EMOTION[row["Emotion"]])
        emotions = np.zeros(len(EMOTIONS), np.float32)
        emotions[spoken] = 1
        rows.append(
            Row(
                row["Utterance"], emotions, MELD_SENTIMENT[row["Sentiment"]], spoken=spoken,
                tone=TONES.index(row["Sentiment"]), group=dialogue,
                position=int(row["Utterance_ID"]), speaker=row["Speaker"],
            )
        )  # fmt: skip
    return rows


def sst_part(text: str) -> str:
    """The split of a training sentence of SST: the same for its spelling in SST-2 and SST-5."""
    return "test" if in_part(_LETTERS.sub("", text.lower()), 20) else "train"


def _sst5(folder: Path, split: str) -> list[Row]:
    lines = _lines(folder / f"stsa.fine.{'dev' if split == 'valid' else 'train'}")
    return [
        Row(line[2:], None, SST5_SENTIMENT[int(line[0])], stars=int(line[0]))
        for line in lines
        if split == "valid" or sst_part(line[2:]) == split
    ]


def _cr(folder: Path, split: str) -> list[Row]:
    rows = []
    for line in _lines(folder / "custrev.all", "latin-1"):
        part = {0: "valid", 10: "test"}.get(zlib.crc32(line[2:].encode()) % 20, "train")
        if part == split:
            rows.append(Row(line[2:], None, CR_SENTIMENT[int(line[0])]))
    return rows


def load_text(data: Path, split: str) -> dict[str, list[Row]]:
    """The rows of one split ("train", "valid" or "test") of every set, by name."""
    readers = dict(zip(SETS, (_goemotions, _meld, _sst5, _cr), strict=True))
    return {name: reader(data / "text", split) for name, reader in readers.items()}


def load_sst2(data: Path, split: str = "valid") -> list[tuple[str, int]]:
    """Sentences of SST-2 with 0 or 1."""
    lines = _lines(data / "text" / f"sst2_{'dev' if split == 'valid' else 'train'}.tsv")
    pairs = [(text, int(label)) for text, label in (line.rsplit("\t", 1) for line in lines)]
    return [p for p in pairs if split == "valid" or sst_part(p[0]) == split]


def mosi_part(video: str) -> str:
    """The part that a video of the official training split is in."""
    return "test" if in_part(f"mosi {video}", 10) else "train"


def mosi_rows(data: Path, split: str) -> list[Row]:
    """Transcripts of CMU-MOSI and their sentiment / 3, in the order of each video."""
    path = data / "mosi" / "mosi_train_valid.npz"
    if not path.exists():
        raise DataError(f"expected CMU-MOSI at {path}, found nothing: see --data")
    with np.load(path) as archive:
        names = ("split", "video_id", "segment", "text", "sentiment")
        columns = zip(*(archive[name] for name in names), strict=True)
    rows = []
    for part, video, segment, text, sentiment in columns:
        if (part if part == "valid" else mosi_part(str(video))) == split:
            value = float(sentiment) / MOSI_SCALE
            rows.append(Row(str(text), None, value, group=str(video), position=int(segment)))
    return rows


def load_mosi(data: Path, split: str = "valid") -> tuple[list[str], np.ndarray]:
    """Transcripts of CMU-MOSI and their sentiment / 3 float64 (N,)."""
    rows = mosi_rows(data, split)
    return [row.text for row in rows], np.array([row.sentiment for row in rows], np.float64)


def chinese_reviews(data: Path, split: str) -> list[tuple[str, int]]:
    """Reviews of ChnSentiCorp with 0 for negative or 1, each text once.

    "valid" is the development set as it is. One in ten of the rest, by hash of its letters, is
    "test"; what the development set has too is in neither "train" nor "test".
    """
    valid = {_letters_of(text): (text, label) for text, label in _chinese(data, "dev")}
    if split == "valid":
        return _chinese(data, "dev")
    rest = {_letters_of(text): (text, label) for text, label in _chinese(data, "train")}
    return [
        row for key, row in rest.items()
        if key not in valid and in_part(f"chnsenticorp {key}", 10) == (split == "test")
    ]  # fmt: skip


def _chinese(data: Path, name: str) -> list[tuple[str, int]]:
    lines = _lines(data / "text" / f"chnsenticorp_{name}.tsv")
    pairs = [line.rpartition("\t") for line in lines if line]
    return [(text, ("negative", "positive").index(label)) for text, _, label in pairs]


def _letters_of(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).lower()))


def training_texts(data: Path) -> list[str]:
    """All texts that may be trained on."""
    rows = [row for part in load_text(data, "train").values() for row in part]
    return [row.text for row in [*rows, *mosi_rows(data, "train")]]


def load_parts(data: Path, split: str) -> dict[str, list[Row]]:
    """All corpora of one split by name: those of `load_text`, SST-2 (not in "train") and MOSI."""
    parts = load_text(data, split)
    if split != "train":
        pairs = load_sst2(data, split)
        parts["sst2"] = [Row(text, None, 2.0 * label - 1) for text, label in pairs]
    return {**parts, "mosi": mosi_rows(data, split)}


def earlier_turns(rows: list[Row]) -> list[list[int]]:
    """For each row the numbers of the earlier rows of its dialogue, oldest first."""
    order = sorted(range(len(rows)), key=lambda i: (rows[i].group, rows[i].position))
    earlier: list[list[int]] = [[] for _ in rows]
    for before, i in pairwise(order):
        if rows[before].group == rows[i].group:
            earlier[i] = [*earlier[before], before]
    return earlier
