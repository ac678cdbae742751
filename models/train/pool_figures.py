"""What the pool is worth: calibration and coverage, alone and fused, clean and degraded."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.fusion import SUBSETS, M
from models.metrics import accuracy, ece, macro_f1, majority, uar
from models.network import TOKEN_D, Network
from models.train.bundles import CLEAN, POOR, Bundle, Mix, combine
from models.types import MODALITIES

Row = dict[str, float]
LIMITS = (0.3, 0.45, 0.6, 0.75, 0.9, 9.0)  # half-widths; 9 lets everything pass


def figures_of(network: Network, bundles: list[Bundle], draws: int) -> dict[str, Row]:
    """Rows named by what is shown and in which state; all on samples that fitted nothing."""
    rows: dict[str, Row] = {}
    for m, bundle in enumerate(bundles):
        rows[MODALITIES[m]] = _alone(network, bundle, bundle.tokens, m)
        rows[f"{MODALITIES[m]}, degraded"] = _alone(network, bundle, bundle.poor, m)
    for name, mix in (("clean", CLEAN), ("degraded", POOR), ("mixed", Mix())):
        for code in range(1, 2**M):
            rows[f"{subset_name(code)}: {name}"] = _fused(network, bundles, code, mix, draws)
    return {**rows, **risk_coverage(network, bundles, draws)}


def subset_name(code: int) -> str:
    """The modalities of a subset, joined by a plus sign."""
    return "+".join(MODALITIES[m] for m in range(M) if code >> m & 1)


@torch.inference_mode()
def _alone(network: Network, bundle: Bundle, tokens: Tensor, m: int) -> Row:
    """One modality over its samples, as frequent as they are."""
    size, labels = len(bundle.labels), bundle.labels.numpy()
    all_tokens = [torch.zeros(size, 1, TOKEN_D) for _ in range(M)]
    masks = [torch.zeros(size, 1, dtype=torch.bool) for _ in range(M)]
    all_tokens[m], masks[m] = tokens, bundle.mask
    raw = network.logits(all_tokens, masks)[0][m].softmax(-1).numpy()
    calm = network.opinions(all_tokens, masks).log_probabilities[:, m].exp().numpy()
    return {
        "n": size,
        "accuracy": accuracy(calm, labels),
        "uar": uar(calm, labels),
        "macro_f1": macro_f1(calm, labels),
        "majority": majority(labels),
        "ece_raw": ece(raw, labels),
        "ece": ece(calm, labels),
    }


@torch.inference_mode()
def _fused(network: Network, bundles: list[Bundle], code: int, mix: Mix, draws: int) -> Row:
    rng = np.random.default_rng(9)
    present = np.repeat(SUBSETS[code : code + 1].numpy(), draws, 0)
    c = combine(bundles, present, rng, mix)
    fused = network.fusion(network.opinions(c.tokens, c.masks))
    probabilities, labels = fused.emotions.numpy(), c.emotions.argmax(1).numpy()
    inside = (fused.low <= c.sentiment) & (c.sentiment <= fused.high)
    return {
        "n": draws,
        "accuracy": accuracy(probabilities, labels),
        "ece": ece(probabilities, labels),
        "sentiment_mae": float((fused.sentiment - c.sentiment).abs().mean()),
        "coverage": float(inside.float().mean()),
        "width": float((fused.high - fused.low).mean()),
    }


@torch.inference_mode()
def risk_coverage(network: Network, bundles: list[Bundle], draws: int) -> dict[str, Row]:
    """Share of windows that get a score, and its error, by the widest interval that is let pass.

    People with any subset of the modalities, a third of the samples degraded, a quarter
    contradicting.
    """
    rng = np.random.default_rng(11)
    present = SUBSETS.numpy()[rng.integers(1, 2**M, draws)]
    c = combine(bundles, present, rng, Mix())
    fused = network.fusion(network.opinions(c.tokens, c.masks))
    error = (fused.sentiment - c.sentiment).abs()
    right = fused.emotions.argmax(1) == c.emotions.argmax(1)
    rows = {}
    for limit in LIMITS:
        kept = fused.width <= limit
        name = "every window scored" if limit > 2 else f"half-width up to {limit}"
        rows[name] = {
            "n": int(kept.sum()),
            "scored": float(kept.float().mean()),
            "sentiment_mae": float(error[kept].mean()) if kept.any() else float("nan"),
            "accuracy": float(right[kept].float().mean()) if kept.any() else float("nan"),
        }
    return rows
