"""The tasks that a recipe can name, and where each is built. Imported only when asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from models.errors import RecipeError
from models.train.recipe import Recipe
from models.train.task import Task

# name -> module with `build(recipe: Recipe, data: Path, cache: Path) -> Task`
TASKS = {
    "faces": "models.train.faces",
    "voice": "models.train.voice",
    "text": "models.train.text",
    "bags": "models.train.bags",
    "chinese": "models.train.chinese",
    "sounds": "models.train.sounds",
    "mosi": "models.train.mosi",
    "clips": "models.train.clips",
    "pool": "models.train.pool",
    "plain": "models.train.plain",
}


def build(recipe: Recipe, data: Path, cache: Path) -> Task:
    """The task that a recipe names: one of TASKS, or the dotted name of a module of one's own."""
    module = TASKS.get(recipe.task, recipe.task)
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise  # the task is there, and something that it needs is not
        names = ", ".join(TASKS)
        raise RecipeError(f"task: expected one of {names}, got {recipe.task!r}") from error
    return found.build(recipe, data, cache)
