"""Tokens of many texts at once."""

from __future__ import annotations

import torch
from torch import Tensor

from models.encoders.text import TextEncoder, collate


@torch.inference_mode()
def tokens_of(model: TextEncoder, texts: list[str]) -> Tensor:
    """(B, D), encoded in parts of similar length."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    made = torch.zeros(len(texts), model.project.out_features)
    for start in range(0, len(order), 64):
        part = order[start : start + 64]
        made[part] = model(*collate([texts[i] for i in part]))
    return made
