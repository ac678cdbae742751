"""Fit the fusion on one half of validation and report on the other.

Fitted on held-out samples (stacking, Wolpert 1992), because on their own training data the encoders
are surer than they should be, and a gate would learn to trust whichever memorised most.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.calibration import conformal_factor, fit_temperature
from models.fusion import COVERAGE, SUBSETS, Fusion, M
from models.metrics import accuracy, ece, macro_f1, majority, uar
from models.network import Network
from models.train.bundles import (
    Bundle,
    Combination,
    Recipe,
    combine,
    face_bundle,
    halves,
    text_bundle,
    voice_bundle,
)
from models.train.loop import Batch, Plan, fit
from models.types import MODALITIES

BATCH = 256
CLEAN = Recipe(contradiction=0.0, degraded=0.0)


@dataclass(frozen=True)
class Halves:
    """One bundle per modality, in the order of MODALITIES, to fit on and to report on."""

    fit: list[Bundle]
    report: list[Bundle]


def build(network: Network, data: Path, cache: Path, quick: bool) -> Halves:
    """Encode the validation sets once and cut each in two."""
    limit = 140 if quick else None
    bundles = [
        face_bundle(network, data, limit),
        voice_bundle(network, data, cache, limit),
        text_bundle(network, data, limit),
    ]
    pairs = [halves(bundle, seed) for seed, bundle in enumerate(bundles)]
    return Halves([a for a, _ in pairs], [b for _, b in pairs])


def alone(network: Network, bundle: Bundle, m: int) -> Tensor:
    """Raw logits (B, 7) of modality m over the samples of its bundle."""
    size = len(bundle.labels)
    width = bundle.tokens.shape[-1]
    tokens = [torch.zeros(size, 1, width) for _ in MODALITIES]
    masks = [torch.zeros(size, 1, dtype=torch.bool) for _ in MODALITIES]
    tokens[m], masks[m] = bundle.tokens, bundle.mask
    return network.logits(tokens, masks)[0][m]


def _loss(network: Network, batch: Batch) -> Tensor:
    """Soft cross-entropy, squared error, and the Laplace likelihood of the error's scale."""
    tokens, masks, emotions, sentiment = list(batch[:M]), list(batch[M : 2 * M]), *batch[2 * M :]
    opinions = network.opinions(tokens, masks)
    fusion = network.fusion
    fused = fusion(opinions)
    logits = fusion.pooled_logits(opinions, fused.weights)
    width = fusion.half_width(opinions, fused.weights.detach(), logits.detach())
    error = (fused.sentiment - sentiment).abs()
    likelihood = (error.detach() / width + width.log()).mean()
    return F.cross_entropy(logits, emotions) + 2 * error.square().mean() + 0.5 * likelihood


def random_present(size: int, rng: np.random.Generator) -> np.ndarray:
    """Modality dropout: a random subset of the modalities, never empty; bool (B, M)."""
    return SUBSETS.numpy()[rng.integers(1, 2**M, size)]


def _tensors(c: Combination) -> Batch:
    return (*c.tokens, *c.masks, c.emotions, c.sentiment)


def _freeze_encoders(network: Network) -> None:
    for part in (network.faces, network.voice, network.text):
        part.eval().requires_grad_(False)


@torch.inference_mode()
def set_temperatures(network: Network, bundles: list[Bundle]) -> None:
    """One temperature per modality."""
    for m, bundle in enumerate(bundles):
        network.fusion.temperature[m] = fit_temperature(alone(network, bundle, m), bundle.labels)


@torch.inference_mode()
def set_quantiles(network: Network, bundles: list[Bundle], size: int) -> None:
    """One conformal factor per subset, on combinations of clean samples of equal label."""
    rng = np.random.default_rng(7)
    network.fusion.quantile.fill_(1.0)
    for code in range(1, 2**M):
        present = np.repeat(SUBSETS[code : code + 1].numpy(), size, 0)
        c = combine(bundles, present, rng, CLEAN)
        opinions = network.opinions(c.tokens, c.masks)
        fused = network.fusion(opinions)
        logits = network.fusion.pooled_logits(opinions, fused.weights)
        width = network.fusion.half_width(opinions, fused.weights, logits)
        error = (fused.sentiment - c.sentiment).abs()
        factor = conformal_factor(error.numpy(), width.numpy(), COVERAGE)
        network.fusion.quantile[code] = factor


