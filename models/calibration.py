"""Calibration on held-out data: temperatures for probabilities, quantiles for intervals.

Temperature scaling after Guo et al. 2017, "On calibration of modern neural networks"; intervals
are split conformal (Lei et al. 2018, "Distribution-free predictive inference for regression") with
a factor of its own for each subset of modalities.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature in 0.25..5 with the least negative log-likelihood; (B, C), int64 (B,)."""
    grid = torch.exp(torch.linspace(np.log(0.25), np.log(5.0), 300))
    losses = torch.stack([F.cross_entropy(logits / t, labels) for t in grid])
    return float(grid[losses.argmin()])


def conformal_factor(errors: np.ndarray, widths: np.ndarray, coverage: float) -> float:
    """The factor on `widths` (B,) that covers the given share of absolute `errors` (B,)."""
    level = min(1.0, np.ceil((len(errors) + 1) * coverage) / len(errors))
    return float(np.quantile(errors / widths, level))
