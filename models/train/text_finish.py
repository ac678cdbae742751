"""What the text encoder learns after its body is trained: dialogue context and calibration.

The context is trained on MELD's training dialogues over fixed tokens, earlier turns only; which
epoch is kept, thresholds and temperatures are chosen on validation.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models import metrics
from models.data.text import Row, earlier_turns
from models.encoders.text import CONTEXT, TextEncoder
from models.labels import GOEMOTIONS_TONES
from models.predictors.text import above, in_context
from models.train.tokens import tokens_of

EPOCHS = 12
_RATE, _BATCH, _NOISE = 5e-4, 64, 0.1
_THRESHOLDS = np.arange(0.15, 0.7, 0.025)
_TEMPERATURES = np.arange(0.5, 3.01, 0.05)


def learn_context(model: TextEncoder, train: list[Row], valid: list[Row], seed: int) -> None:
    """Train the context and the two heads for dialogue, in place; keep the best epoch."""
    torch.manual_seed(seed)
    tokens, labels, tones = _dialogues(model, train)
    held_out = _dialogues(model, valid)
    turns, valid_turns = earlier_turns(train), earlier_turns(valid)
    parts = (model.context, model.readings["spoken"], model.readings["spoken_tone"])
    groups = [
        {"params": list(part.parameters()), "lr": rate * _RATE}
        for part, rate in zip(parts, (1.0, 0.3, 0.3), strict=True)
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-2)
    best, kept = _score(model, held_out, valid_turns), copy.deepcopy(model.state_dict())
    order = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        model.context.train()
        for chosen in np.array_split(order.permutation(len(train)), max(1, len(train) // _BATCH)):
            seen = _windows(tokens, turns, chosen)
            noisy = seen[0] + _NOISE * torch.randn_like(seen[0])
            refined = model.contextualise(noisy, seen[1])
            loss = F.cross_entropy(model.read("spoken", refined), labels[chosen])
            loss = loss + F.cross_entropy(model.read("spoken_tone", refined), tones[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        model.context.eval()
        score = _score(model, held_out, valid_turns)
        if score > best:
            best, kept = score, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    model.eval()


def _dialogues(model: TextEncoder, rows: list[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens (N, D), emotions (N,) and tones (N,) of MELD's lines."""
    spoken = torch.tensor([row.spoken for row in rows])
    tones = torch.tensor([row.tone for row in rows])
    return tokens_of(model, [row.text for row in rows]).clone(), spoken, tones


def _windows(tokens: Tensor, turns: list[list[int]], chosen: np.ndarray) -> tuple[Tensor, Tensor]:
    rows = np.zeros((len(chosen), CONTEXT), np.int64)
    mask = np.zeros((len(chosen), CONTEXT), bool)
    for i, row in enumerate(chosen):
        seen = [*turns[row][-(CONTEXT - 1) :], int(row)]
        rows[i, -len(seen) :], mask[i, -len(seen) :] = seen, True
    return tokens[torch.from_numpy(rows)], torch.from_numpy(mask)


@torch.no_grad()
def _score(
    model: TextEncoder, held_out: tuple[Tensor, Tensor, Tensor], turns: list[list[int]]
) -> float:
    tokens, labels, tones = held_out
    refined = in_context(model, tokens, turns)
    spoken, tone = model.read("spoken", refined), model.read("spoken_tone", refined)
    return metrics.weighted_f1(spoken.numpy(), labels.numpy()) + metrics.weighted_f1(
        tone.numpy(), tones.numpy()
    )


@torch.no_grad()
def tune(model: TextEncoder, valid: dict[str, list[Row]]) -> None:
    """Thresholds of the multi-label readings, temperatures, and where neutral dialogue ends."""
    rows = valid["goemotions"]
    tokens = tokens_of(model, [row.text for row in rows])
    shares = torch.from_numpy(np.stack([r.emotions for r in rows if r.emotions is not None]))
    truth = shares > 0
    groups = torch.stack([truth[:, 1], truth[:, 2:6].any(1), truth[:, 6], truth[:, 0]], 1)
    assert groups.shape[1] == len(GOEMOTIONS_TONES)
    model.named_at.copy_(_thresholds(model.read("ekman", tokens).sigmoid(), truth))
    model.tones_at.copy_(_thresholds(model.read("tone", tokens).sigmoid(), groups))
    one = truth.sum(1) == 1
    plain = model.logits(tokens[one])
    model.temperatures[0] = _temperature(plain, truth[one].long().argmax(1))
    lines = valid["meld"]
    spoken_tokens, labels, tones = _dialogues(model, lines)
    refined = in_context(model, spoken_tokens, earlier_turns(lines))
    model.temperatures[1] = _temperature(model.read("spoken", refined), labels)
    shares3 = model.read("spoken_tone", refined).softmax(-1)
    model.polarity_at.copy_(_polarity((shares3[:, 2] - shares3[:, 0]).numpy(), tones.numpy()))


def _thresholds(probabilities: Tensor, truth: Tensor) -> Tensor:
    """(C,): of each class that which gives it the best F1, two rounds by turns."""
    at = torch.full((truth.shape[1],), 0.4)
    for _ in range(2):
        for c in range(len(at)):
            scores = []
            for value in _THRESHOLDS:
                at[c] = float(value)
                chosen = above(probabilities, at)
                scores.append(metrics.multilabel_macro_f1(chosen.numpy(), truth.numpy()))
            at[c] = float(_THRESHOLDS[int(np.argmax(scores))])
    return at


def _temperature(logits: Tensor, labels: Tensor) -> float:
    """The one that makes the labels most likely."""
    losses = [F.cross_entropy(logits / float(t), labels).item() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def _polarity(said: np.ndarray, tones: np.ndarray) -> Tensor:
    """Where negative ends and positive begins: the pair with the best weighted F1."""
    grid = np.arange(0.0, 0.8, 0.05)
    pairs = [(-a, b) for a in grid for b in grid]
    scores = [
        metrics.weighted_f1(np.select([said < low, said > high], [0, 2], 1), tones)
        for low, high in pairs
    ]
    return torch.tensor(pairs[int(np.argmax(scores))], dtype=torch.float32)