@torch.inference_mode()
def set_sharpness(network: Network, bundles: list[Bundle], size: int) -> None:
    """Temperature of the fused score with two and with three modalities, on clean combinations."""
    rng = np.random.default_rng(8)
    for count in (2, 3):
        choices = np.array([s for s in SUBSETS.numpy() if s.sum() == count])
        c = combine(bundles, choices[rng.integers(0, len(choices), size)], rng, CLEAN)
        opinions = network.opinions(c.tokens, c.masks)
        fused = network.fusion(opinions)
        logits = network.fusion.pooled_logits(opinions, fused.weights)
        network.fusion.sharpness[count - 2] -= np.log(fit_temperature(logits, c.emotions.argmax(1)))


@torch.inference_mode()
def report_alone(network: Network, bundles: list[Bundle]) -> dict[str, dict[str, float]]:
    """Per modality, on the reporting half: accuracy, UAR, F1, ECE before and after, baselines."""
    figures = {}
    for m, bundle in enumerate(bundles):
        logits, labels = alone(network, bundle, m), bundle.labels.numpy()
        raw = logits.softmax(-1).numpy()
        calm = network.fusion.calibrated(m, logits).exp().numpy()
        figures[MODALITIES[m]] = {
            "n": len(labels),
            "accuracy": accuracy(calm, labels),
            "uar": uar(calm, labels),
            "macro_f1": macro_f1(calm, labels),
            "chance_uar": 1 / len(np.unique(labels)),
            "majority": majority(labels),
            "ece_raw": ece(raw, labels),
            "ece": ece(calm, labels),
            "temperature": float(network.fusion.temperature[m]),
        }
    return figures


@torch.inference_mode()
def report_fused(
    network: Network, bundles: list[Bundle], recipe: Recipe = CLEAN, size: int = 4000
) -> dict[str, dict[str, float]]:
    """Per subset, on made-up people with balanced classes."""
    figures = {}
    for code in range(1, 2**M):
        rng = np.random.default_rng(9)  # the same people for every subset
        present = np.repeat(SUBSETS[code : code + 1].numpy(), size, 0)
        c = combine(bundles, present, rng, recipe)
        fused = network.fusion(network.opinions(c.tokens, c.masks))
        probabilities, labels = fused.emotions.numpy(), c.emotions.argmax(1).numpy()
        inside = (fused.low <= c.sentiment) & (c.sentiment <= fused.high)
        name = "+".join(MODALITIES[m] for m in range(M) if SUBSETS[code, m])
        figures[name] = {
            "n": size,
            "accuracy": accuracy(probabilities, labels),
            "ece": ece(probabilities, labels),
            "sentiment_mae": float((fused.sentiment - c.sentiment).abs().mean()),
            "coverage": float(inside.float().mean()),
            "width": float((fused.high - fused.low).mean()),
        }
    return figures


def train_fusion(
    network: Network, data: Path, *, cache: Path, steps: int = 1500, seed: int = 0,
    quick: bool = False, runs: Path = Path("runs"),
) -> dict[str, dict]:  # fmt: skip
    """Fit gate, temperatures and intervals in place; return the figures of the reporting half."""
    torch.manual_seed(seed)
    _freeze_encoders(network)
    sets = build(network, data, cache, quick)
    set_temperatures(network, sets.fit)
    rng = np.random.default_rng(seed)
    per_epoch = 10 if quick else steps // 5

    def batches() -> list[Batch]:
        return [
            _tensors(combine(sets.fit, random_present(BATCH, rng), rng, Recipe()))
            for _ in range(per_epoch)
        ]

    def evaluate(_: Fusion) -> dict[str, float]:
        whole = report_fused(network, sets.fit, size=500)["video+audio+text"]
        return {"accuracy": whole["accuracy"]}

    plan = Plan(name="fusion", epochs=1 if quick else 5, steps_per_epoch=per_epoch, runs=runs,
                learning_rate=3e-3)  # fmt: skip
    network.eval()
    fitted = fit(network.fusion, batches, lambda _, b: _loss(network, b), evaluate, plan)
    network.fusion.load_state_dict(fitted.state_dict())
    size = 200 if quick else 4000
    set_sharpness(network, sets.fit, size)
    set_quantiles(network, sets.fit, size)
    return {
        "alone": report_alone(network, sets.report),
        "fused": report_fused(network, sets.report, size=size),
        "fused_hard": report_fused(network, sets.report, Recipe(), size),
    }
