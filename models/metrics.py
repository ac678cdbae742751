"""Figures of merit, each a pure function of arrays.

accuracy, unweighted average recall (UAR, the standard of paralinguistic challenges), macro F1,
expected calibration error (Guo et al. 2017, "On calibration of modern neural networks").
"""

from __future__ import annotations

import numpy as np


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows of (B, C) whose largest entry is at the label (B,)."""
    return float((probabilities.argmax(1) == labels).mean())


def uar(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean recall over the classes that occur in `labels`."""
    hits = probabilities.argmax(1) == labels
    return float(np.mean([hits[labels == c].mean() for c in np.unique(labels)]))


def macro_f1(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean F1 over the classes that occur in `labels`."""
    guess = probabilities.argmax(1)
    scores = []
    for c in np.unique(labels):
        both = ((guess == c) & (labels == c)).sum()
        scores.append(2 * both / max((guess == c).sum() + (labels == c).sum(), 1))
    return float(np.mean(scores))


def majority(labels: np.ndarray) -> float:
    """Accuracy of always naming the most frequent class."""
    return float(np.bincount(labels).max() / len(labels))


def ece(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over `bins` equal-width confidence bins; 0 is perfect."""
    confidence = probabilities.max(1)
    hits = probabilities.argmax(1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(hits[which == b].mean() - confidence[which == b].mean()) * (which == b).mean()
        for b in range(bins)
        if (which == b).any()
    ]
    return float(sum(gaps))
