"""Train the classical baselines for text, on the same rows as the encoder.

Recipe: model "tfidf" or "word2vec"; for the latter data.skip_gram_epochs (skip-gram with negative
sampling over the training texts, window 4, before the linear head is fitted).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.data.text import load_parts
from models.encoders.bags import ROWS, WIDTH, BagModel, bag_rows, row_of, words
from models.predictors.text import Bag
from models.train.recipe import Recipe
from models.train.task import Batch
from models.train.text import NONE, code
from models.train.text_figures import measure, summary
from models.types import EMOTIONS

_WINDOW, _NEGATIVE, _PAIRS = 4, 5, 4096


class BagTask:
    """See `models.train.task.Task`."""

    def __init__(self, recipe: Recipe, data: Path) -> None:
        self.recipe, self.part = recipe, recipe.model
        self.parts = {split: load_parts(data, split) for split in ("train", "valid", "test")}
        self.texts = [row.text for rows in self.parts["train"].values() for row in rows]
        self.coded = code(self.parts["train"])
        self.steps = len(self.texts) // recipe.batch

    def model(self) -> nn.Module:
        """With the inverse document frequencies, or the skip-gram vectors, in place."""
        model = BagModel(self.recipe.model)
        if self.recipe.model == "tfidf":
            model.rarity.copy_(inverse_frequency(self.texts))
        else:
            epochs = int(self.recipe.data.get("skip_gram_epochs", 3))
            model.table.weight.data.copy_(skip_gram(self.texts, epochs, self.recipe.seed))
        return model

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng([self.recipe.seed, epoch])
        order = rng.permutation(len(self.texts))[: self.steps * self.recipe.batch]
        for chosen in order.reshape(self.steps, -1):
            hashes, kinds = bag_rows([self.texts[i] for i in chosen])
            rows, coded = torch.from_numpy(chosen), self.coded
            yield (
                hashes, kinds, coded.emotions[rows], coded.classes[rows], coded.sentiment[rows],
            )  # fmt: skip

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean over all rows of the sum of what each row has labels for."""
        hashes, kinds, emotions, classes, sentiment = batch
        scores = model(hashes, kinds)
        n = len(EMOTIONS)
        total = F.cross_entropy(scores[:, :n], emotions, reduction="sum")
        spoken = scores[:, n : 2 * n]
        total = total + F.cross_entropy(spoken, classes[:, 0], ignore_index=NONE, reduction="sum")
        known = sentiment[:, 0].isfinite()
        value, weight = sentiment[known].unbind(1)
        error = 3 * weight * (scores[known, -1].tanh() - value) ** 2
        return (total + error.sum()) / len(hashes)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        assert isinstance(model, BagModel)
        return summary(measure(Bag(model), self.parts["valid"]))

    def finish(self, model: nn.Module) -> dict[str, Any]:
        assert isinstance(model, BagModel)
        return {s: measure(Bag(model), self.parts[s]) for s in ("test", "valid")}


def inverse_frequency(texts: list[str]) -> Tensor:
    """(R,): log((1 + N) / (1 + texts that hold the row)) + 1."""
    count = torch.zeros(ROWS["tfidf"])
    for start in range(0, len(texts), 2048):
        hashes, kinds = bag_rows(texts[start : start + 2048])
        rows = (hashes // 2 % len(count)) * (kinds > 0)
        for row in rows:
            count[row.unique()] += 1
    return ((1 + len(texts)) / (1 + count)).log() + 1


def skip_gram(texts: list[str], epochs: int, seed: int) -> Tensor:
    """(R, WIDTH) vectors: each word predicts its neighbours against random words."""
    rng = np.random.default_rng(seed)
    lines = [np.array([row_of(w) // 2 % ROWS["word2vec"] for w in words(t)]) for t in texts]
    pairs = np.concatenate([_neighbours(line) for line in lines if len(line) > 1])
    frequency = np.bincount(pairs[:, 0], minlength=ROWS["word2vec"]).astype(float)
    keep = np.minimum(1, np.sqrt(1e-3 / np.maximum(frequency / frequency.sum(), 1e-12)))
    noise = np.cumsum(frequency**0.75) / (frequency**0.75).sum()
    generator = torch.Generator().manual_seed(seed)
    inner = (torch.randn(ROWS["word2vec"], WIDTH, generator=generator) * 0.1).requires_grad_()
    outer = torch.zeros(ROWS["word2vec"], WIDTH, requires_grad=True)
    optimiser = torch.optim.Adam([inner, outer], lr=5e-3)
    for _ in range(epochs):
        seen = pairs[rng.random(len(pairs)) < keep[pairs[:, 0]] * keep[pairs[:, 1]]]
        rng.shuffle(seen)
        for start in range(0, len(seen), _PAIRS):
            part = torch.from_numpy(seen[start : start + _PAIRS])
            drawn = np.searchsorted(noise, rng.random((len(part), _NEGATIVE)))
            centre = inner[part[:, 0]]
            near = (centre * outer[part[:, 1]]).sum(1)
            far = (centre.unsqueeze(1) * outer[torch.from_numpy(drawn)]).sum(-1)
            loss = -(F.logsigmoid(near).mean() + F.logsigmoid(-far).sum(1).mean())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return inner.detach()


def _neighbours(line: np.ndarray) -> np.ndarray:
    shifts = range(1, min(_WINDOW, len(line) - 1) + 1)
    ahead = [np.stack([line[:-s], line[s:]], 1) for s in shifts]
    return np.concatenate([*ahead, *(pair[:, ::-1] for pair in ahead)])


def build(recipe: Recipe, data: Path, cache: Path) -> BagTask:
    """The task of a recipe; nothing is cached."""
    return BagTask(recipe, data)
