"""Text: emotions and sentiment of sentences, posts and turns of dialogue.

What is measured follows the format. GoEmotions: the authors' Ekman and sentiment groups, several
labels a row (macro F1 over groups, Demszky et al. 2020), and one-label figures on the rows with
one group. MELD: seven emotions and three sentiments, a turn seen with the earlier turns of its
dialogue only. SST-2, CR and ChnSentiCorp: two classes. SST-5: five classes and the score itself.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from models import metrics
from models.bootstrap import Figure
from models.errors import DataError
from models.evaluate.files import ALL, choose, existing, several_classes
from models.evaluate.sheet import (
    Answers,
    Asked,
    Sheet,
    checked,
    classification,
    regression,
)
from models.evaluate.text_formats import (
    FORMATS as FORMATS,
)
from models.evaluate.text_formats import (
    LANGUAGE,
    Rows,
    read_rows,
    recognise,
)
from models.labels import SST5_SENTIMENT
from models.types import EMOTIONS

BATCH = 256
CR = ("custrev.all", 3775)  # the file that the shipped models were trained on nine tenths of
MULTILABEL_AT = 0.3  # share of the probability from which a second emotion counts, as in the paper
NEUTRAL_BELOW = 0.35  # |score| under this is neutral: halfway to MELD's +-0.7 (models/labels.py)
# The 28 emotions in the authors' four sentiments; these are sums of the Ekman groups.
SENTIMENT_GROUPS = {
    "positive": ("happiness",),
    "negative": ("anger", "disgust", "fear", "sadness"),
    "ambiguous": ("surprise",),
    "neutral": ("neutral",),
}
FIVE = ("very negative", "negative", "neutral", "positive", "very positive")
_SPLIT_WORDS = {"train": "train", "dev": "valid", "valid": "valid", "val": "valid", "test": "test"}


def files(path: Path, asked: Asked) -> list[Path]:
    """The file itself, or the labelled files of a folder whose names are of the split wanted."""
    if path.is_file():
        return [path]
    folder = path / "text" if (path / "text").is_dir() else path
    existing(folder, *(f.name for f in folder.iterdir())) if folder.is_dir() else existing(path)
    found = [
        f for f in sorted(folder.iterdir())
        if f.is_file() and f.suffix not in (".txt", ".md") and not f.name.startswith(".")
    ]  # fmt: skip
    wanted = {asked.split} if asked.split else {"test", "valid", ALL}
    wanted = {"train", "valid", "test", ALL} if asked.split == ALL else wanted
    chosen = [f for f in found if split_of(f) in wanted]
    if not chosen:
        raise DataError(
            f"{folder}: expected files of split {' or '.join(sorted(wanted))} by their names, got "
            f"{', '.join(f.name for f in found) or 'none'}"
        )
    return chosen


def split_of(path: Path) -> str:
    """The split that a file's name states, such as "valid" for meld_dev.csv; "all" if none."""
    words = path.name.lower().replace("_", ".").replace("-", ".").split(".")
    return next((_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS), ALL)


def read(path: Path, asked: Asked) -> Sheet:
    """One text file; see `text_formats` for the shapes."""
    if not path.is_file():
        raise DataError(f"{path}: expected a text file, found none")
    form = recognise(path, asked.form)
    rows = read_rows(path, form)
    n = len(rows.texts)
    named = split_of(path)
    splits = _own_split(path, rows) if named == ALL else [named] * n
    chosen = choose(path, splits, n, asked.split)
    rows = rows if chosen.rows.all() else _some(rows, chosen.rows)
    n = len(rows.texts)
    _two_classes(path, rows)
    return Sheet(
        task="text", path=path, form=form, n=n, split=chosen.split,
        described=chosen.described if named == ALL else f"all {n} rows: {named} by the file's name",
        classes=_names(form),
        answer=lambda model: _answer(model, rows, form, asked),
        by=_columns(rows, form), clusters=rows.scene,
        cluster="row" if rows.scene is None else "dialogue",
        notes=_notes(rows, form), trained_on=chosen.trained,
    )  # fmt: skip


