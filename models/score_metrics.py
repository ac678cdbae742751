"""Figures of merit of a continuous score, such as sentiment, and of the intervals it states.

Guess and target are (B,), finite. Invariant, as in `models.metrics`: no function returns NaN; where
a figure does not exist it raises `DataError` saying why.
"""

from __future__ import annotations

import numpy as np

from models.errors import DataError
from models.metrics import accuracy, weighted_f1


def _numbers(guess: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two float64 arrays (B,), checked."""
    guess, target = np.asarray(guess, np.float64), np.asarray(target, np.float64)
    if guess.shape != target.shape or guess.ndim != 1:
        raise DataError(f"expected two arrays (B,), got {guess.shape} and {target.shape}")
    if len(guess) == 0:
        raise DataError("expected at least one row to measure, got none")
    if not (np.isfinite(guess).all() and np.isfinite(target).all()):
        raise DataError("expected finite numbers, got NaN or infinity")
    return guess, target


def mae(guess: np.ndarray, target: np.ndarray) -> float:
    """Mean absolute error, (1/B) sum |guess - target|.

    >>> mae(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    1.0
    """
    guess, target = _numbers(guess, target)
    return float(np.abs(guess - target).mean())


def pearson_r(guess: np.ndarray, target: np.ndarray) -> float:
    """Pearson's correlation, cov(x, y) / (sd(x) sd(y)).

    >>> round(pearson_r(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 7.0])), 4)
    0.9934
    """
    x, y = _numbers(guess, target)
    if _constant(x) or _constant(y):
        which = "prediction" if _constant(x) else "target"
        raise DataError(f"Pearson r needs values that vary, got a constant {which}")
    x, y = _unit(x), _unit(y)
    return float(np.clip(x @ y, -1.0, 1.0))


def _unit(x: np.ndarray) -> np.ndarray:
    """Centred and of length 1, without overflow or underflow on the way."""
    x = x - x.mean()
    x = x / np.abs(x).max()
    return x / np.sqrt(x @ x)


def _constant(x: np.ndarray) -> bool:
    """Whether the values differ by rounding only."""
    return bool(np.ptp(x) <= 1e-12 * np.abs(x).max())


def ccc(guess: np.ndarray, target: np.ndarray) -> float:
    """Concordance correlation with population variances (1/B, not 1/(B - 1)), as Lin has it.

    2 cov(x, y) / (var(x) + var(y) + (mean(x) - mean(y))^2); Lin 1989, "A concordance correlation
    coefficient to evaluate reproducibility", Biometrics 45. A constant prediction scores 0.

    >>> round(ccc(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])), 4)
    0.5714
    """
    x, y = _numbers(guess, target)
    below = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    if _constant(np.concatenate([x, y])):
        raise DataError("CCC needs values that vary, got a constant that is equal to its target")
    return float(2 * ((x - x.mean()) * (y - y.mean())).mean() / below)


def _signs(guess: np.ndarray, target: np.ndarray, zeros: bool) -> tuple[np.ndarray, np.ndarray]:
    guess, target = _numbers(guess, target)
    if zeros:
        return (guess >= 0).astype(int), (target >= 0).astype(int)
    signed = target != 0
    if not signed.any():
        raise DataError("Acc-2 negative/positive needs targets that are not 0, got only 0")
    return (guess[signed] > 0).astype(int), (target[signed] > 0).astype(int)


def acc2(guess: np.ndarray, target: np.ndarray, *, zeros: bool) -> float:
    """Two-class accuracy of a sentiment score, as MMSA has it.

    zeros=True: negative / non-negative (x >= 0 on both sides, all rows). zeros=False: negative /
    positive (x > 0 on both sides, rows whose target is 0 left out).

    >>> acc2(np.array([0.5, -0.1, 0.2]), np.array([1.0, 0.0, -2.0]), zeros=True)
    0.3333333333333333
    >>> acc2(np.array([0.5, -0.1, 0.2]), np.array([1.0, 0.0, -2.0]), zeros=False)
    0.5
    """
    return accuracy(*_signs(guess, target, zeros))


def f1_2(guess: np.ndarray, target: np.ndarray, *, zeros: bool) -> float:
    """Weighted F1 of the same two classes as `acc2`, as MMSA has it.

    >>> f1_2(np.array([0.5, -0.1]), np.array([1.0, -2.0]), zeros=False)
    1.0
    """
    return weighted_f1(*_signs(guess, target, zeros))


def accn(guess: np.ndarray, target: np.ndarray, *, limit: int) -> float:
    """Accuracy of 2 limit + 1 classes: clip both to [-limit, limit], round, compare.

    Acc-7 has limit 3, Acc-5 limit 2, Acc-3 limit 1, as in MMSA. Halves go to the even neighbour.

    >>> accn(np.array([2.6, 0.4, -5.0]), np.array([3.0, 1.0, -3.0]), limit=3)
    0.6666666666666666
    """
    guess, target = _numbers(guess, target)
    a, b = (np.round(np.clip(x, -limit, limit)) for x in (guess, target))
    return float((a == b).mean())


def acc7(guess: np.ndarray, target: np.ndarray) -> float:
    """Seven-class accuracy of a score in [-3, 3]; see `accn`.

    >>> acc7(np.array([0.5]), np.array([0.0]))
    1.0
    """
    return accn(guess, target, limit=3)


def acc5(guess: np.ndarray, target: np.ndarray) -> float:
    """Five-class accuracy of a score clipped to [-2, 2]; see `accn`.

    >>> acc5(np.array([2.6]), np.array([2.0]))
    1.0
    """
    return accn(guess, target, limit=2)


def interval_coverage(low: np.ndarray, high: np.ndarray, target: np.ndarray) -> float:
    """Share of targets inside their closed interval.

    >>> interval_coverage(np.array([0.0, 0.0]), np.array([1.0, 1.0]), np.array([0.5, 2.0]))
    0.5
    """
    low, target = _numbers(low, target)
    high, _ = _numbers(high, target)
    return float(((low <= target) & (target <= high)).mean())


def interval_width(low: np.ndarray, high: np.ndarray) -> float:
    """Mean width of the intervals.

    >>> interval_width(np.array([0.0, 0.0]), np.array([1.0, 2.0]))
    1.5
    """
    low, high = _numbers(low, high)
    return float((high - low).mean())
