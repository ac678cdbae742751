"""One training for every task: AdamW, one cycle of the learning rate, averaged weights.

The averaged weights (exponential moving average) are what is measured and kept: those of the best
epoch by the recipe's `monitor`, or of the last. A run's folder holds the recipe, a CSV and a plot
of the metrics per epoch, the state to resume from, and the weights with their manifest.

Invariant: a run that is killed and resumed ends with the same weights, bit for bit, as one that is
not, on the same machine with the same number of threads.
"""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress, TaskID
from torch import Tensor, nn

from models import weights
from models.errors import RecipeError, TrainingError
from models.train import checkpoint, curve, transfer
from models.train.progress import progress_bar
from models.train.recipe import Recipe, to_yaml
from models.train.task import Batch, Task
from models.train.tasks import build
from models.train.workers import Group

State = dict[str, Any]
FIGURES = "figures.json"


def train(
    recipe: Recipe,
    data: Path,
    run: Path,
    cache: Path,
    *,
    resume: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Train what `recipe` names; write everything to the folder `run`; return the figures.

    `resume` goes on from the state in `run`, if there is one. `device`: as torch names it, or
    "auto" for a GPU where there is one.
    """
    group = Group.current()
    marks = checkpoint.marks_of(recipe, data, (run, cache))
    state = checkpoint.load(run, marks) if resume else None
    run.mkdir(parents=True, exist_ok=True)
    task = build(recipe, data, cache)
    torch.manual_seed(recipe.seed)
    model = task.model()
    transfer.prepare(model, task.part, recipe)
    training = Training(task, model, recipe, device_of(device), group)
    if state is not None:
        training.restore(state)
    elif group.leads:
        (run / checkpoint.STATE).unlink(missing_ok=True)
    if group.leads:
        (run / "recipe.yaml").write_text(to_yaml(recipe))
    training.run(run, marks)
    group.leave()
    if not group.leads:
        return {}
    best = training.best_model()
    figures = task.finish(best)
    weights.save(best, run, task.part, figures)
    (run / FIGURES).write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def device_of(name: str) -> torch.device:
    """The device of that name; "auto" is the GPU, if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"device: expected auto, cpu or cuda, got {name!r}: {reason}") from error
    return device


