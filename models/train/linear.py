"""Train a linear baseline through the same engine as everything else.

`loss: hinge` is the multi-class support vector machine of Crammer & Singer (2001), with the
engine's weight decay for its margin; `loss: cross-entropy` is softmax regression on soft targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.calibration import fit_temperature
from models.predictors.linear import Linear
from models.train.recipe import Recipe
from models.train.task import Batch

Measure = Callable[[Tensor], dict[str, Any]]


class LinearTask:
    """train: features (B, F) and targets (B, C). held: name -> features, labels (B,), and the
    figures of their logits; the temperature is fitted on the first of them.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: tuple[np.ndarray, np.ndarray],
        held: Mapping[str, tuple[np.ndarray, np.ndarray, Measure]],
    ) -> None:
        self.part, self.recipe, self.held = recipe.model, recipe, held
        self.x, self.y = (torch.from_numpy(a.astype(np.float32)) for a in train)
        self.steps = max(1, len(self.x) // recipe.batch)
        self.hinge = recipe.data.get("loss", "cross-entropy") == "hinge"

    def model(self) -> nn.Module:
        """A matrix that knows the mean and the deviation of the features."""
        model = Linear(self.x.shape[1], self.y.shape[1])
        model.mean.copy_(self.x.mean(0))
        model.scale.copy_(self.x.std(0) + 1e-3)
        return model

    def batches(self, epoch: int) -> Iterator[Batch]:
        """(features (B, F), targets (B, C))."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 1000 + epoch)
        order = torch.randperm(len(self.x), generator=generator)
        for i in range(self.steps):
            rows = order[i * self.recipe.batch : (i + 1) * self.recipe.batch]
            yield self.x[rows], self.y[rows]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Hinge loss, or cross-entropy."""
        x, y = batch
        if self.hinge:
            return F.multi_margin_loss(model(x), y.argmax(1))
        return F.cross_entropy(model(x), y)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Accuracy on the first set held out."""
        for x, _, measure in self.held.values():
            return {"accuracy": measure(self._logits(model, x))["accuracy"]}
        return {}

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """Fit the temperature; the figures of every set held out."""
        assert isinstance(model, Linear)
        for x, labels, _ in list(self.held.values())[:1]:
            logits = self._logits(model, x)
            model.temperature.fill_(fit_temperature(logits, torch.from_numpy(labels)))
        return {name: measure(self._logits(model, x)) for name, (x, _, measure) in
                self.held.items()}  # fmt: skip

    @torch.inference_mode()
    def _logits(self, model: nn.Module, x: np.ndarray) -> Tensor:
        logits: Tensor = model(torch.from_numpy(x))
        return logits
