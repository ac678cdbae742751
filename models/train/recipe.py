"""A recipe: everything that decides what a training makes, read from one YAML file.

Invariant: the same recipe, data and machine give the same weights, also after a kill and a resume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from models.errors import RecipeError


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to train and how hard.

    task: a name of `models.train.tasks.TASKS`. model: a name that the task knows.
    options: arguments of the model. data: arguments of the task, such as augmentations.
    monitor: the metric on validation, larger is better, that chooses the epoch ("" keeps the last)
    and that stops training after `patience` epochs without a better one.
    start: a folder with weights of the same part to begin from; freeze: prefixes of parameter
    names that stay as they are.
    """

    task: str
    model: str
    epochs: int
    batch: int
    learning_rate: float
    options: dict[str, Any] = {}
    data: dict[str, Any] = {}
    seed: int = 0
    weight_decay: float = 1e-2
    warmup: float = 0.3
    clip_norm: float = 2.0
    average: float = 0.998
    monitor: str = ""
    patience: int | None = None
    start: str | None = None
    freeze: tuple[str, ...] = ()


def read_recipe(path: Path) -> Recipe:
    """Parse and check a recipe; every fault becomes one line that names the file and the key."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise RecipeError(f"{path}: expected a recipe, got {error.strerror}") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{path}: expected YAML, got {reason}") from error
    try:
        return msgspec.convert(content, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{path}: {error}; see configs/recipes for examples") from error
