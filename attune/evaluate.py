"""`attune evaluate`: labelled data in, a table for people or JSON for programs out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.errors import ChoiceError, ModelError
from models.evaluate.measure import Bootstrap, Report
from models.evaluate.run import TASKS, evaluate
from models.evaluate.sheet import Asked
from models.threads import limit_threads
from streaming.errors import AttuneError, UsageError


def run_evaluation(
    task: str,
    *,
    data: Path,
    models: Sequence[str],
    split: str | None,
    form: str | None,
    baseline: str | None,
    resamples: int,
    seed: int,
    as_json: bool,
) -> int:
    """Evaluate and show; the exit code."""
    if task not in TASKS:
        raise UsageError(f"no task {task!r}; there are {', '.join(TASKS)}")
    if len(set(models)) < len(models):
        raise UsageError("--model: the same model is given twice")
    limit_threads()
    console = Console(stderr=True)
    with _bar(console) as progress:
        try:
            reports = evaluate(
                task, data, Asked(split=split, form=form, progress=progress), models=models,
                baseline=baseline, bootstrap=Bootstrap(resamples=resamples, seed=seed),
                opener=_pipeline if task == "clips" else None,
            )  # fmt: skip
        except ChoiceError as error:
            raise UsageError(str(error)) from error
        except ModelError as error:
            raise AttuneError(str(error)) from error
    for report in reports:
        _warn(console, report)
    if as_json:
        _write_json(task, data, reports)
    else:
        for report in reports:
            show(Console(), report)
    return 0


def _pipeline(name: str | None) -> tuple[str, Any]:
    from attune.evaluate_clips import Pipeline

    return name or "shipped", Pipeline(None if name in (None, "shipped") else name)


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error, shown on terminals only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())  # fmt: skip
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        tasks: dict[str, Any] = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        yield progress


def _warn(console: Console, report: Report) -> None:
    def say(words: str) -> None:
        console.print(f"attune: {words}", markup=False, highlight=False, soft_wrap=True)

    if report.trained_on:
        say(
            f"warning: {report.data}: these rows are the training part, which the shipped models "
            "have seen; the figures say nothing about new data"
        )
    for name, reason in report.undefined.items():
        say(f"note: no {name}: {reason}")


def _write_json(task: str, data: Path, reports: list[Report]) -> None:
    plain = [report.as_json() for report in reports]
    folder = len(plain) > 1
    body = {"task": task, "data": str(data), "evaluations": plain} if folder else plain[0]
    print(json.dumps(body, ensure_ascii=False, indent=2, allow_nan=False))  # noqa: T201 - the product


def show(console: Console, report: Report) -> None:
    """One report as tables."""
    console.print(
        f"{report.task}: {report.model} on {report.data} ({report.format})",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    console.print(f"{report.rows}; n = {report.n}", markup=False, highlight=False, soft_wrap=True)
    console.print(_figures(report))
    for column, entries in report.groups.items():
        console.print(_groups(report, column, entries))
    if report.baseline:
        console.print(_baseline(report))
    for line in _remarks(report):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _figures(report: Report) -> Table:
    spread = report.seeds.get("standard_deviation", {})
    headings = ["figure", "value", "95 % interval", *(["deviation"] if spread else [])]
    table = Table(*headings)
    for name, value in report.metrics.items():
        span = report.confidence.get(name)
        cells = [name, _number(value), f"{span[0]:.4f} to {span[1]:.4f}" if span else ""]
        table.add_row(*cells, *([_number(spread.get(name))] if spread else []))
    return table


def _groups(report: Report, column: str, entries: dict[str, Any]) -> Table:
    shown = [name for name in report.metrics if not name.startswith("brier")][:8]
    table = Table(column, "n", *shown)
    for name, entry in entries.items():
        values = (_number(entry["metrics"].get(figure)) for figure in shown)
        table.add_row(name, str(entry["n"]), *values)
    return table


def _baseline(report: Report) -> Table:
    other = report.baseline
    table = Table("figure", report.model, other["model"], "difference", "95 % interval", "p")
    for name, found in other["difference"].items():
        table.add_row(
            name, _number(report.metrics[name]), _number(other["metrics"][name]),
            f"{found['difference']:+.4f}", f"{found['low']:+.4f} to {found['high']:+.4f}",
            f"{found['p']:.3f}",
        )  # fmt: skip
    return table


def _remarks(report: Report) -> list[str]:
    by = report.resampled
    lines = [f"bootstrap: {by['resamples']} resamples of {by['draws_of']}, drawn by {by['by']}"]
    if by.get("reason"):
        lines.append(by["reason"])
    if report.abstained:
        lines.append(f"not enough evidence: {report.abstained:.1%} of the rows, counted as wrong")
    if report.distribution:
        named = ", ".join(f"{name} {n}" for name, n in report.distribution.items() if n)
        lines.append(f"named: {named or 'nothing'}")
    lines += [f"left out: {n} rows, {reason}" for reason, n in report.excluded.items()]
    return [*lines, *report.notes]