class Training:
    """All that changes while training, in one place, so that all of it is saved and restored."""

    def __init__(
        self, task: Task, model: nn.Module, recipe: Recipe, device: torch.device, group: Group
    ) -> None:
        self.task, self.recipe, self.device, self.group = task, recipe, device, group
        self.model = model.to(device)
        self.average = copy.deepcopy(self.model).eval()
        self.losses = group.loss_of(task, self.model)
        groups = parameter_groups(task, self.model, recipe)
        self.optimiser = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, [group["lr"] for group in groups],
            total_steps=recipe.epochs * task.steps + 1, pct_start=recipe.warmup,
        )  # fmt: skip
        self.step = 0
        self.epoch = 0  # epochs done
        self.rows: list[curve.Row] = []
        self.best: dict[str, Tensor] = {}
        self.best_score, self.best_epoch = -math.inf, 0

    def run(self, folder: Path, marks: dict[str, str]) -> None:
        """Train to the last epoch or until `patience` is at its end; leave a trace in `folder`."""
        total = self.recipe.epochs * self.task.steps
        with progress_bar(self.group.leads) as bar:
            shown = bar.add_task(self.recipe.task, total=total, completed=self.step, note="")
            if not self.rows:
                self._measure({}, bar)
            try:
                while self._goes_on():
                    loss = self._train_epoch(bar, shown)
                    self.epoch += 1
                    self._measure({"loss": loss}, bar)
                    if self.group.leads:
                        checkpoint.save(folder, {"marks": marks, **self.state()})
                        curve.write_csv(folder / "metrics.csv", self.rows)
            finally:  # also of a run that is cut short, as far as it went
                if self.group.leads:
                    kept = self.best_epoch if self.recipe.monitor else None
                    curve.draw(folder / "metrics.png", self.rows, kept)

    def best_model(self) -> nn.Module:
        """The averaged model of the epoch that is kept, on the CPU, for inference."""
        model = copy.deepcopy(self.average).cpu()
        if self.recipe.monitor:
            model.load_state_dict(self.best)
        return model.eval()

    def state(self) -> State:
        """Everything that `restore` needs, as tensors, numbers and strings."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
            "step": self.step,
            "epoch": self.epoch,
            "rows": self.rows,
            "best": self.best,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
        }

    def restore(self, state: State) -> None:
        """Be as the training was when it gave `state`."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.step, self.epoch, self.rows = state["step"], state["epoch"], state["rows"]
        self.best = state["best"]
        self.best_score, self.best_epoch = state["best_score"], state["best_epoch"]
        if self.group.leads:
            torch.set_rng_state(state["random"])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state_all(state["random_cuda"])

    def _train_epoch(self, bar: Progress, shown: TaskID) -> float:
        """One pass; the mean loss. Raises if the loss is no longer a number."""
        if self.group.rank:  # dropout of its own; the first worker's is that of a worker alone
            torch.manual_seed(self.recipe.seed + 1009 * (self.epoch + 1) + self.group.rank)
        self.model.train()
        transfer.rest_frozen(self.model, self.recipe.freeze)
        total, count = 0.0, 0
        for batch in self.task.batches(self.epoch):
            total += self._learn(batch)
            count += 1
            bar.advance(shown)
        if count != self.task.steps:
            raise TrainingError(
                f"{self.recipe.task}: expected {self.task.steps} batches in an epoch, got {count}"
            )
        return self.group.mean(total / count)

    def _learn(self, batch: Batch) -> float:
        """One step of everything; the loss before it."""
        mine, weight = self.group.share(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = self.losses(*(tensor.to(self.device) for tensor in mine)) * weight
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"{self.recipe.task}: the loss is {value} at step {self.step + 1}; lower "
                "learning_rate, or look for broken samples"
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        follow(self.average, self.model, self.recipe.average, self.step)
        return value

    def _measure(self, row: curve.Row, bar: Progress) -> None:
        """Evaluate the averaged weights, on the CPU as in use, and keep them if they are best."""
        if not self.group.leads:
            return
        model = self.average if self.device.type == "cpu" else copy.deepcopy(self.average).cpu()
        with torch.inference_mode():
            row = {"epoch": self.epoch, **row, **self.task.evaluate(model)}
        self.rows.append({name: float(value) for name, value in row.items()})
        self._keep_best(self.rows[-1], model)
        note = " ".join(f"{k}={v:.3f}" for k, v in row.items() if k != "epoch")
        bar.console.print(f"{self.recipe.task} epoch {self.epoch}: {note}", highlight=False)

    def _keep_best(self, row: curve.Row, model: nn.Module) -> None:
        monitor = self.recipe.monitor
        if not monitor:
            return
        if monitor not in row:
            known = ", ".join(name for name in row if name not in ("epoch", "loss"))
            raise RecipeError(f"monitor: expected one of {known}, got {monitor!r}")
        if row[monitor] > self.best_score:
            self.best_score, self.best_epoch = row[monitor], self.epoch
            self.best = {name: value.clone() for name, value in model.state_dict().items()}

    def _goes_on(self) -> bool:
        """Whether another epoch follows; the first worker decides, for it alone measures."""
        patience = self.recipe.patience
        tired = patience is not None and self.epoch - self.best_epoch >= patience
        return self.epoch < self.recipe.epochs and not self.group.agree(tired)


def parameter_groups(task: Task, model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """What is trained, with its learning rate: by the task's `groups`, if it has that method."""
    of_task = getattr(task, "groups", None)
    if of_task is not None:
        groups: list[dict[str, Any]] = of_task(model)
        return groups
    trained = [p for p in model.parameters() if p.requires_grad]
    return [{"params": trained, "lr": recipe.learning_rate}]


def follow(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move `average` towards `model`; early steps weigh more (decay rises to its value)."""
    decay = min(decay, (1 + step) / (10 + step))
    mine, theirs = average.state_dict(), model.state_dict()
    for key, value in mine.items():
        if value.dtype.is_floating_point:
            value.lerp_(theirs[key], 1 - decay)
        else:
            value.copy_(theirs[key])
