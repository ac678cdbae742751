"""Train the text encoder: emotions and sentiment at once, each row with the labels it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.data.text import Row, load_text
from models.encoders.text import TextEncoder, collate
from models.metrics import accuracy, macro_f1
from models.train.loop import Batch, Plan, fit
from models.types import EMOTIONS

BATCH = 256
REPEAT = {"goemotions": 1, "meld": 1, "sst5": 2, "cr": 2}
SENTIMENT_WEIGHT = 3.0  # squared error on [-1, 1] is small beside cross-entropy
WORD_DROPOUT = 0.12


@dataclass(frozen=True)
class Coded:
    """rows int64 (B, T), grams int64 (B, T, G), emotions float32 (B, 7), sentiment float32 (B,).

    Where a label is missing, the emotions are zeros and the sentiment is NaN.
    """

    rows: Tensor
    grams: Tensor
    emotions: Tensor
    sentiment: Tensor


def code(rows: list[Row]) -> Coded:
    """Tokenise once, before the epochs."""
    words, grams = collate([row.text for row in rows])
    none = np.zeros(len(EMOTIONS), np.float32)
    emotions = np.stack([none if row.emotions is None else row.emotions for row in rows])
    sentiment = [np.nan if row.sentiment is None else row.sentiment for row in rows]
    return Coded(
        words.int(), grams.int(), torch.from_numpy(emotions),
        torch.tensor(sentiment, dtype=torch.float32),
    )  # fmt: skip


def _batches(coded: Coded, seed: int, steps: int) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(coded.rows), generator=generator)
    length = (coded.rows > 0).sum(1)
    for step in range(steps):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        longest = int(length[chosen].max())
        words = coded.rows[chosen, :longest].long()
        keep = (torch.rand(words.shape, generator=generator) > WORD_DROPOUT).long()
        keep[:, 0] = 1
        grams = coded.grams[chosen, :longest].long() * keep.unsqueeze(-1)
        yield words * keep, grams, coded.emotions[chosen], coded.sentiment[chosen]


def _loss(model: TextEncoder, batch: Batch) -> Tensor:
    words, grams, emotions, sentiment = batch
    tokens = model(words, grams)
    per_row = F.cross_entropy(model.logits(tokens), emotions, reduction="none")
    known = sentiment.isfinite()
    error = F.mse_loss(model.sentiment(tokens)[known], sentiment[known])
    return per_row.sum() / emotions.sum().clamp_min(1) + SENTIMENT_WEIGHT * error


@torch.inference_mode()
def tokens_of(model: TextEncoder, texts: list[str]) -> Tensor:
    """(B, D), encoded in parts."""
    return torch.cat([model(*collate(texts[i : i + 256])) for i in range(0, len(texts), 256)])


@torch.inference_mode()
def evaluate(model: TextEncoder, valid: dict[str, list[Row]]) -> dict[str, float]:
    """Per set: emotion accuracy and macro F1, or the correlation and sign of the sentiment."""
    scores = {}
    for name, rows in valid.items():
        tokens = tokens_of(model, [row.text for row in rows])
        if rows[0].emotions is not None:
            probabilities = model.logits(tokens).softmax(-1).numpy()
            labels = np.array([np.argmax(row.emotions) for row in rows if row.emotions is not None])
            scores[f"{name}_acc"] = accuracy(probabilities, labels)
            scores[f"{name}_f1"] = macro_f1(probabilities, labels)
        target = np.array([row.sentiment for row in rows])
        guess = model.sentiment(tokens).numpy()
        signed = target != 0
        scores[f"{name}_sign"] = float(((guess > 0) == (target > 0))[signed].mean())
        scores[f"{name}_r"] = float(np.corrcoef(guess, target)[0, 1])
    return scores


def train_text(
    data: Path, *, epochs: int = 8, seed: int = 0, quick: bool = False, runs: Path = Path("runs")
) -> TextEncoder:
    """The whole of it: read, train, return the averaged encoder."""
    torch.manual_seed(seed)
    sets, valid = load_text(data, "train"), load_text(data, "valid")
    if quick:
        sets = {name: rows[:BATCH] for name, rows in sets.items()}
        valid = {name: rows[:BATCH] for name, rows in valid.items()}
    coded = code([row for name, rows in sets.items() for row in rows * REPEAT[name]])
    epochs = 1 if quick else epochs
    steps = max(1, len(coded.rows) // BATCH)
    seeds = iter(range(seed * 1000, seed * 1000 + epochs))
    plan = Plan(
        name="text", epochs=epochs, steps_per_epoch=steps, runs=runs, weight_decay=5e-2
    )  # fmt: skip
    return fit(
        TextEncoder(), lambda: _batches(coded, next(seeds), steps), _loss,
        lambda model: evaluate(model, valid), plan,
    )  # fmt: skip
