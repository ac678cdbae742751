"""One training for every task: AdamW, one cycle of the learning rate, averaged weights.

The averaged weights (exponential moving average) are what is measured and kept. A run's folder
holds the recipe, a CSV and a plot of the metrics per epoch, the state to resume from, and the
weights with their manifest.
"""

from __future__ import annotations

import copy
import csv
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models import weights
from models.train.loop import progress_bar
from models.train.recipe import Recipe
from models.train.task import Task
from models.train.tasks import build


def train(recipe: Recipe, data: Path, run: Path, cache: Path) -> dict[str, Any]:
    """Train what `recipe` names; write everything to the folder `run`; return the figures."""
    task = build(recipe, data, cache)
    torch.manual_seed(recipe.seed)
    model = task.model()
    best = fit(task, model, recipe, run)
    figures = task.finish(best)
    weights.save(best, run, task.part, figures)
    return figures


def fit(task: Task, model: nn.Module, recipe: Recipe, run: Path) -> nn.Module:
    """Train `model` and return its averaged copy."""
    average = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=recipe.learning_rate, weight_decay=recipe.weight_decay,
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.epochs * task.steps + 1,
        pct_start=recipe.warmup,
    )  # fmt: skip
    run.mkdir(parents=True, exist_ok=True)
    step, rows = 0, []
    with progress_bar() as bar:
        bar_task = bar.add_task(recipe.task, total=recipe.epochs * task.steps, note="")
        for epoch in range(recipe.epochs):
            model.train()
            total = 0.0
            for batch in task.batches(epoch):
                loss = task.loss(model, batch)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
                optimiser.step()
                schedule.step()
                step += 1
                follow(average, model, recipe.average, step)
                total += loss.item()
                bar.advance(bar_task)
            with torch.inference_mode():
                row = {"epoch": epoch, "loss": total / task.steps, **task.evaluate(average)}
            rows.append(row)
            _write(run / "metrics.csv", rows)
            note = " ".join(f"{k}={v:.3f}" for k, v in row.items() if k != "epoch")
            bar.console.print(f"{recipe.task} epoch {epoch + 1}: {note}", highlight=False)
    return average


def follow(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move `average` towards `model`; early steps weigh more (decay rises to its value)."""
    decay = min(decay, (1 + step) / (10 + step))
    mine, theirs = average.state_dict(), model.state_dict()
    for key, value in mine.items():
        if value.dtype.is_floating_point:
            value.lerp_(theirs[key], 1 - decay)
        else:
            value.copy_(theirs[key])


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
