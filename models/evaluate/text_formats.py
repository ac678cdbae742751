"""The text files of five corpora as rows, their format seen from the content.

| format | a line | labels |
|---|---|---|
| goemotions | text, tab, comma-separated label numbers, tab, id | 28 emotions, several a row |
| meld | CSV with Utterance, Emotion, Sentiment, Dialogue_ID, Utterance_ID | 7 and 3 classes |
| sst2 | text, tab, 0 or 1 | 2 sentiments |
| chnsenticorp | text, tab, negative or positive | 2 sentiments |
| custrev | 0 or 1, space, text | 2 sentiments |
| sst5 | 0 to 4, space, text | 5 sentiments |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import ChoiceError, DataError
from models.evaluate.files import read_table, read_text
from models.labels import GOEMOTIONS_TO_EMOTION, MELD_TO_EMOTION
from models.types import EMOTIONS

FORMATS = ("goemotions", "meld", "sst2", "chnsenticorp", "custrev", "sst5")
LANGUAGE = {"chnsenticorp": "zh"}
# The order of the corpus' own label file; used where none lies beside the data.
GOEMOTIONS_LABELS = (*sorted(set(GOEMOTIONS_TO_EMOTION) - {"neutral"}), "neutral")
MELD_SENTIMENTS = ("negative", "neutral", "positive")
_POLARITY = {"0": 0, "1": 1, "negative": 0, "positive": 1}
_DIGIT_FIRST = re.compile(r"^([0-4])[ \t](.*)$", re.DOTALL)
_SAMPLE = 200  # lines that tell the format


@dataclass(frozen=True, kw_only=True)
class Rows:
    """texts, and of the labels those that the format has.

    groups: bool (N, 7), emotions per row. polarity: int (N,), 0 is the most negative class.
    dialogue: the rows of earlier turns of each row, oldest first. scene: dialogue id per row.
    """

    texts: list[str]
    groups: np.ndarray | None = None
    polarity: np.ndarray | None = None
    dialogue: list[list[int]] | None = None
    scene: np.ndarray | None = None
    speaker: np.ndarray | None = None


def recognise(path: Path, asked: str | None) -> str:
    """The format asked for, or the one that the first lines have."""
    if asked is not None:
        if asked not in FORMATS:
            raise ChoiceError(f"no text format {asked!r}; there are {', '.join(FORMATS)}")
        return asked
    lines = [line for line in read_text(path).split("\n")[:_SAMPLE] if line.strip()]
    if not lines:
        raise DataError(f"{path}: expected labelled lines, got an empty file")
    found = _by_content(lines)
    if found is None:
        raise DataError(
            f"{path}: no known text format; expected one of {', '.join(FORMATS)}, got a first line "
            f"{lines[0][:60]!r}; --format forces one"
        )
    return found


def _by_content(lines: list[str]) -> str | None:
    if "Utterance" in lines[0] and "Emotion" in lines[0]:
        return "meld"
    cells = [line.rstrip("\r").split("\t") for line in lines]
    if _share(len(c) == 3 and re.fullmatch(r"\d+(,\d+)*", c[1]) for c in cells):
        return "goemotions"
    if _share(len(c) >= 2 and c[-1].strip().lower() in ("negative", "positive") for c in cells):
        return "chnsenticorp"
    if _share(len(c) >= 2 and c[-1].strip() in ("0", "1") for c in cells):
        return "sst2"
    digits = [m[1] for line in lines if (m := _DIGIT_FIRST.match(line))]
    if len(digits) < 0.9 * len(lines):
        return None
    return "custrev" if set(digits) <= {"0", "1"} else "sst5"


def _share(tests: object) -> bool:
    """Whether nine of ten hold: a damaged row is then an error with its number, not a riddle."""
    held = list(tests)  # type: ignore[call-overload]
    return sum(map(bool, held)) >= 0.9 * len(held)


def read_rows(path: Path, form: str) -> Rows:
    """Every row of the file; a row that is not of the format stops the reading."""
    if form == "meld":
        return _meld(path)
    lines = [line.rstrip("\r") for line in read_text(path).split("\n")]
    numbered = [(i, line) for i, line in enumerate(lines, 1) if line.strip()]
    if form in ("sst2", "chnsenticorp") and _is_header(numbered):
        numbered = numbered[1:]
    if not numbered:
        raise DataError(f"{path}: expected at least one row, got none")
    if form == "goemotions":
        return _goemotions(path, numbered)
    pairs = [_polar(path, number, line, form) for number, line in numbered]
    return Rows(texts=[text for text, _ in pairs], polarity=np.array([label for _, label in pairs]))


def _is_header(numbered: list[tuple[int, str]]) -> bool:
    return bool(numbered) and numbered[0][1].lower().split("\t")[-1].strip() in ("label", "labels")


def _polar(path: Path, number: int, line: str, form: str) -> tuple[str, int]:
    if form in ("custrev", "sst5"):
        top = 1 if form == "custrev" else 4
        match = _DIGIT_FIRST.match(line)
        if match is None or int(match[1]) > top:
            raise DataError(f"{path}, line {number}: expected 0 to {top}, a space and a text, "
                            f"got {line[:40]!r}")  # fmt: skip
        return match[2], int(match[1])
    text, tab, label = line.rpartition("\t")
    wanted = ("negative", "positive") if form == "chnsenticorp" else ("0", "1")
    if not tab or label.strip().lower() not in wanted:
        raise DataError(f"{path}, line {number}: expected a text, a tab and {wanted[0]} or "
                        f"{wanted[1]}, got {line[-40:]!r}")  # fmt: skip
    return text, _POLARITY[label.strip().lower()]


def _goemotions(path: Path, numbered: list[tuple[int, str]]) -> Rows:
    beside = path.parent / "goemotions_labels.txt"
    names = read_text(beside).split() if beside.is_file() else list(GOEMOTIONS_LABELS)
    unknown = [name for name in names if name not in GOEMOTIONS_TO_EMOTION]
    if unknown:
        raise DataError(f"{beside}: unknown emotion {unknown[0]!r}; expected those of GoEmotions")
    groups = np.zeros((len(numbered), len(EMOTIONS)), bool)
    texts = []
    for i, (number, line) in enumerate(numbered):
        cells = line.split("\t")
        ids = cells[1].split(",") if len(cells) == 3 else []
        if not ids or not all(k.strip().isdigit() and int(k) < len(names) for k in ids):
            raise DataError(
                f"{path}, line {number}: expected a text, label numbers 0 to {len(names) - 1} and "
                f"an id, with tabs between, got {line[-40:]!r}"
            )
        texts.append(cells[0])
        groups[i, [EMOTIONS.index(GOEMOTIONS_TO_EMOTION[names[int(k)]]) for k in ids]] = True
    return Rows(texts=texts, groups=groups)


def _meld(path: Path) -> Rows:
    lines = read_table(path, ("Utterance", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"))
    groups = np.zeros((len(lines), len(EMOTIONS)), bool)
    polarity, scenes, turns = [], [], []
    for i, line in enumerate(lines):
        emotion = line.fields["Emotion"].strip().lower()
        sentiment = line.fields["Sentiment"].strip().lower()
        if emotion not in MELD_TO_EMOTION or sentiment not in MELD_SENTIMENTS:
            raise DataError(
                f"{path}, line {line.number}: expected an emotion of {', '.join(MELD_TO_EMOTION)} "
                f"and a sentiment of {', '.join(MELD_SENTIMENTS)}, got {emotion!r}, {sentiment!r}"
            )
        try:
            turns.append(int(line.fields["Utterance_ID"]))
        except ValueError as error:
            raise DataError(f"{path}, line {line.number}: expected a whole number as Utterance_ID, "
                            f"got {line.fields['Utterance_ID']!r}") from error  # fmt: skip
        groups[i, EMOTIONS.index(MELD_TO_EMOTION[emotion])] = True
        polarity.append(MELD_SENTIMENTS.index(sentiment))
        scenes.append(line.fields["Dialogue_ID"])
    return Rows(
        texts=[line.fields["Utterance"] for line in lines], groups=groups,
        polarity=np.array(polarity), dialogue=earlier_turns(scenes, turns), scene=np.array(scenes),
        speaker=np.array([line.fields.get("Speaker") or "unknown" for line in lines]),
    )  # fmt: skip


def earlier_turns(scenes: list[str], turns: list[int]) -> list[list[int]]:
    """For each row, the rows of its dialogue with a smaller turn number, oldest first.

    >>> earlier_turns(["a", "a", "b", "a"], [1, 0, 0, 2])
    [[1], [], [], [1, 0]]
    """
    by_scene: dict[str, list[int]] = {}
    for row in sorted(range(len(turns)), key=lambda i: turns[i]):
        by_scene.setdefault(scenes[row], []).append(row)
    return [
        [other for other in by_scene[scenes[row]] if turns[other] < turns[row]]
        for row in range(len(turns))
    ]
