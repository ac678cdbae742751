"""The same recipe on two workers through Ray Train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from actors.training import train_on_workers
from models import weights
from models.errors import RecipeError
from models.train.engine import train
from models.train.recipe import Recipe

# Without dropout and batch norm, whose numbers depend on who shares a process.
OPTIONS = {"dropout": 0.0, "norm": False}


def tiny(monitor: str = "") -> Recipe:
    return Recipe(
        task="tests.tiny_task", model="net", epochs=3, batch=33, learning_rate=1e-2,
        options=OPTIONS, average=0.9, monitor=monitor,
    )  # fmt: skip


@pytest.mark.slow
def test_two_workers_agree_with_one(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    places = tmp_path / "data", tmp_path / "one", tmp_path / "cache"
    alone = train(tiny(), *places)
    together = train_on_workers(tiny(), places[0], tmp_path / "two", places[2], workers=2)
    one, two = (weights.read_part(tmp_path / run, "tiny") for run in ("one", "two"))
    # 33 samples are 17 and 16: the shares are weighted. Matrices are stored in half precision.
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=2e-3, rtol=0)
        if value.ndim == 1:
            torch.testing.assert_close(two[name], value, atol=1e-5, rtol=0)
    assert together["made_up_test"]["n"] == 300
    assert together["made_up_test"]["accuracy"] == pytest.approx(
        alone["made_up_test"]["accuracy"], abs=0.01
    )


@pytest.mark.slow
def test_a_workers_complaint_arrives_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(RecipeError, match="monitor: expected one of accuracy"):
        train_on_workers(
            tiny("acuracy"), tmp_path / "data", tmp_path / "run", tmp_path / "cache", workers=2
        )
