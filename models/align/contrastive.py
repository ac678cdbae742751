"""Alignment in meaning: what belongs together lies close, everything else of the batch apart.

The symmetric loss of Radford et al. 2021 (CLIP), which is InfoNCE (van den Oord et al. 2018) in
both directions; where several rows belong together, such as those of one label, the supervised
form of Khosla et al. 2020, with the mean over the partners outside the logarithm.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.errors import InputError

TEMPERATURE = 0.1


def clip_loss(
    a: Tensor, b: Tensor, partners: Tensor | None = None, temperature: float = TEMPERATURE
) -> Tensor:
    """(N, D) rows of two modalities -> scalar; 0 where no row has another to be told from.

    partners: bool (N, N), whether row i of `a` and row j of `b` belong together; None stands for
    the diagonal, i.e. instances. Rows without any partner take no part.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise InputError(
            f"expected two (N, D) of one shape, got {tuple(a.shape)}, {tuple(b.shape)}"
        )
    if len(a) < 2:
        return (a.sum() + b.sum()) * 0.0
    scores = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature
    if partners is None:
        partners = torch.eye(len(a), dtype=torch.bool, device=a.device)
    return (_one_way(scores, partners) + _one_way(scores.T, partners.T)) / 2


def _one_way(scores: Tensor, partners: Tensor) -> Tensor:
    wanted = partners.to(scores.dtype)
    count = wanted.sum(1)
    each = -(scores.log_softmax(1) * wanted).sum(1) / count.clamp_min(1)
    return each.sum() / (count > 0).sum().clamp_min(1)


def recall_at_k(a: np.ndarray, b: np.ndarray, partners: np.ndarray | None, k: int) -> float:
    """Share of the rows of `a` (N, D) with a partner among the `k` nearest, by cosine, of `b`.

    partners: bool (N, N) or None for the diagonal. Rows without a partner take no part.

    >>> x = np.eye(3)
    >>> recall_at_k(x, x, None, 1), round(recall_at_k(x, x[[1, 2, 0]], None, 1), 3)
    (1.0, 0.0)
    """
    belong: np.ndarray = np.eye(len(a), dtype=bool) if partners is None else partners
    unit_a, unit_b = (
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9) for x in (a, b)
    )
    nearest = np.argsort(-(unit_a @ unit_b.T), axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(belong, nearest, 1).max(axis=1)
    asked = belong.max(axis=1)
    if not asked.any():
        raise InputError("recall: expected at least one row with a partner, got none")
    return float(found[asked].sum() / asked.sum())


def chance_at_k(partners: np.ndarray | None, n: int, k: int) -> float:
    """What `recall_at_k` is for a random order of `n` rows.

    >>> chance_at_k(None, 10, 1)
    0.1
    """
    counts = np.ones(n, int) if partners is None else partners.sum(1)
    counts = counts[counts > 0]
    steps = np.arange(min(k, n))
    missed = np.maximum(n - counts[:, None] - steps, 0) / (n - steps)
    return round(float((1 - missed.prod(1)).mean()), 12)
