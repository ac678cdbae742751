"""The state of a run on disk: whole or not there, and only ever of the run that asks for it."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from models.errors import TrainingError
from models.train.recipe import Recipe, to_yaml

STATE = "state.pt"
_TABLES = {".csv", ".tsv", ".json", ".jsonl", ".txt", ".yaml"}


def save(run: Path, state: dict[str, Any]) -> None:
    """Write the state; a kill at any moment leaves the old or the new one, never half of it."""
    partial = run / f"{STATE}.partial"
    torch.save(state, partial)
    partial.replace(run / STATE)


def load(run: Path, marks: dict[str, str]) -> dict[str, Any] | None:
    """The state to go on from, if there is one; that of another recipe or data is refused."""
    path = run / STATE
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        theirs = state["marks"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise TrainingError(
            f"{path}: expected the state of a training, got {reason}; begin anew with --fresh"
        ) from error
    for what, mark in marks.items():
        if theirs.get(what) != mark:
            raise TrainingError(
                f"{run}: cannot resume, for the {what} differs from what this run began with; "
                "begin anew with --fresh, or name another folder with --run"
            )
    return state


def marks_of(recipe: Recipe, data: Path, leave_out: tuple[Path, ...]) -> dict[str, str]:
    """What must be the same for a run to go on."""
    return {
        "recipe": hashlib.sha256(to_yaml(recipe).encode()).hexdigest(),
        "data": _mark_of_data(data, leave_out),
    }


def _mark_of_data(data: Path, leave_out: tuple[Path, ...]) -> str:
    """Over the names and sizes of all files, and the content of tables, where labels are."""
    digest = hashlib.sha256()
    outside = tuple(path.resolve() for path in leave_out)
    for path in sorted(_files(data.resolve(), outside)):
        digest.update(f"{path.relative_to(data.resolve())}\0{path.stat().st_size}\0".encode())
        if path.suffix in _TABLES:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _files(folder: Path, outside: tuple[Path, ...]) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name.startswith(".") or path in outside:
            continue
        if path.is_dir():
            yield from _files(path, outside)
        else:
            yield path
