"""The contrastive loss and retrieval, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.align.contrastive import chance_at_k, clip_loss, recall_at_k
from models.errors import InputError


def rows(seed: int, n: int = 6) -> torch.Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))


def test_with_instances_it_is_cross_entropy_both_ways() -> None:
    a, b = rows(0), rows(1)
    scores = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / 0.1
    at = torch.arange(6)
    expected = (F.cross_entropy(scores, at) + F.cross_entropy(scores.T, at)) / 2
    torch.testing.assert_close(clip_loss(a, b), expected)


def test_what_belongs_together_scores_lower_than_what_does_not() -> None:
    a = rows(0)
    assert clip_loss(a, a) < clip_loss(a, a.roll(1, 0))


def test_rows_without_a_partner_take_no_part() -> None:
    a, b = rows(0), rows(1)
    partners = torch.eye(6, dtype=torch.bool)
    partners[3, 3] = False
    loss = clip_loss(a, b, partners)
    assert loss.isfinite()
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    by_label = clip_loss(a, b, labels[:, None] == labels)
    assert by_label.isfinite()
    assert clip_loss(a, b, torch.zeros(6, 6, dtype=torch.bool)) == 0


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_rows_give_nothing_and_no_nan(n: int) -> None:
    a = rows(0, n).requires_grad_()
    loss = clip_loss(a, rows(1, n))
    loss.backward()
    assert loss == 0
    assert a.grad is not None
    assert a.grad.isfinite().all()


def test_training_by_it_brings_two_modalities_together() -> None:
    torch.manual_seed(0)
    shared = torch.randn(64, 3)
    a, b = torch.cat([shared, torch.randn(64, 5)], 1), torch.cat([torch.randn(64, 5), shared], 1)
    left, right = torch.nn.Linear(8, 3), torch.nn.Linear(8, 3)
    optimiser = torch.optim.Adam([*left.parameters(), *right.parameters()], 0.05)

    def recall() -> float:
        return recall_at_k(left(a).detach().numpy(), right(b).detach().numpy(), None, 1)

    before = recall()
    for _ in range(200):
        loss = clip_loss(left(a), right(b))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert before < 0.3
    assert recall() > 0.8


def test_chance_is_what_a_random_order_gives() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 12)
    partners = labels[:, None] == labels
    rates = [
        recall_at_k(rng.normal(size=(12, 5)), rng.normal(size=(12, 5)), partners, 2)
        for _ in range(600)
    ]
    assert chance_at_k(partners, 12, 2) == pytest.approx(np.mean(rates), abs=0.03)
    assert chance_at_k(None, 12, 12) == 1


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="of one shape"):
        clip_loss(rows(0, 3), rows(0, 4))
