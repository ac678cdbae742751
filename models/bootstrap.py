"""How far a figure could be chance: percentile bootstrap, plain or by group.

Rows of one speaker, video or dialogue resemble each other, so whole groups are drawn where they
are known (the cluster bootstrap: Davison & Hinkley 1997, "Bootstrap methods and their
application", 3.8). Percentile intervals after Efron & Tibshirani 1993, "An introduction to the
bootstrap", chapter 13. Invariant: the same seed gives the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from models.errors import DataError

Figure = Callable[[np.ndarray], float]  # row numbers -> value; raises DataError where undefined
RESAMPLES = 1_000
MIN_DEFINED = 0.9  # share of resamples that must have a value for an interval to mean anything


def draws(
    n: int, groups: np.ndarray | None, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[np.ndarray]:
    """Row numbers of each resample: n rows, or as many whole groups as there are.

    >>> [len(rows) for rows in draws(4, None, 2)]
    [4, 4]
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        for _ in range(resamples):
            yield rng.integers(0, n, n)
        return
    names, which = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    for _ in range(resamples):
        yield np.concatenate([members[k] for k in rng.integers(0, len(names), len(names))])


def usable(groups: np.ndarray | None) -> np.ndarray | None:
    """The groups if there are two or more, else None: one group alone says nothing of others."""
    return groups if groups is not None and len(np.unique(groups)) > 1 else None


def _value(figure: Figure, rows: np.ndarray) -> float:
    try:
        return figure(rows)
    except DataError:
        return np.nan


def _defined(values: np.ndarray) -> np.ndarray:
    kept = values[np.isfinite(values)]
    if len(kept) < MIN_DEFINED * len(values):
        raise DataError(
            f"a bootstrap interval needs {MIN_DEFINED:.0%} of the resamples to have a value, "
            f"got {len(kept)} of {len(values)}"
        )
    return kept


def intervals(
    figures: Mapping[str, Figure],
    n: int,
    groups: np.ndarray | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float] | None]:
    """The percentile interval of each figure, all on the same resamples; None where undefined.

    >>> x = np.arange(100.0)
    >>> low, high = intervals({"mean": lambda rows: float(x[rows].mean())}, 100)["mean"]
    >>> bool(40 < low < 49.5 < high < 59)
    True
    """
    table = [[_value(f, rows) for f in figures.values()] for rows in draws(n, groups, resamples,
             seed)]  # fmt: skip
    found: dict[str, tuple[float, float] | None] = {}
    for name, column in zip(figures, np.array(table).T, strict=True):
        try:
            low, high = np.quantile(_defined(column), [(1 - level) / 2, (1 + level) / 2])
        except DataError:
            found[name] = None
        else:
            found[name] = (float(low), float(high))
    return found


def paired(
    ours: Figure,
    theirs: Figure,
    n: int,
    groups: np.ndarray | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, float]:
    """Difference ours - theirs on the same rows: value, 95 % interval and two-sided p.

    p = 2 min(P(d* <= 0), P(d* >= 0)) over the resampled differences d*, each share counted as
    (k + 1) / (resamples + 1); the paired bootstrap of Koehn 2004, "Statistical significance tests
    for machine translation evaluation", made two-sided.

    >>> right = np.array([1.0] * 90 + [0.0] * 10)
    >>> wrong = 1 - right
    >>> paired(lambda i: right[i].mean(), lambda i: wrong[i].mean(), 100)["p"] < 0.01
    True
    """
    values = np.array(
        [_value(ours, rows) - _value(theirs, rows) for rows in draws(n, groups, resamples, seed)]
    )
    values = _defined(values)
    below, above = ((side.sum() + 1) / (len(values) + 1) for side in (values <= 0, values >= 0))
    low, high = np.quantile(values, [0.025, 0.975])
    everything = np.arange(n)
    return {
        "difference": float(ours(everything) - theirs(everything)),
        "low": float(low),
        "high": float(high),
        "p": float(min(1.0, 2 * min(below, above))),
    }
