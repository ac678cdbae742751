"""Fusion of any subset of the modalities, by gated opinion pooling over hop tokens.

Each modality's calibrated opinion enters a log-linear pool (Genest & Zidek 1986, "Combining
probability distributions"); how much each counts comes from two levels of masked attention (Yang
et al. 2016): tokens within a modality, then the modalities that are present. With one modality
present its weight is 1, so the fused score *is* the calibrated unimodal score: fusion can never
do worse on a lone modality. What is absent is masked at both levels and never enters as a zero.

A second head per modality estimates how degraded its tokens are (blur, noise, lost words).
Temperatures and the intervals' factors lie between one value for clean and one for degraded input,
by that estimate, so that both keep what they promise (compare Mondrian conformal prediction, Vovk
et al. 2005, where the groups are given instead of estimated).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn

from models.labels import VALENCE_VECTOR
from models.pooling import masked_mean, masked_softmax
from models.types import EMOTIONS, MODALITIES

M = len(MODALITIES)
SUBSETS = torch.tensor([[bool(code >> m & 1) for m in range(M)] for code in range(2**M)])
COVERAGE = 0.8
LIMIT = 0.75  # an interval of three quarters of the scale says too little to give a score


@dataclass(frozen=True)
class Opinions:
    """What each modality says, in the order of MODALITIES; entries of absent ones are ignored.

    log_probabilities (B, M, 7), sentiment (B, M), evidence (B, M), present bool (B, M), degraded
    (B, M) in [0, 1].
    """

    log_probabilities: Tensor
    sentiment: Tensor
    evidence: Tensor
    present: Tensor
    degraded: Tensor


@dataclass(frozen=True)
class Fused:
    """emotions (B, 7); sentiment, low, high, width (B,); weights (B, M); by_subset (B, 8).

    width: half of the interval before it is cut to [-1, 1]. by_subset: sentiment of each subset.
    """

    emotions: Tensor
    sentiment: Tensor
    low: Tensor
    high: Tensor
    width: Tensor
    weights: Tensor
    by_subset: Tensor


def between(pair: Tensor, degraded: Tensor) -> Tensor:
    """Log-values for clean and for degraded input (..., 2) -> the value in between (...)."""
    return (pair[..., 0] + (pair[..., 1] - pair[..., 0]) * degraded).exp()


def _head(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))


class Fusion(nn.Module):
    """Opinions -> fused scores. All of its state is calibration; it has about 13,000 numbers.

    temperature (M, 2), sharpness (8, 2) of the pool and quantile (8, 2) of the interval per subset
    of modalities are logarithms, for clean and for degraded input. limit: the half-width above
    which the score is "not enough evidence".
    """

    temperature: Tensor
    sharpness: Tensor
    quantile: Tensor
    limit: Tensor
    prior: Tensor
    valence: Tensor

    def __init__(self, token_d: int = 128, hidden: int = 16) -> None:
        super().__init__()
        self.score = nn.ModuleList(_head(token_d, hidden) for _ in MODALITIES)
        self.spoilt = nn.ModuleList(_head(token_d, hidden) for _ in MODALITIES)
        self.base = nn.Parameter(torch.zeros(M))
        self.bias = nn.Parameter(torch.zeros(M, len(EMOTIONS)))
        self.spread = _head(M + 4, 16)
        self.register_buffer("temperature", torch.zeros(M, 2))
        self.register_buffer("sharpness", torch.zeros(2**M, 2))
        self.register_buffer("quantile", torch.zeros(2**M, 2))
        self.register_buffer("limit", torch.tensor(LIMIT))
        self.register_buffer("prior", torch.zeros(()))
        self.register_buffer("valence", torch.from_numpy(VALENCE_VECTOR), persistent=False)

    def evidence(self, modality: int, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) and bool (B, T) -> (B,): log of the mean exponential score of its tokens."""
        scores = self.score[modality](tokens).squeeze(-1).tanh() * 3 + self.base[modality]
        present = mask.to(scores.dtype)
        total = (scores.exp() * present).sum(1).clamp_min(1e-9)
        return total.log() - present.sum(1).clamp_min(1).log()

    def spoilt_logits(self, modality: int, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) and bool (B, T) -> (B,): mean logit that a token comes from degraded input."""
        return masked_mean(self.spoilt[modality](tokens), mask).squeeze(-1)

    def calibrated(self, modality: int, logits: Tensor, degraded: Tensor) -> Tensor:
        """(B, 7) logits, (B,) -> log-probabilities under the modality's temperature."""
        temperature = between(self.temperature[modality], degraded)
        return (logits / temperature.unsqueeze(-1)).log_softmax(-1)

    def expected_valence(self, log_probabilities: Tensor) -> Tensor:
        """(B, 7) -> (B,) in [-1, 1]: the mean valence coordinate of the emotions."""
        return log_probabilities.exp() @ self.valence

    def heard_valence(self, log_probabilities: Tensor) -> Tensor:
        """(B, 7) -> (B,): as `expected_valence`, but a voice that says nothing scores 0.

        Four of seven emotions are unpleasant, so equal probabilities, which is what the voice
        encoder was trained to start from, would come out at -0.22. That offset is taken out in
        proportion to the normalised entropy; a sure score is left as it is.
        """
        probabilities = log_probabilities.exp()
        entropy = -(probabilities * log_probabilities).sum(-1) / math.log(len(EMOTIONS))
        return self.expected_valence(log_probabilities) - entropy * self.valence.mean()

    def pooled_logits(self, opinions: Opinions, weights: Tensor) -> Tensor:
        """(B, 7) log-linear pool; with one modality exactly its own log-probabilities."""
        several = (opinions.present.sum(1) > 1).to(weights.dtype).view(-1, 1, 1)
        said = opinions.log_probabilities + self.bias * several
        said = said.masked_fill(~opinions.present.unsqueeze(-1), 0.0)
        sharp = between(self.sharpness[subset_code(opinions.present)], _mixed(opinions, weights))
        return (weights.unsqueeze(-1) * said).sum(1) * sharp.unsqueeze(-1)

    def spread_of(self, opinions: Opinions, weights: Tensor, logits: Tensor) -> Tensor:
        """(B,) scale of the sentiment error, before the conformal factor."""
        log_p = logits.log_softmax(-1)
        probabilities = log_p.exp()
        mean = (weights * opinions.sentiment).sum(1)
        apart = (weights * (opinions.sentiment - mean.unsqueeze(1)) ** 2).sum(1)
        entropy = -(probabilities * log_p).sum(-1)
        variance = probabilities @ self.valence**2 - (probabilities @ self.valence) ** 2
        mixed = _mixed(opinions, weights)
        inputs = torch.stack([apart, entropy, variance.clamp_min(0), mixed], 1)
        inputs = torch.cat([inputs, opinions.present.to(inputs.dtype)], 1)
        return nn.functional.softplus(self.spread(inputs).squeeze(-1)) + 0.02

    def half_width(self, opinions: Opinions, weights: Tensor, logits: Tensor) -> Tensor:
        """(B,) half of the interval: the spread by the factor of the subset of modalities."""
        factor = between(self.quantile[subset_code(opinions.present)], _mixed(opinions, weights))
        return self.spread_of(opinions, weights, logits) * factor

    def forward(self, opinions: Opinions) -> Fused:
        """Pool, then look at every subset of the modalities that are present."""
        weights = masked_softmax(opinions.evidence, opinions.present)
        logits = self.pooled_logits(opinions, weights)
        subsets = opinions.present.unsqueeze(1) & SUBSETS.to(weights.device)  # (B, 8, M)
        shares = masked_softmax(opinions.evidence.unsqueeze(1).expand(-1, 2**M, -1), subsets)
        by_subset = (shares * opinions.sentiment.unsqueeze(1)).sum(-1)
        by_subset = torch.where(subsets.any(-1), by_subset, self.prior)
        sentiment = (weights * opinions.sentiment).sum(1)
        width = self.half_width(opinions, weights, logits)
        low, high = (sentiment - width).clamp(-1, 1), (sentiment + width).clamp(-1, 1)
        return Fused(logits.softmax(-1), sentiment, low, high, width, weights, by_subset)


def subset_code(present: Tensor) -> Tensor:
    """Bool (B, M) -> int64 (B,): bit m stands for modality m."""
    return (present.long() * torch.tensor([1, 2, 4], device=present.device)).sum(1)


def _mixed(opinions: Opinions, weights: Tensor) -> Tensor:
    """(B,) how degraded the input is, by what each modality counts."""
    return (opinions.degraded * weights).sum(1)


def shapley(values: np.ndarray, present: np.ndarray) -> dict[int, float]:
    """Exact Shapley values (Shapley 1953) of the present players.

    values: (8,) worth of each subset, bit m of the index for player m. present: bool (3,).

    >>> shapley(np.array([0.0, 1.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]), np.array([True, True, False]))
    {0: 1.0, 1: 3.0}
    """
    players = [int(m) for m in np.flatnonzero(present)]
    n = len(players)
    result = {}
    for m in players:
        others = [p for p in players if p != m]
        total = 0.0
        for size in range(n):
            share = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for group in combinations(others, size):
                code = sum(1 << p for p in group)
                total += share * float(values[code | 1 << m] - values[code])
        result[m] = total
    return result
