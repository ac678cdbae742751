"""A recipe: everything that decides what a training makes, read from one YAML file.

Invariant: the same recipe, data and machine give the same weights, also after a kill and a resume.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta

from models.errors import RecipeError

_UNKNOWN = re.compile(r"contains unknown field `([^`]*)`")


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to train and how hard.

    task: a name of `models.train.tasks.TASKS`. model: a name that the task knows.
    options: arguments of the model. data: arguments of the task, such as augmentations.
    warmup: share of all steps in which the learning rate rises. average: decay of the averaged
    weights.
    monitor: the metric on validation, larger is better, that chooses the epoch ("" keeps the last)
    and that stops training after `patience` epochs without a better one.
    start: a folder with weights of the same part to begin from, or "shipped"; freeze: prefixes of
    parameter names that stay as they are; renew: prefixes that begin afresh in spite of `start`.
    """

    task: str
    model: str
    epochs: Annotated[int, Meta(ge=1)]
    batch: Annotated[int, Meta(ge=1)]
    learning_rate: Annotated[float, Meta(gt=0)]
    options: dict[str, Any] = {}
    data: dict[str, Any] = {}
    seed: Annotated[int, Meta(ge=0)] = 0
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-2
    warmup: Annotated[float, Meta(gt=0, lt=1)] = 0.3
    clip_norm: Annotated[float, Meta(gt=0)] = 2.0
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.998
    monitor: str = ""
    patience: Annotated[int, Meta(ge=1)] | None = None
    start: str | None = None
    freeze: tuple[str, ...] = ()
    renew: tuple[str, ...] = ()


def read_tree(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file, unchecked."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: expected a recipe, got {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{path}: expected YAML, got {reason}") from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise RecipeError(f"{path}: expected a recipe's keys and values, got a {kind}")
    return content


def parse(tree: Mapping[str, Any], origin: str) -> Recipe:
    """Check a recipe; every fault becomes one line that names its origin and the key."""
    try:  # not strict: YAML 1.1 reads 1e-3, which has no point, as a string
        recipe = msgspec.convert(tree, Recipe, strict=False)
    except msgspec.ValidationError as error:
        unknown = _UNKNOWN.search(str(error))
        if unknown:
            expect_known([unknown[1]], Recipe.__struct_fields__, origin)
        reason = str(error).replace("`$.", "`")
        raise RecipeError(f"{origin}: {reason}; see configs/recipes for examples") from error
    if recipe.patience is not None and not recipe.monitor:
        raise RecipeError(f"{origin}: patience needs a `monitor`, the metric that it waits for")
    return recipe


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe."""
    return parse(read_tree(path), str(path))


def expect_known(keys: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse the first of `keys` that is not among `known`, and name the nearest one that is."""
    known = list(known)
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise RecipeError(f"{where}: unknown key {key!r}; {hint}")


def to_tree(recipe: Recipe) -> dict[str, Any]:
    """The recipe as keys and values that `parse` understands; defaults are left out."""
    tree = msgspec.to_builtins(recipe)
    required = {f.name: tree[f.name] for f in msgspec.structs.fields(Recipe) if f.required}
    default = msgspec.to_builtins(msgspec.convert(required, Recipe))
    return {k: v for k, v in tree.items() if k in required or v != default[k]}


def to_yaml(recipe: Recipe) -> str:
    """The recipe as text that `read_recipe` understands."""
    return yaml.safe_dump(to_tree(recipe), sort_keys=False, allow_unicode=True)
