"""From a sheet and what models made of it to a report: figures, intervals, groups, comparisons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models import metrics
from models.bootstrap import RESAMPLES, Figure, intervals, paired, usable
from models.errors import DataError
from models.evaluate.sheet import Answers, Sheet

DECIMALS = 6
MAX_VALUES_WITH_INTERVALS = 12  # columns with more values, such as speakers, get figures only


@dataclass(frozen=True, kw_only=True)
class Report:
    """One evaluation; `as_json` is the documented form (docs/evaluation.md)."""

    task: str
    data: str
    format: str
    model: str
    split: str
    rows: str
    n: int
    classes: tuple[str, ...]
    metrics: dict[str, float | None]
    confidence: dict[str, tuple[float, float] | None]
    undefined: dict[str, str]
    resampled: dict[str, Any]
    abstained: float
    distribution: dict[str, int]
    groups: dict[str, dict[str, Any]]
    excluded: dict[str, int]
    notes: tuple[str, ...]
    trained_on: bool
    seeds: dict[str, Any] = field(default_factory=dict)
    baseline: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values; floats rounded, never NaN."""
        plain: dict[str, Any] = _plain(vars(self))
        return plain


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """resamples 0 turns intervals off."""

    resamples: int = RESAMPLES
    seed: int = 0


def report(
    sheet: Sheet,
    answers: dict[str, Answers],
    bootstrap: Bootstrap,
    baseline: tuple[str, Answers] | None = None,
) -> Report:
    """Measure what one model, or several trainings of it, said; compare with a baseline."""
    figures = _mean_figures(list(answers.values()))
    clusters = usable(sheet.clusters)
    everything = np.arange(sheet.n)
    values, undefined = _values(figures, everything)
    defined = {name: figures[name] for name, value in values.items() if value is not None}
    spans = _intervals(defined, everything, clusters, bootstrap)
    undefined |= {
        f"confidence.{name}": "too few resamples have a value" for name, s in spans.items()
        if s is None
    }  # fmt: skip
    return Report(
        task=sheet.task, data=str(sheet.path), format=sheet.form, model=", ".join(answers),
        split=sheet.split, rows=sheet.described, n=sheet.n, classes=sheet.classes,
        metrics=values, confidence=spans, undefined=undefined,
        resampled=_resampling(sheet, clusters, bootstrap),
        abstained=float(np.mean([a.abstained.mean() for a in answers.values()])),
        distribution=next(iter(answers.values())).distribution,
        groups=_groups(sheet, figures, clusters, bootstrap),
        excluded=sheet.excluded, notes=sheet.notes, trained_on=sheet.trained_on,
        seeds=_seeds(answers, everything) if len(answers) > 1 else {},
        baseline=_compared(sheet, defined, baseline, clusters, bootstrap) if baseline else {},
    )  # fmt: skip


def _mean_figures(answers: list[Answers]) -> dict[str, Figure]:
    """Each figure, averaged over the models."""
    if len(answers) == 1:
        return answers[0].figures
    shared = [name for name in answers[0].figures if all(name in a.figures for a in answers)]

    def mean(name: str) -> Figure:
        return lambda rows: float(np.mean([a.figures[name](rows) for a in answers]))

    return {name: mean(name) for name in shared}


def _values(
    figures: dict[str, Figure], rows: np.ndarray
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Value of each figure, or None with the reason why it has none."""
    values: dict[str, float | None] = {}
    reasons = {}
    for name, figure in figures.items():
        try:
            values[name] = figure(rows)
        except DataError as error:
            values[name] = None
            reasons[name] = str(error)
    return values, reasons


def _intervals(
    figures: dict[str, Figure], rows: np.ndarray, clusters: np.ndarray | None, options: Bootstrap
) -> dict[str, tuple[float, float] | None]:
    if not options.resamples or not figures:
        return {}
    inside = {name: _within(figure, rows) for name, figure in figures.items()}
    here = usable(None if clusters is None else clusters[rows])
    return intervals(inside, len(rows), here, resamples=options.resamples, seed=options.seed)


def _within(figure: Figure, rows: np.ndarray) -> Figure:
    return lambda at: figure(rows[at])


def _resampling(sheet: Sheet, clusters: np.ndarray | None, options: Bootstrap) -> dict[str, Any]:
    base = {"resamples": options.resamples, "seed": options.seed, "level": 0.95}
    if clusters is None:
        one = sheet.clusters is not None
        why = f"only one {sheet.cluster}: intervals hold for it alone" if one else ""
        return {"by": "row", "draws_of": sheet.n, **base, **({"reason": why} if why else {})}
    return {"by": sheet.cluster, "draws_of": len(np.unique(clusters)), **base}


def _groups(
    sheet: Sheet, figures: dict[str, Figure], clusters: np.ndarray | None, options: Bootstrap
) -> dict[str, dict[str, Any]]:
    """Figures per value of each column that has more than one value."""
    found: dict[str, dict[str, Any]] = {}
    for column, names in sheet.by.items():
        distinct = np.unique(names)
        if len(distinct) < 2:
            continue
        wide = len(distinct) > MAX_VALUES_WITH_INTERVALS
        found[column] = {}
        for name in distinct:
            rows = np.flatnonzero(names == name)
            values, reasons = _values(figures, rows)
            entry: dict[str, Any] = {"n": len(rows), "metrics": values}
            if not wide:
                defined = {k: figures[k] for k, v in values.items() if v is not None}
                entry["confidence"] = _intervals(defined, rows, clusters, options)
            if reasons:
                entry["undefined"] = reasons
            found[column][str(name)] = entry
    return found


def _seeds(answers: dict[str, Answers], rows: np.ndarray) -> dict[str, Any]:
    """Mean and standard deviation over trainings, and the figures of each."""
    each = {name: _values(answer.figures, rows)[0] for name, answer in answers.items()}
    mean, deviation = {}, {}
    for figure in next(iter(each.values())):
        known = [v for v in (values.get(figure) for values in each.values()) if v is not None]
        if len(known) == len(each):
            mean[figure], deviation[figure] = metrics.over_seeds(known)
    return {"mean": mean, "standard_deviation": deviation, "each": each}


def _compared(
    sheet: Sheet,
    figures: dict[str, Figure],
    baseline: tuple[str, Answers],
    clusters: np.ndarray | None,
    options: Bootstrap,
) -> dict[str, Any]:
    """The baseline's figures, and the paired bootstrap of each difference."""
    name, theirs = baseline
    values, reasons = _values(theirs.figures, np.arange(sheet.n))
    differences: dict[str, Any] = {}
    for figure, ours in figures.items():
        if values.get(figure) is None:
            continue
        try:
            differences[figure] = paired(
                ours, theirs.figures[figure], sheet.n, clusters,
                resamples=options.resamples or RESAMPLES, seed=options.seed,
            )  # fmt: skip
        except DataError as error:
            reasons[f"difference.{figure}"] = str(error)
    return {"model": name, "metrics": values, "difference": differences, "undefined": reasons}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return round(float(value), DECIMALS)
    return int(value) if isinstance(value, np.integer) else value
