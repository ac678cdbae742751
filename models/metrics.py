"""Figures of merit of classes by their standard definitions, each a pure function of arrays.

Scores are (B, C) with the largest entry naming the class, or (B,) class numbers. A row of NaN, or
a class number of -1, abstains: it is never right. Invariant: no function returns NaN; where a
figure does not exist (no rows, one class only) it raises `DataError` saying why. Those of a
continuous score are in `models.score_metrics`.
"""

from __future__ import annotations

import numpy as np

from models.errors import DataError

ABSTAINED = -1


def decide(scores: np.ndarray) -> np.ndarray:
    """(B, C) scores or (B,) class numbers -> class numbers (B,), -1 for a row of NaN.

    >>> decide(np.array([[0.2, 0.8], [np.nan, np.nan]])).tolist()
    [1, -1]
    """
    scores = np.asarray(scores)
    if scores.ndim == 1:
        return scores.astype(np.int64)
    silent = np.isnan(scores).any(1)
    return np.where(silent, ABSTAINED, np.where(silent[:, None], 0, scores).argmax(1))


def _classes(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers of scores and labels, checked."""
    guess, labels = decide(scores), np.asarray(labels)
    if len(labels) == 0:
        raise DataError("expected at least one row to measure, got none")
    if guess.shape != labels.shape:
        raise DataError(f"expected as many scores as labels, got {len(guess)} and {len(labels)}")
    return guess, labels


def _several(labels: np.ndarray, name: str) -> None:
    if (labels == labels[0]).all():
        raise DataError(f"{name} needs rows of two classes or more, got one class only")


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose class is the label: (1/B) sum [guess = label].

    >>> accuracy(np.array([0, 1, 1]), np.array([0, 1, 0]))
    0.6666666666666666
    """
    guess, labels = _classes(scores, labels)
    return float((guess == labels).mean())


def recalls(scores: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """Recall of each class that occurs in `labels`: right of a class / all of that class.

    >>> recalls(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    {0: 0.5, 1: 1.0}
    """
    guess, labels = _classes(scores, labels)
    total = np.bincount(labels)
    right = np.bincount(labels[guess == labels], minlength=len(total))
    return {int(c): float(right[c] / total[c]) for c in np.flatnonzero(total)}


def uar(scores: np.ndarray, labels: np.ndarray) -> float:
    """Unweighted average recall, the mean recall over the classes that occur in `labels`.

    Also macro recall or balanced accuracy; the measure of the paralinguistic challenges (Schuller
    et al. 2009, "The INTERSPEECH 2009 emotion challenge").

    >>> uar(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    0.75
    """
    guess, labels = _classes(scores, labels)
    _several(labels, "UAR")
    return float(np.mean(list(recalls(guess, labels).values())))


def _f1_of_classes(guess: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F1 = 2 TP / (2 TP + FP + FN) and count of each class in labels or guesses."""
    size = int(max(labels.max(), guess.max())) + 1
    truth = np.bincount(labels, minlength=size)
    named = np.bincount(guess[guess >= 0], minlength=size)
    right = np.bincount(labels[guess == labels], minlength=size)
    seen = np.flatnonzero(truth + named)
    return 2 * right[seen] / (truth + named)[seen], truth[seen]


def macro_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean F1 over the classes that occur in the labels or in the guesses, as scikit-learn has it.

    >>> round(macro_f1(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])), 4)
    0.7333
    """
    guess, labels = _classes(scores, labels)
    _several(labels, "macro F1")
    return float(_f1_of_classes(guess, labels)[0].mean())


def weighted_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean F1 of the classes, each weighted by its share of the labels.

    >>> round(weighted_f1(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])), 4)
    0.7333
    """
    guess, labels = _classes(scores, labels)
    scores_of, count = _f1_of_classes(guess, labels)
    return float((scores_of * count).sum() / count.sum())


def multilabel_macro_f1(chosen: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the columns of F1 = 2 TP / (2 TP + FP + FN); bool (B, C) both.

    How GoEmotions is measured (Demszky et al. 2020). A class that occurs in neither takes no part.

    >>> multilabel_macro_f1(np.array([[1, 0], [1, 1]]), np.array([[1, 0], [0, 1]]))
    0.8333333333333333
    """
    chosen, truth = np.asarray(chosen, bool), np.asarray(truth, bool)
    if chosen.shape != truth.shape or truth.ndim != 2:
        raise DataError(f"expected two arrays (B, C), got {chosen.shape} and {truth.shape}")
    named = chosen.sum(0) + truth.sum(0)
    if not named.any():
        raise DataError("multi-label F1 needs at least one row with a label, got none")
    seen = named > 0
    return float((2 * (chosen & truth).sum(0)[seen] / named[seen]).mean())


def majority(labels: np.ndarray) -> float:
    """Accuracy of always naming the most frequent class.

    >>> majority(np.array([0, 0, 1, 0]))
    0.75
    """
    return float(np.bincount(labels).max() / len(labels))


def _answered(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of (B, C) that do not abstain, checked to be probabilities."""
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if probabilities.ndim != 2 or len(probabilities) != len(labels):
        raise DataError(
            f"expected probabilities (B, C) for {len(labels)} labels, got {probabilities.shape}"
        )
    spoken = ~np.isnan(probabilities).any(1)
    if not spoken.any():
        raise DataError("expected at least one row with probabilities, got none")
    return probabilities[spoken], labels[spoken]


def ece(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over equal-width bins of the confidence; 0 is perfect.

    sum_b (n_b / B) |accuracy_b - mean confidence_b|; Guo et al. 2017, "On calibration of modern
    neural networks". Rows that abstain state no confidence and take no part.

    >>> round(ece(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0])), 2)
    0.45
    """
    probabilities, labels = _answered(probabilities, labels)
    confidence = probabilities.max(1)
    hits = probabilities.argmax(1) == labels
    which = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gaps = np.bincount(which, hits - confidence, minlength=bins)  # n_b (accuracy_b - confidence_b)
    return float(np.abs(gaps).sum() / len(labels))


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Brier score of several classes, (1/B) sum_i sum_c (p_ic - [label_i = c])^2, 0 to 2.

    Brier 1950, "Verification of forecasts expressed in terms of probability".

    >>> round(brier(np.array([[0.8, 0.2]]), np.array([0])), 2)
    0.08
    """
    probabilities, labels = _answered(probabilities, labels)
    squares = (probabilities**2).sum(1)
    own = probabilities[np.arange(len(labels)), labels]
    return float((squares - 2 * own + 1).mean())


def over_seeds(values: list[float]) -> tuple[float, float]:
    """Mean and standard deviation (1 / (n - 1)) of a figure over trainings; deviation 0 for one.

    >>> [round(x, 4) for x in over_seeds([0.5, 0.7])]
    [0.6, 0.1414]
    """
    if not values:
        raise DataError("expected the figures of at least one seed, got none")
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), spread
