"""The training loop's promises, on a net of a few hundred weights."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from models import weights
from models.errors import RecipeError, TrainingError
from models.threads import limit_threads
from models.train.engine import train
from models.train.recipe import Recipe, parse, read_recipe, to_yaml
from tests.tiny_task import TinyTask

TINY = Recipe(task="tiny", model="net", epochs=3, batch=32, learning_rate=1e-2, average=0.9)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    limit_threads(1)


def changed(**keys: Any) -> Recipe:
    return msgspec.structs.replace(TINY, **keys)


def run(recipe: Recipe, folder: Path, **options: Any) -> dict[str, Tensor]:
    """Train; the weights as they are on disk."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    train(recipe, folder / "data", folder / "run", folder / "cache", **options)
    return weights.read_part(folder / "run", "tiny")


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "run" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A run without a break."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(TINY, folder)


def test_a_run_leaves_recipe_curve_picture_and_weights(whole: Any) -> None:
    folder, _ = whole
    assert read_recipe(folder / "run" / "recipe.yaml") == TINY
    assert [row["epoch"] for row in rows(folder)] == ["0", "1", "2", "3"]
    assert float(rows(folder)[-1]["accuracy"]) > float(rows(folder)[0]["accuracy"])
    assert (folder / "run" / "metrics.png").read_bytes().startswith(b"\x89PNG")
    figures = weights.read_manifest(folder / "run")["parts"]["tiny"]["figures"]
    assert figures["made_up_test"]["accuracy"] > 0.6


def test_seed_decides(whole: Any, tmp_path: Path) -> None:
    assert same(run(TINY, tmp_path / "again"), whole[1])
    assert not same(run(changed(seed=1), tmp_path / "other"), whole[1])


# epochs |--0--|--1--|--2--|     the break comes after one epoch, within the second, or after the
#              ^   ^       ^     last batch of all
@pytest.mark.parametrize("breaks_at", [(1, 0), (1, 3), (2, 4)])
def test_a_broken_run_resumes_to_the_same_bits(
    whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks_at: tuple[int, int]
) -> None:
    def breaking(self: TinyTask, epoch: int) -> Any:
        for step, batch in enumerate(intact(self, epoch)):
            if (epoch, step) == breaks_at:
                raise KeyboardInterrupt
            yield batch

    intact = TinyTask.batches
    with monkeypatch.context() as patch:
        patch.setattr(TinyTask, "batches", breaking)
        with pytest.raises(KeyboardInterrupt):
            run(TINY, tmp_path)
    assert not (tmp_path / "run" / weights.MANIFEST).exists()
    torch.manual_seed(99)  # a new process would not have this one's random state
    assert same(run(TINY, tmp_path, resume=True), whole[1])
    assert rows(tmp_path) == rows(whole[0])


def test_a_finished_run_resumes_to_what_it_made(whole: Any) -> None:
    folder, made = whole
    assert same(run(TINY, folder, resume=True), made)


@pytest.mark.parametrize(
    ("what", "recipe", "label"), [("recipe", changed(epochs=4), "a"), ("data", TINY, "b")]
)
def test_another_recipe_or_data_is_not_resumed(
    tmp_path: Path, what: str, recipe: Recipe, label: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "labels.csv").write_text("a")
    made = run(TINY, tmp_path)
    (tmp_path / "data" / "labels.csv").write_text(label)
    with pytest.raises(TrainingError, match=f"the {what} differs.*--fresh"):
        run(recipe, tmp_path, resume=True)
    assert same(run(TINY, tmp_path), made)  # --fresh pays the old state no attention


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    run(TINY, tmp_path)
    state = tmp_path / "run" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=r"state\.pt.*--fresh"):
        run(TINY, tmp_path, resume=True)


# accuracy on validation, by epoch:  0.1  0.5  0.9  0.4  0.3  0.2
#                                              ^ kept     ^ patience of 2 is at its end
def test_the_best_epoch_is_kept_and_patience_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.1, 0.5, 0.9, 0.4, 0.3, 0.2])
    seen: list[dict[str, Tensor]] = []

    def evaluate(self: TinyTask, model: torch.nn.Module) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"accuracy": next(scores)}

    monkeypatch.setattr(TinyTask, "evaluate", evaluate)
    made = run(changed(epochs=9, monitor="accuracy", patience=2), tmp_path)
    assert len(rows(tmp_path)) == 5
    assert same(made, weights.unpack(weights.pack(seen[2])))


def test_without_monitor_the_last_epoch_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Any
) -> None:
    scores = iter([0.9, 0.5, 0.2, 0.1])
    monkeypatch.setattr(TinyTask, "evaluate", lambda self, model: {"accuracy": next(scores)})
    assert same(run(TINY, tmp_path), whole[1])


def test_an_unknown_monitor_is_refused_before_the_first_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TinyTask, "batches", lambda self, epoch: pytest.fail("trained"))
    with pytest.raises(RecipeError, match="monitor: expected one of accuracy, got 'acuracy'"):
        run(changed(monitor="acuracy"), tmp_path)


def test_frozen_layers_stay_with_their_statistics(whole: Any, tmp_path: Path) -> None:
    recipe = changed(start=str(whole[0] / "run"), freeze=("body",), seed=5)
    made = run(recipe, tmp_path)
    before = whole[1]
    assert all(torch.equal(made[n], before[n]) for n in before if n.startswith("body"))
    assert not torch.equal(made["head.weight"], before["head.weight"])


def test_another_layout_is_refused_by_layer_unless_renewed(whole: Any, tmp_path: Path) -> None:
    start = str(whole[0] / "run")
    wide = changed(start=start, options={"width": 8})
    with pytest.raises(RecipeError, match=r"body\.0\.weight expected \(8, 4\), got \(16, 4\)"):
        run(wide, tmp_path)
    run(msgspec.structs.replace(wide, renew=("body", "head.weight")), tmp_path)


@pytest.mark.parametrize("key", ["freeze", "renew"])
def test_an_unknown_prefix_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(RecipeError, match=f"{key}: .*got 'hed'; the model has body, head"):
        run(changed(**{key: ("hed",)}), tmp_path)


def test_nothing_left_to_train_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="every parameter frozen"):
        run(changed(freeze=("body", "head")), tmp_path)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="loss is nan at step 1"):
        run(changed(data={"scale": float("nan")}), tmp_path)


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="device: expected auto, cpu or cuda, got 'abacus'"):
        run(TINY, tmp_path, device="abacus")


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("lerning_rate", 1, "unknown key 'lerning_rate'; did you mean 'learning_rate'"),
        ("epochs", 0, "`int` >= 1 - at `epochs`"),
        ("learning_rate", "fast", "Expected `float`, got `str` - at `learning_rate`"),
        ("patience", 2, "patience needs a `monitor`"),
    ],
)
def test_a_bad_recipe_is_refused_by_key(key: str, value: object, complaint: str) -> None:
    tree = msgspec.to_builtins(TINY) | {key: value}
    with pytest.raises(RecipeError, match=complaint):
        parse(tree, "r.yaml")


def test_a_number_without_a_point_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(to_yaml(TINY).replace("0.01", "1e-2"))
    assert read_recipe(tmp_path / "r.yaml") == TINY
