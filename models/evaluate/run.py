"""One evaluation from beginning to end: read, ask each model, measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from models.errors import ChoiceError
from models.evaluate.measure import Bootstrap, Report, report
from models.evaluate.predictors import open_predictor
from models.evaluate.sheet import Asked, Sheet

TASKS = ("text", "speech", "faces", "events", "mosi", "clips")
Open = Callable[[str | None], tuple[str, Any]]  # a model's name -> its name and its predictor


def sheets(task: str, path: Path, asked: Asked) -> list[Sheet]:
    """What is to be answered: one sheet, or one for each file of a folder of texts."""
    module = import_module(f"models.evaluate.{task}")
    if asked.form is not None and asked.form not in module.FORMATS:
        raise ChoiceError(
            f"no format {asked.form!r} for {task}; there are {', '.join(module.FORMATS)}"
        )
    paths = module.files(path, asked) if hasattr(module, "files") else [path]
    return [module.read(each, asked) for each in paths]


def evaluate(
    task: str,
    path: Path,
    asked: Asked,
    *,
    models: Sequence[str] = (),
    baseline: str | None = None,
    bootstrap: Bootstrap | None = None,
    opener: Open | None = None,
) -> list[Report]:
    """Reports of `models`, taken as trainings of one model when there are several.

    opener: where predictors come from, if not from models/predictors.
    """
    opener = opener or (lambda name: open_predictor(task, name))
    wanted = sheets(task, path, asked)
    opened = dict(opener(name) for name in (models or (None,)))
    against = opener(baseline) if baseline is not None else None
    reports = []
    for sheet in wanted:
        answers = {name: sheet.answer(model) for name, model in opened.items()}
        other = (against[0], sheet.answer(against[1])) if against else None
        reports.append(report(sheet, answers, bootstrap or Bootstrap(), other))
    return reports