def _own_split(path: Path, rows: Rows) -> list[str] | None:
    """CR has no split of its own: this project holds out one review in ten, by hash."""
    if (path.name, len(rows.texts)) != CR:
        return None
    return ["valid" if zlib.crc32(t.encode()) % 10 == 0 else "train" for t in rows.texts]


def _some(rows: Rows, kept: np.ndarray) -> Rows:
    """Some rows of a file without dialogues."""
    assert rows.polarity is not None and rows.dialogue is None
    texts = [text for text, keep in zip(rows.texts, kept, strict=True) if keep]
    return Rows(texts=texts, polarity=rows.polarity[kept])


def _names(form: str) -> tuple[str, ...]:
    if form in ("goemotions", "meld"):
        return EMOTIONS
    return FIVE if form == "sst5" else ("negative", "positive")


def _two_classes(path: Path, rows: Rows) -> None:
    if rows.groups is not None:
        several_classes(path, [",".join(map(str, np.flatnonzero(g))) for g in rows.groups])
    else:
        assert rows.polarity is not None
        several_classes(path, [f"class {p}" for p in rows.polarity])


def _columns(rows: Rows, form: str) -> dict[str, np.ndarray]:
    columns = {"language": np.array([LANGUAGE.get(form, "en")] * len(rows.texts))}
    if rows.speaker is not None:
        names, counts = np.unique(rows.speaker, return_counts=True)
        often = names[counts >= max(20, len(rows.texts) // 50)]
        columns["speaker"] = np.where(np.isin(rows.speaker, often), rows.speaker, "others")
    return columns


def _notes(rows: Rows, form: str) -> tuple[str, ...]:
    if form == "goemotions":
        assert rows.groups is not None
        single = int((rows.groups.sum(1) == 1).sum())
        return (
            f"multilabel_*: all {len(rows.texts)} rows, a group counts as named from a share of "
            f"{MULTILABEL_AT} on or as the largest; other figures: the {single} rows of one group",
        )
    if form == "meld":
        return ("a turn is seen with the earlier turns of its dialogue only",)
    return ()


def _answer(model: Any, rows: Rows, form: str, asked: Asked) -> Answers:
    emotions, sentiment = _ask(model, rows, asked)
    figures: dict[str, Figure] = {}
    if form == "goemotions":
        figures = _goemotions(model, emotions, rows)
    elif form == "meld":
        figures = _meld(model, emotions, sentiment, rows)
    else:
        figures = _reviews(model, sentiment, rows, form)
    silent = np.isnan(emotions).any(1) if rows.groups is not None else np.isnan(sentiment)
    return Answers(figures=figures, abstained=silent)


def _ask(model: Any, rows: Rows, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """Emotions (N, 7) and sentiment (N,); whole dialogues stay within one call."""
    n = len(rows.texts)
    emotions, sentiment = np.full((n, len(EMOTIONS)), np.nan), np.full(n, np.nan)
    for at in _parts(rows):
        asked.progress("reading", int(at[0]), n)
        place = {int(row): i for i, row in enumerate(at)}
        context = rows.dialogue and [[place[r] for r in rows.dialogue[row]] for row in at]
        said = model.predict([rows.texts[row] for row in at], context)
        emotions[at] = checked(said[0], len(at), len(EMOTIONS), "text")
        sentiment[at] = np.asarray(said[1], np.float64)
    asked.progress("reading", n, n)
    if (np.abs(sentiment[np.isfinite(sentiment)]) > 1 + 1e-6).any() or np.isinf(sentiment).any():
        raise DataError("text: expected sentiment from -1 to 1 from the predictor, got others")
    return emotions, sentiment


def _parts(rows: Rows) -> list[np.ndarray]:
    """Row numbers in parts of about BATCH rows, cut between dialogues."""
    n = len(rows.texts)
    if rows.scene is None:
        return np.array_split(np.arange(n), -(-n // BATCH))
    order = np.argsort(np.unique(rows.scene, return_inverse=True)[1], kind="stable")
    starts = np.flatnonzero(np.r_[True, rows.scene[order][1:] != rows.scene[order][:-1]])
    cuts = [s for i, s in enumerate(starts) if i and s // BATCH != starts[i - 1] // BATCH]
    return np.split(order, cuts)


def _goemotions(model: Any, emotions: np.ndarray, rows: Rows) -> dict[str, Figure]:
    assert rows.groups is not None
    truth = rows.groups
    into = np.array([[e in names for names in SENTIMENT_GROUPS.values()] for e in EMOTIONS])
    coarse, coarse_truth = emotions @ into, (truth[:, :, None] & into).any(1)
    single, coarse_single = truth.sum(1) == 1, coarse_truth.sum(1) == 1
    at = getattr(model, "multilabel_at", MULTILABEL_AT)
    chosen, coarse_chosen = named(emotions, at), named(coarse, at)
    if hasattr(model, "multilabel"):  # a model may have thresholds of its own
        chosen, coarse_chosen = model.multilabel(rows.texts)
    figures: dict[str, Figure] = {
        "multilabel_macro_f1": lambda i: metrics.multilabel_macro_f1(chosen[i], truth[i]),
        "multilabel_sentiment_macro_f1": lambda i: metrics.multilabel_macro_f1(
            coarse_chosen[i], coarse_truth[i]
        ),
    }
    figures |= classification(emotions, truth.argmax(1), single)
    figures |= classification(coarse, coarse_truth.argmax(1), coarse_single, "sentiment_")
    return figures


def named(shares: np.ndarray, at: float) -> np.ndarray:
    """(B, C) shares -> bool (B, C): those from `at` on, and always the largest.

    >>> named(np.array([[0.6, 0.35, 0.05], [0.25, 0.25, 0.5]]), 0.3).astype(int).tolist()
    [[1, 1, 0], [0, 0, 1]]
    """
    known = np.nan_to_num(shares)
    return (known >= at) | ((known == known.max(1, keepdims=True)) & (known > 0))


def _meld(model: Any, emotions: np.ndarray, said: np.ndarray, rows: Rows) -> dict[str, Figure]:
    assert rows.groups is not None and rows.polarity is not None
    if hasattr(model, "polarity"):  # a model may know better than its score where neutral ends
        three = checked(model.polarity(emotions, said), len(said), 3, "text")
        three_figures = classification(three, rows.polarity, prefix="sentiment_")
    else:
        where = [np.isnan(said), said < -NEUTRAL_BELOW, said > NEUTRAL_BELOW]
        guess = np.select(where, [metrics.ABSTAINED, 0, 2], 1)
        three_figures = _named_classes(guess, rows.polarity, "sentiment_")
    return classification(emotions, rows.groups.argmax(1)) | three_figures


def _named_classes(guess: np.ndarray, labels: np.ndarray, prefix: str) -> dict[str, Figure]:
    """Figures of class numbers without probabilities."""
    figures = (metrics.accuracy, metrics.uar, metrics.macro_f1, metrics.weighted_f1)
    return {
        f"{prefix}{f.__name__}": (lambda i, f=f: f(guess[i], labels[i]))  # type: ignore[misc]
        for f in figures
    }


def _reviews(model: Any, sentiment: np.ndarray, rows: Rows, form: str) -> dict[str, Figure]:
    assert rows.polarity is not None
    labels = rows.polarity
    if form != "sst5":
        positive = (1 + sentiment) / 2
        if hasattr(model, "positive"):  # a model may know better what its score stands for
            positive = model.positive(rows.texts, sentiment)
        return classification(np.stack([1 - positive, positive], 1), labels)
    targets = np.array(SST5_SENTIMENT)
    nearest = np.abs(np.nan_to_num(sentiment)[:, None] - targets).argmin(1)
    guess = np.where(np.isnan(sentiment), metrics.ABSTAINED, nearest)
    two = np.where(np.isnan(sentiment), metrics.ABSTAINED, (sentiment > 0).astype(int))

    def signed(rows: np.ndarray) -> float:
        rows = rows[labels[rows] != 2]
        return metrics.accuracy(two[rows], (labels[rows] > 2).astype(int))

    figures = _named_classes(guess, labels, "") | {"accuracy_2": signed}
    return figures | regression(sentiment, targets[labels])
