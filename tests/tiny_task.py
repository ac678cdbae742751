"""A task that trains in milliseconds: a small net with batch norm and dropout on made-up points.

`$TINY_KILL_AT` as "epoch:step" ends the process by SIGKILL there, as a crash would.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.train.recipe import Recipe
from models.train.task import Batch
from models.train.tasks import TASKS

STEPS = 5


class TinyNet(nn.Module):
    """(B, 4) -> (B, 3)."""

    def __init__(self, width: int = 16, dropout: float = 0.2, norm: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(4, width),
            nn.BatchNorm1d(width) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def points(seed: int, size: int) -> tuple[Tensor, Tensor]:
    """Three clouds of points and which cloud each belongs to."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (size,), generator=generator)
    centres = torch.tensor([[2.0, 0, 0, 1], [0, 2, 0, -1], [0, 0, 2, 0]])
    return centres[labels] + torch.randn(size, 4, generator=generator), labels


class TinyTask:
    """The Task protocol, whole and small."""

    part = "tiny"
    steps = STEPS

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._kill_at = os.environ.get("TINY_KILL_AT", "")

    def model(self) -> nn.Module:
        return TinyNet(**self._recipe.options)

    def batches(self, epoch: int) -> Iterator[Batch]:
        for step in range(STEPS):
            if f"{epoch}:{step}" == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield points(self._recipe.seed * 10_000 + epoch * 100 + step, self._recipe.batch)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        x, labels = batch
        return F.cross_entropy(model(x), labels) * self._recipe.data.get("scale", 1.0)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        x, labels = points(1_000_001, 300)
        return {"accuracy": (model(x).argmax(1) == labels).float().mean().item()}

    def finish(self, model: nn.Module) -> dict[str, Any]:
        x, labels = points(1_000_002, 300)
        with torch.inference_mode():
            hits = (model(x).argmax(1) == labels).float().mean().item()
        return {"made_up_test": {"n": 300, "accuracy": hits}}


def build(recipe: Recipe, data: Path, cache: Path) -> TinyTask:
    """As `models.train.tasks.build` calls it."""
    return TinyTask(recipe)


TASKS["tiny"] = __name__
