"""What every task hands to the measuring: rows, their groups, and how a predictor answers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models import metrics, score_metrics
from models.bootstrap import Figure
from models.errors import DataError

Progress = Callable[[str, int, int], None]  # what is done, how much of it, out of how much


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the caller chose. None stands for the rule or the default."""

    split: str | None = None
    form: str | None = None
    progress: Progress = lambda what, done, total: None


@dataclass(frozen=True, kw_only=True)
class Answers:
    """figures: name -> function of row numbers. abstained: bool (n,), "not enough evidence".

    distribution: how often each class was named, where that tells something of its own.
    """

    figures: dict[str, Figure]
    abstained: np.ndarray
    distribution: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Rows of one file, ready to be answered.

    classes: the names that an answer can have. by: columns that figures are also given for.
    clusters: rows that are drawn together in the bootstrap, and what they are ("speaker").
    excluded: reason -> number of rows left out. answer: a predictor -> what it made of the rows.
    """

    task: str
    path: Path
    form: str
    n: int
    split: str
    described: str
    classes: tuple[str, ...]
    answer: Callable[[Any], Answers]
    by: dict[str, np.ndarray] = field(default_factory=dict)
    clusters: np.ndarray | None = None
    cluster: str = "row"
    excluded: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    trained_on: bool = False


def in_batches(
    predict: Callable[[list[Any]], Any], items: Any, size: int, progress: Progress, what: str
) -> list[Any]:
    """`predict` on `items` in parts, telling how far it is."""
    parts = []
    for start in range(0, len(items), size):
        progress(what, start, len(items))
        parts.append(predict(items[start : start + size]))
    progress(what, len(items), len(items))
    return parts


def checked(probabilities: Any, n: int, classes: int, who: str) -> np.ndarray:
    """What a predictor gave as float64 (n, classes): finite and not negative, or a row of NaN.

    Equal probabilities for every class name none: such a row abstains as well.
    """
    found = np.asarray(probabilities, np.float64)
    if found.shape != (n, classes):
        raise DataError(f"{who}: expected probabilities ({n}, {classes}), got {found.shape}")
    silent = np.isnan(found).any(1) | (found.max(1, initial=0) == found.min(1, initial=np.inf))
    spoken = found[~silent]
    if not (np.isfinite(spoken).all() and (spoken >= -1e-6).all()):
        raise DataError(f"{who}: expected probabilities from 0 to 1, got others")
    found[silent] = np.nan
    return found


def restrict(probabilities: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The columns kept by bool (B, C), renormalised; the others 0. The closed-set protocol.

    >>> restrict(np.array([[0.5, 0.3, 0.2]]), np.array([[True, False, True]])).round(3).tolist()
    [[0.714, 0.0, 0.286]]
    """
    kept = np.where(keep, np.maximum(probabilities, 0.0), 0.0)
    total = kept.sum(1, keepdims=True)
    even = keep / keep.sum(1, keepdims=True)
    shares = np.where(total > 0, kept / np.where(total > 0, total, 1.0), even)
    return np.where(np.isnan(probabilities).any(1)[:, None], np.nan, shares)


def classification(
    probabilities: np.ndarray, labels: np.ndarray, rows: np.ndarray | None = None, prefix: str = ""
) -> dict[str, Figure]:
    """The standard figures of (n, C) probabilities; `rows` bool (n,) limits them to some rows."""
    guess = metrics.decide(probabilities)

    def on(figure: Callable[..., float], said: np.ndarray) -> Figure:
        def measured(at: np.ndarray) -> float:
            at = at if rows is None else at[rows[at]]
            return figure(said[at], labels[at])

        return measured

    figures: dict[str, Figure] = {
        f"{prefix}{figure.__name__}": on(figure, guess)
        for figure in (metrics.accuracy, metrics.uar, metrics.macro_f1, metrics.weighted_f1)
    }
    figures[f"{prefix}ece"] = on(metrics.ece, probabilities)
    figures[f"{prefix}brier"] = on(metrics.brier, probabilities)
    if (guess == metrics.ABSTAINED).any():
        figures[f"{prefix}accuracy_answered"] = on(_accuracy_answered, guess)
    return figures


def _accuracy_answered(guess: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy over the rows that did not abstain: one point of the risk-coverage curve."""
    spoken = guess != metrics.ABSTAINED
    return metrics.accuracy(guess[spoken], labels[spoken])


def regression(guess: np.ndarray, target: np.ndarray, prefix: str = "") -> dict[str, Figure]:
    """MAE, Pearson r and CCC of a score, over the rows that have a number."""

    def on(figure: Callable[..., float]) -> Figure:
        def measured(at: np.ndarray) -> float:
            at = at[np.isfinite(guess[at])]
            return figure(guess[at], target[at])

        return measured

    return {
        f"{prefix}{f.__name__}": on(f)
        for f in (score_metrics.mae, score_metrics.pearson_r, score_metrics.ccc)
    }
