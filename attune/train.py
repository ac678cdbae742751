"""`attune train`: a recipe and its data to weights, with a table of their figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from attune import config as configuration
from models.errors import ModelError, RecipeError
from models.threads import limit_threads
from models.train.engine import train
from models.train.recipe import Recipe, parse, read_tree
from models.train.transfer import publish
from streaming.errors import AttuneError, UsageError


def run_training(
    path: Path,
    *,
    data: Path,
    run: Path | None,
    out: Path | None,
    resume: bool,
    workers: int,
    threads: int | None,
    device: str,
    cache: Path,
    assignments: list[str],
) -> int:
    """Train and show the figures; the exit code."""
    try:
        recipe = _recipe(path, assignments)
        if not data.is_dir():
            raise UsageError(f"--data {data}: expected a folder, found none")
        folder = run or Path("runs") / path.stem
        if workers > 1:
            from actors.training import train_on_workers  # starting Ray takes seconds

            figures = train_on_workers(
                recipe, data, folder, cache, workers=workers, resume=resume, threads=threads
            )
        else:
            if threads is not None:
                limit_threads(threads)
            figures = train(recipe, data, folder, cache, resume=resume, device=device)
        if out is not None:
            publish(folder, out, recipe)
    except RecipeError as error:
        raise UsageError(str(error)) from error
    except ModelError as error:
        raise AttuneError(str(error)) from error
    _show(recipe, figures)
    places = f"{folder}: recipe, curve and weights" + (f"; weights also in {out}" if out else "")
    Console(stderr=True).print(places, highlight=False, soft_wrap=True)
    return 0


def _recipe(path: Path, assignments: list[str]) -> Recipe:
    tree = read_tree(path)
    for assignment in assignments:
        configuration.assign(tree, assignment)
    return parse(tree, str(path))


def _show(recipe: Recipe, figures: dict[str, Any]) -> None:
    """Figures on standard output: sets down, metrics across."""
    flat = {key: value for key, value in figures.items() if not isinstance(value, dict)}
    rows = {key: value for key, value in figures.items() if isinstance(value, dict)}
    if flat:
        rows = {recipe.task: flat, **rows}
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    table = Table("set", title=f"{recipe.task}: {recipe.model}")
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(_written(row.get(column)) for column in columns))
    Console(width=max(100, 14 * len(columns) + 30)).print(table)


def _written(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)
