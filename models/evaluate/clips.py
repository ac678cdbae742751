"""Clips: recordings of people, each with one emotion, scored by the whole live pipeline.

Who runs the pipeline is the caller's business (attune/evaluate_clips.py): a predictor here takes
media files with their transcripts and gives emotions (N, 7) and sentiment (N,), NaN where no
window held enough evidence.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models import metrics
from models.bootstrap import Figure
from models.errors import DataError
from models.evaluate.files import choose, existing, read_text
from models.evaluate.sheet import Answers, Asked, Sheet, checked, classification, regression
from models.labels import EMOTION_OF
from models.types import EMOTIONS

FORMATS = ("labels.json",)
MEDIA = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".mpg", ".wav", ".opus", ".mp3", ".flac", ".ogg")
SENTIMENTS = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}


@dataclass(frozen=True, kw_only=True)
class LabelledClip:
    """A media file; text is what is said in it, "" where unknown; sentiment in [-1, 1] or None."""

    path: Path
    text: str
    emotion: int
    sentiment: float | None


def read(path: Path, asked: Asked) -> Sheet:
    """A folder of media with labels.json: {name: {"emotion": ..., "text": ..., ...}}."""
    file = existing(path, "labels.json")
    entries = _entries(file)
    splits = [str(e.get("split", "")) for e in entries.values()]
    chosen = choose(file, splits if any(splits) else None, len(entries), asked.split)
    picked = [item for item, kept in zip(entries.items(), chosen.rows, strict=True) if kept]
    labelled = [(name, entry) for name, entry in picked if entry.get("emotion") is not None]
    if not labelled:
        raise DataError(f"{file}: expected at least one clip with an emotion, got none")
    clips = [_clip(file, name, entry) for name, entry in labelled]
    speakers = np.array([str(entry.get("speaker", "")) for _, entry in labelled])
    without = len(picked) - len(labelled)
    unnamed = _unnamed(file, {name for name, _ in entries.items()})
    excluded = {"no emotion in labels.json": without, "media file not in labels.json": unnamed}
    return Sheet(
        task="clips", path=file, form="labels.json", n=len(clips), split=chosen.split,
        described=chosen.described, classes=EMOTIONS,
        answer=lambda model: _answer(model, clips, asked),
        by={"speaker": speakers} if all(speakers) else {},
        clusters=speakers if all(speakers) else None, cluster="speaker",
        excluded={reason: n for reason, n in excluded.items() if n},
        notes=("the transcript is given from the start of its clip to the end",),
    )  # fmt: skip


def _entries(file: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(read_text(file))
    except ValueError as error:
        raise DataError(f"{file}: expected JSON, got {error}") from error
    if not isinstance(content, dict) or not content:
        raise DataError(f'{file}: expected {{"clip": {{"emotion": ...}}}} with a clip or more')
    for name, entry in content.items():
        if not isinstance(entry, dict):
            raise DataError(f"{file}, {name!r}: expected an object with 'emotion', got {entry!r}")
    return content


def _media(folder: Path, name: str) -> list[Path]:
    """The files that a name can mean: itself, or itself with the ending of a media file."""
    if (folder / name).is_file():
        return [folder / name]
    return [folder / f"{name}{end}" for end in MEDIA if (folder / f"{name}{end}").is_file()]


def _clip(file: Path, name: str, entry: dict[str, Any]) -> LabelledClip:
    found = _media(file.parent, name)
    if len(found) != 1:
        got = "none" if not found else ", ".join(p.name for p in found)
        raise DataError(f"{file}, {name!r}: expected one media file in {file.parent}, got {got}")
    emotion = str(entry["emotion"]).strip().lower()
    if emotion not in EMOTION_OF:
        raise DataError(
            f"{file}, {name!r}: unknown emotion {entry['emotion']!r}; expected one of "
            f"{', '.join(EMOTIONS)} or a plain synonym"
        )
    text = entry.get("text") or ""
    if not isinstance(text, str):
        raise DataError(f"{file}, {name!r}: expected words as 'text', got {text!r}")
    return LabelledClip(
        path=found[0], text=text, emotion=EMOTIONS.index(EMOTION_OF[emotion]),
        sentiment=_sentiment(file, name, entry.get("sentiment")),
    )  # fmt: skip


def _sentiment(file: Path, name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str) and value.strip().lower() in SENTIMENTS:
        return SENTIMENTS[value.strip().lower()]
    if isinstance(value, int | float) and not isinstance(value, bool) and -1 <= value <= 1:
        return float(value)
    raise DataError(
        f"{file}, {name!r}: expected sentiment from -1 to 1 or one of {', '.join(SENTIMENTS)}, "
        f"got {value!r}"
    )


def _unnamed(file: Path, names: set[str]) -> int:
    """Media files of the folder that no label names."""
    media = [f for f in file.parent.iterdir() if f.suffix.lower() in MEDIA]
    return sum(f.name not in names and f.stem not in names for f in media)


def _answer(model: Any, clips: list[LabelledClip], asked: Asked) -> Answers:
    emotions, sentiment = model.predict(clips, asked.progress)
    emotions = checked(emotions, len(clips), len(EMOTIONS), "clips")
    guess = metrics.decide(emotions)
    figures = classification(emotions, np.array([clip.emotion for clip in clips]))
    known = [i for i, clip in enumerate(clips) if clip.sentiment is not None]
    if known:
        figures |= _sentiment_figures(clips, np.asarray(sentiment, np.float64), known)
    return Answers(
        figures=figures,
        abstained=guess == metrics.ABSTAINED,
        distribution={name: int((guess == i).sum()) for i, name in enumerate(EMOTIONS)},
    )


def _sentiment_figures(
    clips: list[LabelledClip], guess: np.ndarray, known: list[int]
) -> dict[str, Figure]:
    """Over the clips whose sentiment is labelled."""
    has = np.zeros(len(clips), bool)
    has[known] = True
    target = np.array([np.nan if clip.sentiment is None else clip.sentiment for clip in clips])

    def limited(figure: Figure) -> Figure:
        return lambda rows: figure(rows[has[rows]])

    figures = regression(guess, target, "sentiment_")
    figures["sentiment_acc2_negative_positive"] = lambda rows: _acc2(guess[rows], target[rows])
    return {name: limited(figure) for name, figure in figures.items()}


def _acc2(guess: np.ndarray, target: np.ndarray) -> float:
    """Negative/positive; a clip that abstains is never right."""
    signed = target != 0
    if not signed.any():
        raise DataError("Acc-2 negative/positive needs targets that are not 0, got only 0")
    with np.errstate(invalid="ignore"):
        right = np.sign(guess[signed]) == np.sign(target[signed])
    return float(right.mean())
