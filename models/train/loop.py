"""One training loop for every encoder: AdamW, one cycle of the learning rate, averaged weights.

The averaged weights (exponential moving average, decay 0.998) are what is returned.
"""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from models.train.engine import follow

Batch = tuple[Tensor, ...]
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how hard to train, and where the curve goes."""

    name: str
    epochs: int
    steps_per_epoch: int
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    ema_decay: float = 0.998
    runs: Path = Path("runs")


def _write_row(path: Path, row: dict[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists() or row["epoch"] == 0
    with path.open("w" if fresh else "a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def progress_bar() -> Progress:
    """The bar that every training command shows."""
    columns = (BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    text = TextColumn("[bold]{task.description}[/] {task.fields[note]}")
    return Progress(text, *columns, console=Console(stderr=True))


def fit(
    model: M,
    batches: Callable[[], Iterable[Batch]],
    loss_of: Callable[[M, Batch], Tensor],
    evaluate: Callable[[M], dict[str, float]],
    plan: Plan,
) -> M:
    """Train `model` for `plan.epochs` passes over `batches()`; return its averaged copy."""
    average = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, plan.learning_rate, total_steps=plan.epochs * plan.steps_per_epoch + 1
    )
    step = 0
    with progress_bar() as bar:
        task = bar.add_task(plan.name, total=plan.epochs * plan.steps_per_epoch, note="")
        for epoch in range(plan.epochs):
            model.train()
            total = 0.0
            for batch in batches():
                loss = loss_of(model, batch)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 2.0)
                optimiser.step()
                schedule.step()
                step += 1
                follow(average, model, plan.ema_decay, step)
                total += loss.item()
                bar.advance(task)
            row = {"epoch": epoch, "loss": total / plan.steps_per_epoch, **evaluate(average)}
            _write_row(plan.runs / f"{plan.name}.csv", row)
            note = " ".join(f"{k}={v:.3f}" for k, v in row.items() if k != "epoch")
            bar.update(task, note=f"epoch {epoch + 1}/{plan.epochs} {note}")
            bar.console.print(f"{plan.name} epoch {epoch + 1}: {note}", highlight=False)
    return average
