"""Integrated gradients along the straight line from a baseline to the input.

Invariant: the shares sum to `output - baseline_output` but for `gap`, which is always told; steps
are added until the gap is small or `MOST_STEPS` is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.errors import ExplainError

STEPS = 32
MOST_STEPS = 512
TOLERANCE = 0.01  # of the difference of outputs
FLAT = 0.05  # differences below this are held to TOLERANCE of this
_ROWS = 16  # steps that pass through the network at once

Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Attribution:
    """shares: of the input's shape, in units of the score. gap: what they fail to account for."""

    shares: np.ndarray
    output: float
    baseline_output: float
    steps: int

    @property
    def change(self) -> float:
        """What the shares should sum to."""
        return self.output - self.baseline_output

    @property
    def gap(self) -> float:
        """Sum of the shares less the difference of outputs; 0 would be complete."""
        return float(self.shares.sum(dtype=np.float64)) - self.change


def require_captum() -> None:
    """Fail early, in one line, where the library is not installed."""
    try:
        import captum.attr  # noqa: F401
    except ImportError as error:
        raise ExplainError(
            f"explanations need captum, got {error}; install it: pip install 'attune[train]'"
        ) from None


def integrate(
    score: Score, x: Tensor, baseline: Tensor, most_steps: int = MOST_STEPS
) -> Attribution:
    """Attribute `score` at `x` against `baseline`, both float32 (1, ...).

    score: (S, ...) -> (S,), each row by itself. Gauss-Legendre quadrature, four times the steps
    until the gap is at most 1 % of the difference.
    """
    require_captum()
    from captum.attr import IntegratedGradients

    with torch.no_grad():
        output, without = float(score(x)[0]), float(score(baseline)[0])
    method, steps = IntegratedGradients(score), STEPS
    while True:
        shares = method.attribute(x, baseline, n_steps=steps, internal_batch_size=_ROWS)
        found = Attribution(shares[0].detach().cpu().numpy(), output, without, steps)
        if abs(found.gap) <= TOLERANCE * max(abs(found.change), FLAT) or steps >= most_steps:
            return found
        steps *= 4
