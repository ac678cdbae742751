"""Several processes, one training: each takes its share of every batch.

Gradients are averaged over the workers (Li et al. 2020, "PyTorch Distributed: Experiences on
accelerating data parallel training"), weighted by the size of the shares, so for a loss that is a
mean over samples the step is that of one worker, up to rounding; batch norms see their share only,
and the first worker's statistics count. Whoever starts the processes joins them first
(`torch.distributed.init_process_group`); alone, everything here does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from models.errors import RecipeError
from models.train.task import Batch, Task


@dataclass(frozen=True)
class Group:
    """This process's place among the workers; rank 0 measures and writes."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> Group:
        """As the process group says; alone if there is none."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def leads(self) -> bool:
        """Whether this worker measures and writes."""
        return self.rank == 0

    def share(self, batch: Batch) -> tuple[Batch, float]:
        """Every `size`-th sample, and the weight that makes the mean over workers the batch's."""
        if self.size == 1:
            return batch, 1.0
        counts = {len(tensor) if tensor.ndim else 0 for tensor in batch}
        if len(counts) > 1:
            raise RecipeError(
                f"workers: expected tensors of one batch size, got {sorted(counts)}; this task "
                "trains on one worker only"
            )
        (count,) = counts
        mine = tuple(tensor[self.rank :: self.size] for tensor in batch)
        if not len(mine[0]):  # fewer samples than workers: take part, but count for nothing
            return tuple(tensor[:1] for tensor in batch), 0.0
        return mine, len(mine[0]) * self.size / count

    def agree(self, value: bool) -> bool:
        """What the first worker says."""
        if self.size == 1:
            return value
        word = torch.tensor([float(value)])
        dist.broadcast(word, 0)
        return bool(word.item())

    def mean(self, value: float) -> float:
        """The mean over the workers."""
        if self.size == 1:
            return value
        word = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(word)
        return float(word.item()) / self.size

    def leave(self) -> None:
        """Be alone from now on, for what the first worker does at the end may train again."""
        if self.size > 1:
            dist.barrier()
            dist.destroy_process_group()

    def loss_of(self, task: Task, model: nn.Module) -> nn.Module:
        """A module whose output is the loss; with several workers its gradients are shared."""
        losses = _Loss(task, model)
        if self.size == 1:
            return losses
        return DistributedDataParallel(losses, find_unused_parameters=True)


class _Loss(nn.Module):
    """`task.loss` as a forward pass, for that is where gradients are hooked."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self._task = task
        self.model = model

    def forward(self, *batch: Tensor) -> Tensor:
        return self._task.loss(self.model, batch)
