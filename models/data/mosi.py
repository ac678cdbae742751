"""CMU-MOSI: utterances of one person's film review, in order, with sentiment in [-3, 3].

Zadeh et al. 2016, "MOSI: multimodal corpus of sentiment intensity and subjectivity analysis in
online opinion videos". A file is an npz with, per utterance, `text` (transcript), `sentiment`,
`video_id`, `segment` (its order in the video), `audio_opensmile73` (73 functionals of openSMILE)
and, optionally, `split` and `id`; any file of that shape can be read.

Parts: "valid" is the SDK's. "test" is made of whole videos of the SDK's "train", chosen by a hash
of their name, and "train" is what is left. No video is in two parts.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import DataError

AUDIO_D = 73
FILE = Path("mosi") / "mosi_train_valid.npz"
REQUIRED = ("text", "sentiment", "video_id", "segment", "audio_opensmile73")
_ONE_IN = 10


def held_out(video: str) -> bool:
    """Whether a video of the SDK's "train" belongs to our own test part.

    The text encoder is trained on the same parts (`models.data.text.mosi_part`): it has not read
    these videos either.
    """
    return zlib.crc32(f"mosi {video}".encode()) % _ONE_IN == 0


@dataclass(frozen=True)
class Segments:
    """texts (N,), sentiment float32 (N,), audio float32 (N, 73) with NaN where unknown,
    video (N,), segment int (N,), split (N,): all by row; rows are in the order of the file.
    """

    texts: np.ndarray
    sentiment: np.ndarray
    audio: np.ndarray
    video: np.ndarray
    segment: np.ndarray
    split: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, chosen: np.ndarray) -> Segments:
        """Rows by index or boolean mask."""
        return Segments(
            self.texts[chosen], self.sentiment[chosen], self.audio[chosen],
            self.video[chosen], self.segment[chosen], self.split[chosen],
        )  # fmt: skip

    def rows(self, name: str) -> np.ndarray:
        """Which rows are of the part "train", "valid" or "test"; bool (N,)."""
        own = np.array([held_out(video) for video in self.video], bool)
        train = self.split == "train"
        chosen: np.ndarray = {
            "train": train & ~own, "test": train & own, "valid": self.split == "valid",
        }[name]  # fmt: skip
        return chosen

    def part(self, name: str) -> Segments:
        """The part "train", "valid" or "test"."""
        return self.take(self.rows(name))

    def videos(self) -> list[np.ndarray]:
        """Row numbers of each video, in the order in which they were said."""
        order = np.lexsort((self.segment, self.video))
        cuts = np.flatnonzero(self.video[order][1:] != self.video[order][:-1]) + 1
        return [rows for rows in np.split(order, cuts) if len(rows)]


def find(data: Path) -> Path:
    """The npz that `data` names: the file itself, its folder, or the folder of all data."""
    if data.is_file():
        return data
    for path in (data / FILE, data / FILE.name):
        if path.is_file():
            return path
    inside = sorted(data.glob("*.npz")) if data.is_dir() else []
    if len(inside) == 1:
        return inside[0]
    raise DataError(f"expected CMU-MOSI at {data / FILE}, found nothing: see --data")


def load_mosi(data: Path) -> Segments:
    """Read and check every utterance of a file; without `split` all rows are of split ""."""
    path = find(data)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: expected an npz archive, got {reason}") from error
    return _checked(arrays, path)


def _checked(arrays: dict[str, np.ndarray], path: Path) -> Segments:
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise DataError(f"{path}: expected the arrays {', '.join(REQUIRED)}; missing {missing[0]}")
    n = len(arrays["text"])
    if n == 0:
        raise DataError(f"{path}: expected at least one utterance, got none")
    for name in REQUIRED:
        if len(arrays[name]) != n:
            raise DataError(f"{path}: expected {n} rows in {name}, got {len(arrays[name])}")
    audio = arrays["audio_opensmile73"].astype(np.float32)
    if audio.shape != (n, AUDIO_D):
        raise DataError(f"{path}: expected audio_opensmile73 ({n}, {AUDIO_D}), got {audio.shape}")
    sentiment = arrays["sentiment"].astype(np.float32)
    if not np.isfinite(sentiment).all() or np.abs(sentiment).max() > 3:
        raise DataError(f"{path}: expected sentiment in [-3, 3], got values outside it")
    split = arrays.get("split", np.full(n, ""))
    return Segments(
        arrays["text"].astype(str), sentiment, np.where(np.isfinite(audio), audio, np.nan),
        arrays["video_id"].astype(str), arrays["segment"].astype(np.int64), split.astype(str),
    )  # fmt: skip
