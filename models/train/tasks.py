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
    "sounds": "models.train.sounds",
    "mosi": "models.train.mosi",
    "clips": "models.train.clips",
    "pool": "models.train.pool",
    "plain": "models.train.plain",
}


def build(recipe: Recipe, data: Path, cache: Path) -> Task:
    """The task that a recipe names."""
    module = TASKS.get(recipe.task)
    if module is None:
        raise RecipeError(f"task: expected one of {', '.join(TASKS)}, got {recipe.task!r}")
    return import_module(module).build(recipe, data, cache)
