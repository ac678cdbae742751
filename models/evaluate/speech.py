"""Speech: acted or natural utterances of known emotion, by a manifest.

Closed set per corpus: a corpus without a class cannot be answered with it, so probabilities are
restricted to the classes that the corpus has anywhere in its manifest, and renormalised. "Calm"
joins "neutral" first where a corpus has only neutral, as everywhere in this project.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from models import metrics
from models.data import speech as corpora
from models.errors import DataError
from models.evaluate import sounds
from models.evaluate.files import Line, choose, existing, read_table, several_classes
from models.evaluate.sheet import (
    Answers,
    Asked,
    Sheet,
    checked,
    classification,
    in_batches,
    restrict,
)
from models.labels import SPEECH_CLASS_OF, SPEECH_TO_EMOTION

FORMATS = ("manifest",)
SPEECH = tuple(SPEECH_TO_EMOTION)
EMODB_MALE = frozenset({"03", "10", "11", "12", "15"})
EMODB_FEMALE = frozenset({"08", "09", "13", "14", "16"})
BATCH = 16


def read(path: Path, asked: Asked) -> Sheet:
    """A manifest.csv with `path` and `emotion`; corpus, language, speaker, sex, split if known."""
    file = existing(path, "manifest.csv", "speech/manifest.csv")
    lines = read_table(file, ("path", "emotion"))
    names = [_class_of(file, line) for line in lines]
    corpora = np.array([line.fields.get("corpus") or "unnamed" for line in lines])
    splits = [line.fields["split"] for line in lines] if "split" in lines[0].fields else None
    chosen = choose(file, splits, len(lines), asked.split, _held_out(lines))
    at = np.flatnonzero(chosen.rows)
    if len(at) == 0:
        raise DataError(f"{file}: expected rows in the split, got none")
    several_classes(file, [names[i] for i in at])
    keep = _closed_sets(corpora, np.array(names))[at]
    labels = np.array([SPEECH.index(names[i]) for i in at])
    rows = [lines[i] for i in at]
    speakers = np.array([line.fields.get("speaker", "") for line in rows])
    return Sheet(
        task="speech", path=file, form="manifest", n=len(rows), split=chosen.split,
        described=chosen.described,
        classes=tuple(SPEECH[i] for i in np.flatnonzero(keep.any(0))),
        answer=lambda model: _answer(model, file, rows, labels, keep, asked),
        by=_columns(rows, corpora[at], speakers),
        clusters=speakers if all(speakers) else None, cluster="speaker",
        notes=_notes(corpora[at], keep), trained_on=chosen.trained,
    )  # fmt: skip


def _held_out(lines: list[Line]) -> np.ndarray:
    """Clips of "train" whose speakers the training leaves out, if it leaves any out."""
    held = getattr(corpora, "TEST_SPEAKERS", ())
    return np.array(
        [f.get("split") == "train" and f.get("speaker") in held
         for f in (line.fields for line in lines)]
    )  # fmt: skip


def _class_of(file: Path, line: Line) -> str:
    label = line.fields["emotion"].strip().lower()
    if label not in SPEECH_CLASS_OF:
        raise DataError(
            f"{file}, line {line.number}: unknown emotion {line.fields['emotion']!r}; expected one "
            f"of {', '.join(SPEECH)} or a plain synonym of one"
        )
    return SPEECH_CLASS_OF[label]


def _closed_sets(corpora: np.ndarray, names: np.ndarray) -> np.ndarray:
    """bool (B, 8): the classes that the row's corpus has."""
    keep = np.zeros((len(names), len(SPEECH)), bool)
    for corpus in np.unique(corpora):
        here = corpora == corpus
        keep[here] = np.isin(SPEECH, names[here])
    return keep


def _notes(corpora: np.ndarray, keep: np.ndarray) -> tuple[str, ...]:
    notes = []
    for corpus in np.unique(corpora):
        known = np.array(SPEECH)[keep[corpora == corpus][0]]
        alone = ", so each of its rows is right" if len(known) == 1 else ""
        notes.append(f"{corpus}: closed set of {', '.join(known)}{alone}")
    return tuple(notes)


def sex_of(corpus: str, speaker: str, stated: str = "") -> str:
    """ "female", "male" or "unknown", as stated or by the corpus' own numbering of speakers."""
    first = stated.strip().lower()[:1]
    if first in ("f", "w"):
        return "female"
    if first == "m":
        return "male"
    number = re.search(r"(\d+)$", speaker)
    if number is None:
        return "unknown"
    if corpus == "ravdess":
        return "male" if int(number[1]) % 2 else "female"
    if corpus == "emodb":
        code = f"{int(number[1]):02d}"
        return "male" if code in EMODB_MALE else "female" if code in EMODB_FEMALE else "unknown"
    return "unknown"


def _columns(rows: list[Line], corpora: np.ndarray, speakers: np.ndarray) -> dict[str, np.ndarray]:
    languages = [line.fields.get("language") or "unknown" for line in rows]
    stated = [line.fields.get("sex") or line.fields.get("gender") or "" for line in rows]
    sexes = [sex_of(c, s, x) for c, s, x in zip(corpora, speakers, stated, strict=True)]
    return {
        "corpus": corpora,
        "language": np.array(languages),
        "sex": np.array(sexes),
        "speaker": np.where(speakers == "", "unknown", speakers),
    }


def close(probabilities: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """(B, 8) over SPEECH -> over the classes kept, calm within neutral where calm is not kept."""
    moved = probabilities.copy()
    calm, neutral = SPEECH.index("calm"), SPEECH.index("neutral")
    joins = ~keep[:, calm] & keep[:, neutral]
    moved[joins, neutral] += moved[joins, calm]
    moved[joins, calm] = 0
    return restrict(moved, keep)


def _answer(
    model: Any, file: Path, rows: list[Line], labels: np.ndarray, keep: np.ndarray, asked: Asked
) -> Answers:
    def predict(part: list[Line]) -> Any:
        return model.predict([sounds.load_one(file, line) for line in part])

    parts = in_batches(predict, rows, BATCH, asked.progress, "listening")
    found = checked(np.concatenate(parts), len(rows), len(SPEECH), "speech")
    found = close(found, keep)
    return Answers(
        figures=classification(found, labels), abstained=metrics.decide(found) == metrics.ABSTAINED
    )
