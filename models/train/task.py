"""What a training needs from the thing it trains: data in batches, a loss, and a measure.

The engine owns the optimiser, the schedule, averaging, checkpoints and the curve; a task owns
everything that knows what the data mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn

Batch = tuple[Tensor, ...]  # each with the samples as its first dimension, so workers can share it


class Task(Protocol):
    """Built by `models.train.tasks.build(recipe, data, cache)`.

    part: the name under which the weights are stored.
    steps: batches in an epoch.

    A task may also have `groups(model) -> list[dict]`: groups of parameters, each with its "lr",
    for AdamW; without it all are trained at the recipe's rate.
    """

    part: str
    steps: int

    def model(self) -> nn.Module:
        """A fresh model; the engine seeds torch before it asks."""
        ...

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The `steps` batches of one epoch: a pure function of recipe seed and epoch.

        Pure, because a resumed run asks for epoch 7 without having asked for the first six.
        """
        ...

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scalar loss, a mean over the samples of one batch that lies on the model's device."""
        ...

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Metrics on the validation part, for the curve and for early stopping.

        The model is the averaged one, in evaluation mode, on the CPU. It is asked for before the
        first epoch too, so a fault shows at once and fine-tuning can keep what it began with.
        """
        ...

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """Calibrate `model` in place on validation; return its figures on the task's test part."""
        ...
