"""Fusion and calibration as functions of arrays."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import (
    conformal_factor,
    conformal_factors,
    fit_temperature,
    fit_temperatures,
)
from models.fusion import SUBSETS, Fusion, Opinions, shapley
from models.metrics import ece, macro_f1, majority, uar
from models.pooling import AttentionPool, masked_mean

VALUES = st.lists(st.floats(-1, 1), min_size=8, max_size=8).map(np.array)


@given(VALUES, st.lists(st.booleans(), min_size=3, max_size=3).map(np.array))
def test_shapley_is_the_mean_over_all_orders_of_arrival(
    values: np.ndarray, present: np.ndarray
) -> None:
    players = list(np.flatnonzero(present))
    orders = list(permutations(players))
    expected = dict.fromkeys(players, 0.0)
    for order in orders:
        code = 0
        for player in order:
            expected[player] += (values[code | 1 << player] - values[code]) / len(orders)
            code |= 1 << player
    assert shapley(values, present) == pytest.approx(expected, abs=1e-9)


def opinions(present: torch.Tensor, seed: int = 0) -> Opinions:
    generator = torch.Generator().manual_seed(seed)
    shape = tuple(present.shape)
    said = torch.randn(*shape, 7, generator=generator).log_softmax(-1)
    sentiment = torch.rand(shape, generator=generator) * 2 - 1
    return Opinions(said, sentiment, torch.randn(shape, generator=generator), present,
                    torch.rand(shape, generator=generator))  # fmt: skip


def test_what_an_absent_modality_would_say_does_not_matter() -> None:
    fusion, present = Fusion(), SUBSETS[1:7]
    first, other = opinions(present, 0), opinions(present, 1)
    keep = present

    def mix(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        mask = keep.view(*keep.shape, *(1,) * (a.ndim - 2))
        return torch.where(mask, a, b)

    mixed = Opinions(
        mix(first.log_probabilities, other.log_probabilities),
        mix(first.sentiment, other.sentiment),
        mix(first.evidence, other.evidence),
        present,
        mix(first.degraded, other.degraded),
    )
    a, b = fusion(first), fusion(mixed)
    for name in ("emotions", "sentiment", "low", "high", "width", "weights", "by_subset"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name))


def test_more_evidence_weighs_more() -> None:
    base = opinions(torch.ones(1, 3, dtype=torch.bool))
    louder = Opinions(
        base.log_probabilities, base.sentiment, base.evidence + torch.tensor([[5.0, 0, 0]]),
        base.present, base.degraded,
    )  # fmt: skip
    fusion = Fusion()
    assert fusion(louder).weights[0, 0] > fusion(base).weights[0, 0]


def test_pooling_ignores_what_is_masked_and_survives_nothing() -> None:
    tokens = torch.randn(2, 3, 8)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    changed = tokens.clone()
    changed[~mask] = 1e6
    for pool in (masked_mean, AttentionPool(8)):
        torch.testing.assert_close(pool(tokens, mask), pool(changed, mask))
        torch.testing.assert_close(pool(tokens, mask)[1], torch.zeros(8))


def test_temperature_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(20_000, 7, generator=generator)
    labels = torch.multinomial(true.softmax(-1), 1, generator=generator).squeeze(1)
    assert fit_temperature(true * 2.5, labels) == pytest.approx(2.5, rel=0.05)


def test_conformal_factor_covers_what_it_promises() -> None:
    rng = np.random.default_rng(0)
    widths = rng.uniform(0.1, 1, 4000)
    errors = np.abs(rng.laplace(0, widths))
    factor = conformal_factor(errors[:2000], widths[:2000], 0.8)
    assert np.mean(errors[2000:] <= factor * widths[2000:]) == pytest.approx(0.8, abs=0.03)


def test_two_temperatures_are_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(40_000, 7, generator=generator) * 1.5
    labels = torch.multinomial(true.softmax(-1), 1, generator=generator).squeeze(1)
    degraded = torch.rand(40_000, generator=generator)
    temperature = torch.exp(np.log(0.7) + (np.log(3.0) - np.log(0.7)) * degraded)
    pair = fit_temperatures(true * temperature[:, None], degraded, labels)
    assert pair.exp().tolist() == pytest.approx([0.7, 3.0], rel=0.08)


def test_both_groups_are_covered_though_the_estimate_of_the_group_is_poor() -> None:
    rng = np.random.default_rng(0)

    def group(scale: float, a: float, b: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        widths = rng.uniform(0.1, 1, 4000)
        return np.abs(rng.laplace(0, scale * widths)), widths, rng.beta(a, b, 4000)

    def covered(part: tuple[np.ndarray, np.ndarray, np.ndarray], pair: np.ndarray) -> float:
        errors, widths, p = part
        return float(np.mean(errors <= widths * np.exp((1 - p) * pair[0] + p * pair[1])))

    pair = conformal_factors(group(1.0, 2, 5), group(2.5, 5, 2), 0.8)
    assert covered(group(1.0, 2, 5), pair) == pytest.approx(0.8, abs=0.03)
    assert covered(group(2.5, 5, 2), pair) == pytest.approx(0.8, abs=0.03)
    assert pair[1] > pair[0] + 0.3


def test_metrics_by_hand() -> None:
    labels = np.array([0, 0, 0, 1])
    guess = np.eye(2)[[0, 0, 1, 1]] * 0.5 + 0.25  # confidence 0.75 everywhere, 3 of 4 right
    assert uar(guess, labels) == pytest.approx((2 / 3 + 1) / 2)
    assert macro_f1(guess, labels) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert majority(labels) == 0.75
    assert ece(guess, labels) == pytest.approx(0)
    assert ece(np.eye(2)[[0, 0, 1, 1]], labels) == pytest.approx(0.25)


def test_a_voice_that_says_nothing_is_neither_pleasant_nor_unpleasant() -> None:
    fusion = Fusion()
    certain = torch.eye(7).clamp(1e-6, 1).log()
    torch.testing.assert_close(
        fusion.heard_valence(torch.zeros(1, 7).log_softmax(-1)), torch.zeros(1)
    )
    torch.testing.assert_close(fusion.heard_valence(certain), fusion.valence, atol=1e-3, rtol=0)
