"""Train the Chinese words on reviews: log-ratios of naive Bayes first, then logistic regression.

Recipe: data.smoothing is added to every count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import metrics, weights
from models.calibration import fit_temperature
from models.data.text import chinese_reviews
from models.encoders.chinese import PART, ROWS, ChineseWords, bag, opinion_of, rows_of
from models.labels import CHNSENTICORP_SENTIMENT
from models.train.recipe import Recipe
from models.train.task import Batch

Reviews = Sequence[tuple[str, int]]


class ChineseTask:
    """See `models.train.task.Task`."""

    part = PART

    def __init__(self, recipe: Recipe, data: Path) -> None:
        self.recipe = recipe
        self.parts = {s: chinese_reviews(data, s) for s in ("train", "valid", "test")}
        self.steps = len(self.parts["train"]) // recipe.batch

    def model(self) -> nn.Module:
        """With naive Bayes' log-ratios in place."""
        model = ChineseWords(**self.recipe.options)
        smoothing = float(self.recipe.data.get("smoothing", 1.0))
        ratios = log_ratios(self.parts["train"], smoothing)
        model.table.data.copy_(torch.from_numpy(ratios).view_as(model.table))
        return model

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Rows, mask and labels float32 (B,)."""
        rng = np.random.default_rng([self.recipe.seed, epoch])
        train, size = self.parts["train"], self.recipe.batch
        order = rng.permutation(len(train))[: self.steps * size]
        for chosen in order.reshape(self.steps, size):
            yield (
                *bag([train[i][0] for i in chosen]),
                torch.tensor([float(train[i][1]) for i in chosen]),
            )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy of two classes."""
        rows, mask, labels = batch
        return F.binary_cross_entropy_with_logits(model(rows, mask), labels)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Figures of validation, and its log-likelihood, which is larger where they are sure."""
        logits, labels = answers(model, self.parts["valid"])
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        return {**figures(logits, labels), "log_likelihood": -float(loss)}

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """Store the table in few bits, fit the temperature on validation; figures of our own test
        part and of validation."""
        assert isinstance(model, ChineseWords)
        stored = weights.pack(model.state_dict(), model.stored_bits)
        model.load_state_dict(weights.unpack(stored))
        logits, labels = answers(model, self.parts["valid"])
        both = torch.stack([torch.zeros_like(logits), logits], 1)
        model.temperature.fill_(fit_temperature(both, labels.long()))
        return {s: figures(*answers(model, self.parts[s])) for s in ("test", "valid")}


def log_ratios(reviews: Reviews, smoothing: float) -> np.ndarray:
    """float32 (ROWS,): log of how much oftener a row is in positive than in negative reviews."""
    count = np.full((2, ROWS), smoothing)
    for text, label in reviews:
        count[label, rows_of(text)] += 1
    share = count / count.sum(1, keepdims=True)
    ratios = np.log(share[1] / share[0]).astype(np.float32)
    ratios[(count == smoothing).all(0)] = 0.0
    return ratios


@torch.inference_mode()
def answers(model: nn.Module, reviews: Reviews) -> tuple[Tensor, Tensor]:
    """Log-odds (N,) and labels float32 (N,)."""
    parts = [model(*bag([t for t, _ in reviews[i : i + 256]])) for i in range(0, len(reviews), 256)]
    return torch.cat(parts), torch.tensor([float(label) for _, label in reviews])


def figures(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Of two classes; and how often the label lies within the interval, and how wide it is."""
    positive, truth = logits.sigmoid().double().numpy(), labels.long().numpy()
    shares = np.stack([1 - positive, positive], 1)
    opinions = [opinion_of(float(p)) for p in positive]
    said = np.array([o.sentiment for o in opinions])
    half = np.array([o.half_width for o in opinions])
    target = np.array(CHNSENTICORP_SENTIMENT)[truth]
    return {
        "n": len(truth),
        "accuracy": metrics.accuracy(shares, truth),
        "macro_f1": metrics.macro_f1(shares, truth),
        "ece": metrics.ece(shares, truth),
        "interval_coverage": float((np.abs(said - target) <= half).mean()),
        "interval_width": float(2 * half.mean()),
    }


def build(recipe: Recipe, data: Path, cache: Path) -> ChineseTask:
    """The task of a recipe; nothing is cached."""
    return ChineseTask(recipe, data)
