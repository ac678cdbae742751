"""Calibration on held-out data: temperatures for probabilities, quantiles for intervals.

Temperature scaling after Guo et al. 2017, "On calibration of modern neural networks"; intervals
are split conformal (Lei et al. 2018, "Distribution-free predictive inference for regression"). Both
come in pairs, for clean and for degraded input, with a value in between by how degraded the input
seems to be: `x = x0^(1 - p) x1^p`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

STEPS = 200
Group = tuple[np.ndarray, np.ndarray, np.ndarray]  # absolute errors, widths, estimate p; (B,)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature in 0.25..5 with the least negative log-likelihood; (B, C), int64 (B,)."""
    grid = torch.exp(torch.linspace(np.log(0.25), np.log(5.0), 300))
    losses = torch.stack([F.cross_entropy(logits / t, labels) for t in grid])
    return float(grid[losses.argmin()])


def fit_temperatures(logits: Tensor, degraded: Tensor, labels: Tensor) -> Tensor:
    """Logarithms of the temperature at p = 0 and at p = 1, (2,), by maximum likelihood.

    logits (B, C); degraded (B,), the estimate p in [0, 1]; labels int64 (B,) or shares (B, C).
    """
    pair = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.LBFGS([pair], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        temperature = (pair[0] + (pair[1] - pair[0]) * degraded).exp()
        value = F.cross_entropy(logits / temperature[:, None], labels) + 1e-4 * pair.square().sum()
        value.backward()
        return value

    with torch.inference_mode(False), torch.enable_grad():
        optimiser.step(loss)
    return pair.detach().clamp(np.log(0.1), np.log(10.0))


def conformal_factor(errors: np.ndarray, widths: np.ndarray, coverage: float) -> float:
    """The factor on `widths` (B,) that covers the given share of absolute `errors` (B,)."""
    level = min(1.0, np.ceil((len(errors) + 1) * coverage) / len(errors))
    return float(np.quantile(errors / widths, level))


def conformal_factors(clean: Group, poor: Group, coverage: float) -> np.ndarray:
    """Logarithms of two factors, at p = 0 and p = 1, that cover `coverage` of both groups at once.

    Each group: absolute errors, widths and the estimate p, all (B,). The factor at p = 0 is fitted
    on the clean group with the other held, and the other way round, until both stand still.
    """
    first, second = 0.0, 0.0
    for _ in range(STEPS):
        before = first, second
        first = _one_of_two(clean, second, coverage)
        errors, widths, p = poor
        second = _one_of_two((errors, widths, 1 - p), first, coverage)
        if abs(first - before[0]) + abs(second - before[1]) < 1e-5:
            break
    return np.array([first, second], np.float32)


def _one_of_two(group: Group, other: float, coverage: float) -> float:
    """By bisection, the log-factor at weight 1 - p that covers, given that at weight p."""
    errors, widths, p = group
    level = min(1.0, np.ceil((len(errors) + 1) * coverage) / len(errors))
    low, high = -4.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        inside = errors <= widths * np.exp((1 - p) * middle + p * other)
        low, high = (low, middle) if inside.mean() >= level else (middle, high)
    return high
