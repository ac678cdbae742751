"""Predictors by name: the shipped models, the classical baselines, or a folder of weights.

Each task's module (models/predictors/) has `MODELS`, name -> loader with the default first, and
`load(name_or_folder)`. What comes back has `predict`; see docs/evaluation.md for its shapes.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from models.errors import ChoiceError
from models.predictors.external import is_external, open_external

MODULES = {
    name: f"models.predictors.{name}" for name in ("text", "speech", "faces", "events", "mosi")
}


def module_of(task: str) -> ModuleType:
    """The module of a task's predictors."""
    try:
        return import_module(MODULES[task])
    except ModuleNotFoundError as error:
        if error.name not in (MODULES[task], "models.predictors"):
            raise
        raise ChoiceError(f"no predictors for {task} in this version") from error


def names(task: str) -> list[str]:
    """What `--model` can name, the default first."""
    return list(module_of(task).MODELS)


def open_predictor(task: str, name: str | None) -> tuple[str, Any]:
    """The name of a predictor and the predictor; None stands for the default."""
    if name is not None and is_external(name):
        return name, open_external(task, name)
    module, known = module_of(task), names(task)
    chosen = known[0] if name is None else name
    if chosen not in known and not Path(chosen).is_dir():
        raise ChoiceError(
            f"no model {chosen!r} for {task}; there are {', '.join(known)}, "
            "or give the folder of weights of a training, hf:PATH or onnx:DESCRIPTION"
        )
    return chosen, module.load(chosen)
