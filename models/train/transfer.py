"""Begin from weights that exist, keep some layers as they are, and hand the result on."""

from __future__ import annotations

import shutil
from pathlib import Path

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models import weights
from models.errors import RecipeError
from models.train.recipe import Recipe, to_tree

SHIPPED = "shipped"


def prepare(model: nn.Module, part: str, recipe: Recipe) -> None:
    """Fill `model` as the recipe's `start` says and freeze what it says, in place."""
    names = list(model.state_dict())
    _expect_prefixes("freeze", recipe.freeze, names)
    _expect_prefixes("renew", recipe.renew, names)
    if recipe.start is not None:
        _begin(model, part, start_folder(recipe.start), recipe.renew)
    for name, parameter in model.named_parameters():
        if name.startswith(recipe.freeze):
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise RecipeError("freeze: expected something left to train, got every parameter frozen")


def start_folder(start: str) -> Path:
    """The folder that a recipe's `start` means."""
    return weights.SHIPPED if start == SHIPPED else Path(start)


def rest_frozen(model: nn.Module, freeze: tuple[str, ...]) -> None:
    """Put frozen batch norms into evaluation mode, so that their statistics stay too."""
    for name, module in model.named_modules():
        if freeze and isinstance(module, _BatchNorm) and f"{name}.".startswith(freeze):
            module.eval()


def _expect_prefixes(key: str, prefixes: tuple[str, ...], names: list[str]) -> None:
    for prefix in prefixes:
        if not prefix or not any(name.startswith(prefix) for name in names):
            tops = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
            raise RecipeError(
                f"{key}: expected prefixes of parameter names, got {prefix!r}; the model has {tops}"
            )


def _begin(model: nn.Module, part: str, folder: Path, renew: tuple[str, ...]) -> None:
    mine = model.state_dict()
    theirs = weights.read_part(folder, part)
    kept = {name: t for name, t in theirs.items() if not (renew and name.startswith(renew))}
    wrong = [
        fault
        for name in dict.fromkeys([*mine, *kept])
        if not (renew and name.startswith(renew)) and (fault := _differs(name, mine, kept))
    ]
    if wrong:
        raise RecipeError(
            f"start: the {part!r} of {folder} has another layout: {'; '.join(wrong[:5])}"
            f"{f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''}; use the same `options`, or"
            " name layers that shall begin afresh under `renew`"
        )
    model.load_state_dict({**mine, **kept})


def _differs(name: str, mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> str:
    """What is wrong with one layer, or nothing."""
    if name not in theirs:
        return f"{name} is missing"
    if name not in mine:
        return f"{name} is not in the model"
    if mine[name].shape != theirs[name].shape:
        return f"{name} expected {tuple(mine[name].shape)}, got {tuple(theirs[name].shape)}"
    return ""


def publish(run: Path, out: Path, recipe: Recipe) -> None:
    """Copy what `run` holds into the weights folder `out`; a new one begins as the shipped set.

    The other parts are needed beside it: an analyser is loaded from a whole folder.
    """
    if not (out / weights.MANIFEST).exists():
        shutil.copytree(weights.SHIPPED, out, dirs_exist_ok=True)
    trained = weights.read_manifest(run)["parts"]
    for entry in trained.values():
        shutil.copyfile(run / entry["file"], out / entry["file"])
    manifest = weights.read_manifest(out)
    recipes = {**manifest.get("recipes", {}), **dict.fromkeys(trained, to_tree(recipe))}
    weights.annotate(out, parts={**manifest["parts"], **trained}, recipes=recipes)
