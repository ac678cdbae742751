"""A user's own clips: a folder of media and a CSV that says what each shows.

Columns: `path` (from the CSV's folder), `emotion`, `sentiment` in [-1, 1], `text` or `transcript`,
`split` (train, valid, test), `speaker`. What is not needed may be left out. Every bad row is named
by its line; none is skipped in silence.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np

from models.data.speech import decode
from models.errors import DataError
from models.labels import EMOTION_OF, emotion_index
from models.types import EMOTIONS, FACE_PX

R = TypeVar("R", np.ndarray, list[np.ndarray])

SPLITS = ("train", "valid", "test")
FACES_HZ = 2.0  # pictures looked at in each second of a clip
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_SCAN_PX = 320  # width of the picture that the cascade scans
_LEAST_SPEAKERS = 5  # from here on nobody is in two parts of the split


@dataclass(frozen=True, kw_only=True)
class OwnClip:
    """One row; emotion is 0..6 or None, sentiment in [-1, 1] or None, text "" where unknown."""

    line: int
    path: Path
    split: str
    speaker: str
    text: str
    emotion: int | None
    sentiment: float | None


def read_clips(table: Path, needs: str) -> list[OwnClip]:
    """The rows of the CSV; `needs` is the part to train, which decides what a row must have."""
    if table.is_dir():
        table = table / "labels.csv"
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: expected a CSV with the labels of clips, got {error}") from error
    if not rows:
        raise DataError(f"{table}: expected at least one labelled clip below a header, got none")
    clips = [_clip(table, number, row, needs) for number, row in enumerate(rows, start=2)]
    return clips if all(clip.split for clip in clips) else _dealt(table, clips)


def _clip(table: Path, line: int, row: dict[str, str | None], needs: str) -> OwnClip:
    where = f"{table}, line {line}"
    cell = {(key or "").strip().lower(): (value or "").strip() for key, value in row.items()
            if isinstance(value, str | None)}  # fmt: skip
    emotion, sentiment = _emotion(where, cell), _sentiment(where, cell)
    text = cell.get("text") or cell.get("transcript") or ""
    path = table.parent / cell.get("path", "")
    if needs == "text":
        _expect(bool(text), where, "a `text` or `transcript`")
        _expect(emotion is not None or sentiment is not None, where, "an `emotion` or `sentiment`")
    else:
        _expect(bool(cell.get("path")), where, "a `path`")
        _expect(path.is_file(), where, f"a file at {path}")
        _expect(emotion is not None, where, f"an `emotion`, from which the {needs} learn")
    split = cell.get("split", "")
    _expect(split in ("", *SPLITS), where, f"a `split` of {', '.join(SPLITS)}", split)
    return OwnClip(
        line=line, path=path, split=split, speaker=cell.get("speaker", ""), text=text,
        emotion=emotion, sentiment=sentiment,
    )  # fmt: skip


def _expect(holds: bool, where: str, what: str, came: str = "") -> None:
    if not holds:
        raise DataError(f"{where}: expected {what}, got {repr(came) if came else 'none'}")


def _emotion(where: str, cell: dict[str, str]) -> int | None:
    name = cell.get("emotion", "").lower()
    if not name:
        return None
    _expect(name in EMOTION_OF, where, f"an emotion of {', '.join(EMOTIONS)}", name)
    return emotion_index(EMOTION_OF[name])


def _sentiment(where: str, cell: dict[str, str]) -> float | None:
    word = cell.get("sentiment", "")
    if not word:
        return None
    try:
        value = float(word)
    except ValueError:
        value = np.nan
    _expect(-1 <= value <= 1, where, "a sentiment from -1 to 1", word)
    return value


def _dealt(table: Path, clips: list[OwnClip]) -> list[OwnClip]:
    """Three fifths to train, one each to valid and test: by speaker where there are enough."""
    if any(clip.split for clip in clips):
        line = next(clip.line for clip in clips if not clip.split)
        raise DataError(f"{table}, line {line}: expected a `split`, as other rows have, got none")
    if len({clip.speaker for clip in clips}) >= _LEAST_SPEAKERS:
        deal = _deal([clip.speaker for clip in clips], [""] * len(clips))
    else:  # stratified by emotion, so that a small set has every emotion in every part
        names = [f"{clip.path.name}:{clip.text}" for clip in clips]
        deal = _deal(names, [str(clip.emotion) for clip in clips])
    return [replace(clip, split=part) for clip, part in zip(clips, deal, strict=True)]


def _deal(units: list[str], strata: list[str]) -> list[str]:
    """A split for each unit, by the order of the hashes within its stratum."""
    part = {}
    for stratum in sorted(set(strata)):
        own = {unit for unit, s in zip(units, strata, strict=True) if s == stratum}
        for i, unit in enumerate(sorted(own, key=lambda u: zlib.crc32(u.encode()))):
            part[stratum, unit] = ("valid", "test", "train", "train", "train")[i % 5]
    return [part[s, u] for s, u in zip(strata, units, strict=True)]


def sound_of(clip: OwnClip) -> np.ndarray:
    """float32 (N,) at 16 kHz; refuses a file without sound."""
    return _read(clip, "sound", decode)


def faces_of(clip: OwnClip) -> np.ndarray:
    """uint8 (F, 48, 48) grey crops of the largest face, F at least 1, at 2 pictures a second."""
    pictures = _read(clip, "pictures", _pictures)
    crops = [crop for grey in pictures if (crop := face_crop(grey)) is not None]
    if not crops:
        raise DataError(f"line {clip.line}: expected a face in {clip.path}, found none")
    return np.stack(crops)


def _read(clip: OwnClip, what: str, reader: Callable[[Path], R]) -> R:
    try:
        found = reader(clip.path)
    except (av.FFmpegError, IndexError, OSError, ValueError) as error:
        raise DataError(f"line {clip.line}: expected {what} in {clip.path}, got {error}") from error
    if not len(found):
        raise DataError(f"line {clip.line}: expected {what} in {clip.path}, got none")
    return found


def _pictures(path: Path) -> list[np.ndarray]:
    """Grey pictures uint8 (H, W): the one of a picture file, or 2 for each second of a video."""
    if path.suffix.lower() in PICTURES:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise ValueError("a picture that cannot be decoded")
        return [picture]
    pictures, due_s = [], 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is None or frame.time >= due_s:
                pictures.append(frame.to_ndarray(format="gray"))
                due_s = (frame.time or due_s) + 1 / FACES_HZ - 1e-6
    return pictures


def face_crop(grey: np.ndarray) -> np.ndarray | None:
    """The largest face of a grey picture as uint8 (48, 48); a picture of 48 px is one already.

    Framed as the cascade frames it, for FER2013 was cut with this very detector.
    """
    if grey.shape == (FACE_PX, FACE_PX):
        return grey
    scale = min(1.0, _SCAN_PX / grey.shape[1])
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found = _cascade().detectMultiScale(small, scaleFactor=1.1, minNeighbors=4, minSize=(24, 24))
    if not len(found):
        return None
    x, y, w, h = (round(v / scale) for v in max(found, key=lambda box: box[2] * box[3]))
    crop = grey[max(y, 0) : y + h, max(x, 0) : x + w]
    return np.asarray(cv2.resize(crop, (FACE_PX, FACE_PX), interpolation=cv2.INTER_AREA))


def _cascade() -> cv2.CascadeClassifier:
    path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    return cv2.CascadeClassifier(str(path))
