"""The registry's fusions on made-up people, against the live pool, per subset of the modalities.

No corpus at hand has face, voice and words of one person with a label, so combinations are made of
held-out samples (models/train/bundles.py): of equal labels, and of deliberately unequal labels with
degraded samples among them. Fitted on the third of the samples that the pool is fitted on, reported
on the third that nothing was fitted on (models/train/pool.py); several seeds. One row adds the
contrastive loss over pairs of equal label. Run:
python -m benchmarks.trimodal --data ../shared/data
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.report import show, write
from models import metrics, score_metrics, weights
from models.align.contrastive import chance_at_k, clip_loss, recall_at_k
from models.fusion import SUBSETS, M
from models.fusions import FUSIONS, StepFusion, make
from models.network import Network
from models.pooling import masked_mean
from models.threads import limit_threads
from models.train.bundles import CLEAN, Bundle, Combination, Mix, bundles_of, combine, part_of
from models.types import EMOTIONS, MODALITIES

HARD = Mix()
STEPS, BATCH, RATE = 700, 128, 2e-3
REPORTED = 3000
NAMES = ["+".join(m for m, here in zip(MODALITIES, s, strict=True) if here) for s in SUBSETS]
Figures = dict[str, dict[str, list[float]]]  # set and subset -> metric -> by seed
Step = tuple[dict[str, Tensor], dict[str, Tensor]]


def as_steps(network: Network, c: Combination) -> Step:
    """Each modality pooled over its window to one token: sequences of one step."""
    pooled = [
        masked_mean(c.tokens[0], c.masks[0]),
        network.voice.pool(c.tokens[1], c.masks[1]),
        masked_mean(c.tokens[2], c.masks[2]),
    ]
    tokens = {m: x.unsqueeze(1) for m, x in zip(MODALITIES, pooled, strict=True)}
    masks = {m: k.any(1, keepdim=True) for m, k in zip(MODALITIES, c.masks, strict=True)}
    return tokens, masks


def fitted(
    name: str, network: Network, bundles: list[Bundle], seed: int, contrastive: float
) -> StepFusion:
    """Trained on combinations with modality dropout, contradiction and degraded samples."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    with torch.inference_mode():
        widths = {m: x.shape[-1] for m, x in as_steps(network, _drawn(bundles, rng, 2))[0].items()}
    fusion = make(name, widths, classes=len(EMOTIONS), dropout=0.3)
    optimiser = torch.optim.AdamW(fusion.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        with torch.no_grad():
            c = _drawn(bundles, rng, BATCH)
            tokens, masks = as_steps(network, c)
        loss = _loss(fusion, tokens, masks, c, contrastive)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return fusion.eval()


def _drawn(bundles: list[Bundle], rng: np.random.Generator, size: int) -> Combination:
    return combine(bundles, SUBSETS.numpy()[rng.integers(1, 2**M, size)], rng, HARD)


def _loss(
    fusion: StepFusion, tokens: dict[str, Tensor], masks: dict[str, Tensor], c: Combination,
    contrastive: float,
) -> Tensor:  # fmt: skip
    fused = fusion(tokens, masks)
    total = F.cross_entropy(fused.emotions[:, 0], c.emotions) + fused.loss
    total = total + 2 * F.mse_loss(fused.sentiment[:, 0], c.sentiment)
    for m, said in fused.alone.items():
        here = masks[m][:, 0]
        total = total + 0.3 * F.cross_entropy(said.emotions[here, 0], c.emotions[here])
    if contrastive:
        labels = c.emotions.argmax(1)
        for i in range(M):
            for j in range(i):
                here = masks[MODALITIES[i]][:, 0] & masks[MODALITIES[j]][:, 0]
                same = labels[here].unsqueeze(1) == labels[here]
                a, b = (fused.projected[MODALITIES[k]][here, 0] for k in (i, j))
                total = total + contrastive / M * clip_loss(a, b, same)
    return total


@torch.inference_mode()
def report(said_by: Any, bundles: list[Bundle]) -> dict[str, dict[str, float]]:
    """Accuracy, macro F1 and sentiment error per subset; the same people for everyone."""
    figures = {}
    for kind, mix in (("matched", CLEAN), ("mismatched and noisy", HARD)):
        for code in range(1, 2**M):
            present = np.repeat(SUBSETS[code : code + 1].numpy(), REPORTED, 0)
            c = combine(bundles, present, np.random.default_rng(9), mix)
            scores, sentiment = said_by(c)
            labels = c.emotions.argmax(1).numpy()
            figures[f"{kind}: {NAMES[code]}"] = {
                "accuracy": metrics.accuracy(scores, labels),
                "macro_f1": metrics.macro_f1(scores, labels),
                "sentiment_mae": score_metrics.mae(sentiment, c.sentiment.numpy()),
            }
    return figures


@torch.inference_mode()
def recalls(network: Network, fusion: StepFusion, bundles: list[Bundle]) -> dict[str, float]:
    """Of 700 matched people: does a modality find one of its label in another, at 1 and 10?"""
    present = np.ones((700, M), bool)
    c = combine(bundles, present, np.random.default_rng(11), CLEAN)
    projected = fusion(*as_steps(network, c)).projected
    labels = c.emotions.argmax(1).numpy()
    same = labels[:, None] == labels
    found = {}
    for k in (1, 10):
        rates = [
            recall_at_k(projected[a][:, 0].numpy(), projected[b][:, 0].numpy(), same, k)
            for a in MODALITIES
            for b in MODALITIES
            if a != b
        ]
        found |= {f"recall@{k}": float(np.mean(rates)), f"chance@{k}": chance_at_k(same, 700, k)}
    return found


def main() -> None:
    """Fit, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--weights", type=Path, default=weights.SHIPPED)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    limit_threads(1)
    network = Network.load(given.weights)
    bundles = bundles_of(network, given.weights, given.data, "valid", given.cache)
    fit, rest = ([part_of(bundle, part, 3) for bundle in bundles] for part in (0, 2))

    def pool(c: Combination) -> tuple[np.ndarray, np.ndarray]:
        fused = network.fusion(network.opinions(c.tokens, c.masks))
        return fused.emotions.numpy(), fused.sentiment.numpy()

    found = {"live pool": [report(pool, rest)]}
    recall: dict[str, list[dict[str, float]]] = {}
    runs = [(name, name, 0.0) for name in FUSIONS] + [("gated, contrastive", "gated", 0.3)]
    for title, name, contrastive in runs:
        for seed in range(given.seeds):
            fusion = fitted(name, network, fit, seed, contrastive)

            def said(c: Combination, fusion: StepFusion = fusion) -> tuple[np.ndarray, np.ndarray]:
                fused = fusion(*as_steps(network, c))
                return fused.emotions[:, 0].softmax(-1).numpy(), fused.sentiment[:, 0].numpy()

            found.setdefault(title, []).append(report(said, rest))
            recall.setdefault(title, []).append(recalls(network, fusion, rest))
    _tell(found, recall, given.seeds)


def _tell(
    found: dict[str, list[dict[str, dict[str, float]]]],
    recall: dict[str, list[dict[str, float]]], seeds: int,
) -> None:  # fmt: skip
    figures: dict[str, Any] = {
        title: {
            where: {k: metrics.over_seeds([r[where][k] for r in runs]) for k in runs[0][where]}
            for where in runs[0]
        }
        for title, runs in found.items()
    }
    for metric in ("accuracy", "macro_f1", "sentiment_mae"):
        for kind in ("matched", "mismatched and noisy"):
            show(
                f"{metric}, {kind}, {seeds} seeds",
                [
                    {"fusion": title} | {
                        name: "{:.3f} ±{:.3f}".format(*rows[f"{kind}: {name}"][metric])
                        for name in NAMES[1:]
                    }
                    for title, rows in figures.items()
                ],
            )  # fmt: skip
    kept = {
        t: {k: metrics.over_seeds([r[k] for r in rs]) for k in rs[0]} for t, rs in recall.items()
    }
    show(
        "Retrieval by label among 700, mean over pairs of modalities",
        [
            {"fusion": t} | {k: f"{m:.3f} ±{s:.3f}" for k, (m, s) in r.items()}
            for t, r in kept.items()
        ],
    )
    write("trimodal", {"seeds": seeds, "figures": figures, "recall": kept})


if __name__ == "__main__":
    main()
