"""Train the face encoder on FER+ vote distributions.

Progressive resizing (Howard 2018; Tan & Le 2021, "EfficientNetV2") keeps it short: early epochs see
the faces at 32 pixels, the last at the full 48. Augmentation: mirror images, affine maps, gamma,
noise, random erasing (Zhong et al. 2017) and mixup (Zhang et al. 2018) within the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.calibration import fit_temperature
from models.data.faces import PARTS, FaceSet, load_faces
from models.encoders.faces import FaceEncoder
from models.errors import DataError
from models.labels import FERPLUS
from models.metrics import accuracy, ece, macro_f1, uar
from models.predictors.linear import hog
from models.train.linear import LinearTask
from models.train.recipe import Recipe
from models.train.task import Batch, Task
from models.types import FACE_PX

EVALUATION_BATCH = 256
OBSERVED = 2048  # training faces that the ranges of the convolutions are noted on


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """float (n,) in low..high."""
    return torch.rand(n, generator=generator) * (high - low) + low


def augment(pixels: Tensor, generator: torch.Generator, size: int = FACE_PX) -> Tensor:
    """Mirror, turn (14 degrees), scale (0.82..1.2), shift (10 %), gamma, noise; (B, size, size)."""
    n = len(pixels)
    angle = uniform(n, -0.25, 0.25, generator)
    scale = uniform(n, 0.82, 1.2, generator)
    flip = torch.where(uniform(n, 0, 1, generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    x, y = uniform(n, -0.2, 0.2, generator), uniform(n, -0.2, 0.2, generator)
    theta = torch.stack([cos * flip, -sin, x, sin * flip, cos, y], 1).view(-1, 2, 3)
    images = pixels.float().unsqueeze(1) / 255
    grid = F.affine_grid(theta, [n, 1, size, size], align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gamma = torch.exp(uniform(n, -0.5, 0.5, generator)).view(-1, 1, 1, 1)
    images = images.clamp_min(1e-4) ** gamma * 255
    noise = torch.randn(images.shape, generator=generator)
    amount = 8 * uniform(n, 0, 1, generator).view(-1, 1, 1, 1) ** 2
    return (images + amount * noise).squeeze(1)


def erase(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Put a grey box, a quarter to a half of each side, over `share` of (B, H, W), in place."""
    n, size = len(images), images.shape[-1]
    chosen = (torch.rand(n, generator=generator) < share).nonzero().flatten().tolist()
    for i in chosen:
        h, w = (uniform(2, 0.2, 0.5, generator) * size).int().tolist()
        top, left = (torch.rand(2, generator=generator) * size).int().tolist()
        y, x = max(top - h // 2, 0), max(left - w // 2, 0)
        images[i, y : top + h // 2, x : left + w // 2] = images[i].mean()
    return images


def mix(images: Tensor, targets: Tensor, alpha: float, generator: torch.Generator) -> Batch:
    """Each face laid over another of the batch by its own share from Beta(alpha, alpha)."""
    seed = int(torch.randint(2**31, (), generator=generator))
    lam = np.random.default_rng(seed).beta(alpha, alpha, len(images)).astype(np.float32)
    share = torch.from_numpy(np.maximum(lam, 1 - lam))[:, None]
    order = torch.randperm(len(images), generator=generator)
    mixed = images * share[:, None] + images[order] * (1 - share[:, None])
    return mixed, targets * share + targets[order] * (1 - share)


def soft_targets(faces: FaceSet) -> tuple[np.ndarray, np.ndarray]:
    """Vote shares (B, 8) without single votes, and the weight (B,) of each face, 0..1.

    A single vote of ten is taken for a slip (Barsoum et al. 2016), unless there is nothing else. A
    face weighs as much as the share of annotators who saw an emotion in it.
    """
    votes = np.where(faces.votes > 1, faces.votes, 0)
    votes = np.where(votes.sum(1, keepdims=True) > 0, votes, faces.votes)
    weight = np.minimum(votes.sum(1) / 10, 1)
    return (votes / votes.sum(1, keepdims=True)).astype(np.float32), weight.astype(np.float32)


class FacesTask:
    """Face encoder on FER+.

    data options: sizes {px: share of the epochs}, mix (alpha, 0: off), erase (share), limit
    (faces per part, for trials).
    """

    part = "faces"

    def __init__(self, recipe: Recipe, parts: dict[str, FaceSet]) -> None:
        self.recipe = recipe
        limit = recipe.data.get("limit")
        self._parts = {k: v.head(limit) if limit else v for k, v in parts.items()}
        self._train = self._parts["train"]
        if len(self._train) < recipe.batch or not len(self._parts["valid"]):
            raise DataError(
                f"faces: expected at least {recipe.batch} faces (one batch) to train on and some "
                f"to validate, got {len(self._train)} and {len(self._parts['valid'])}"
            )
        self._targets, self._weights = soft_targets(self._train)
        if (self._targets > 0).any(0).sum() < 2:
            raise DataError("faces: expected votes for at least two emotions, got one class only")
        self.steps = len(self._train) // recipe.batch

    def model(self) -> nn.Module:
        """Convolutions run faster with the channels innermost."""
        model = FaceEncoder(**self.recipe.options)
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def size(self, epoch: int) -> int:
        """Side in pixels that an epoch sees the faces at."""
        done = epoch / max(self.recipe.epochs - 1, 1)
        total = 0.0
        sizes: dict[int, float] = self.recipe.data.get("sizes", {FACE_PX: 1.0})
        for size, share in sizes.items():
            total += share
            if done < total:
                return int(size)
        return FACE_PX

    def batches(self, epoch: int) -> Iterator[Batch]:
        """(float (B, size, size), targets (B, 8), weights (B,))."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 1000 + epoch)
        order = torch.randperm(len(self._train), generator=generator).numpy()
        alpha, share = self.recipe.data.get("mix", 0.0), self.recipe.data.get("erase", 0.0)
        size, n = self.size(epoch), self.recipe.batch
        for rows in order[: self.steps * n].reshape(-1, n):
            images = augment(torch.from_numpy(self._train.pixels[rows]), generator, size)
            images = erase(images, share, generator)
            targets = torch.from_numpy(self._targets[rows])
            if alpha:
                images, targets = mix(images, targets, alpha, generator)
            yield images, targets, torch.from_numpy(self._weights[rows])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy with the vote shares, weighted by how many annotators saw an emotion."""
        images, targets, weights = batch
        assert isinstance(model, FaceEncoder)
        losses = F.cross_entropy(model.ferplus_logits(model(images)), targets, reduction="none")
        return (losses * weights).sum() / weights.sum()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Accuracy on valid, all faces and clear ones, and UAR."""
        assert isinstance(model, FaceEncoder)
        figures = measure(model, self._parts["valid"])
        return {key: figures[key] for key in ("accuracy", "accuracy_clear", "uar")}

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """Fit the temperature on valid, note the ranges; figures on the test part and on valid."""
        assert isinstance(model, FaceEncoder)
        valid = self._parts["valid"]
        with torch.inference_mode():
            logits = model.ferplus_logits(tokens_of(model, valid.pixels)) * model.temperature
        model.temperature.fill_(fit_temperature(logits, torch.from_numpy(valid.labels)))
        model.observe(torch.from_numpy(self._train.pixels[:OBSERVED]))
        parameters = sum(p.numel() for p in model.parameters())
        figures: dict[str, Any] = {"parameters": parameters, "train_n": len(self._train)}
        for part in ("valid", "test"):
            figures[part] = measure(model, self._parts[part], full=True)
        return figures


def build(recipe: Recipe, data: Path, cache: Path) -> Task:
    """The task over FER+ below `data`: the encoder, or with `model: hog-linear` the baseline."""
    parts = {part: load_faces(data, part) for part in PARTS}
    return hog_task(recipe, parts) if recipe.model == "hog-linear" else FacesTask(recipe, parts)


def hog_task(recipe: Recipe, parts: dict[str, FaceSet]) -> LinearTask:
    """Softmax regression on histograms of oriented gradients."""
    held = {}
    for name in ("valid", "test"):
        part = parts[name]
        held[name] = (hog(part.pixels), part.labels, partial(measure_logits, part))
    return LinearTask(recipe, (hog(parts["train"].pixels), soft_targets(parts["train"])[0]), held)


@torch.inference_mode()
def tokens_of(model: FaceEncoder, pixels: np.ndarray) -> Tensor:
    """Tokens (B, D) of uint8 crops (B, 48, 48), in batches."""
    parts = np.array_split(pixels, max(1, len(pixels) // EVALUATION_BATCH))
    return torch.cat([model(torch.from_numpy(part)) for part in parts])


@torch.inference_mode()
def probabilities_of(model: FaceEncoder, pixels: np.ndarray, *, mirrored: bool) -> np.ndarray:
    """(B, 8) over FERPLUS; `mirrored`: the mean of each face and its mirror image."""
    guess = model.ferplus_logits(tokens_of(model, pixels)).softmax(-1).numpy()
    if not mirrored:
        return guess
    other = model.ferplus_logits(tokens_of(model, pixels[:, :, ::-1].copy())).softmax(-1)
    return (guess + other.numpy()) / 2


def measure(model: FaceEncoder, faces: FaceSet, *, full: bool = False) -> dict[str, Any]:
    """Figures of the encoder; `full`: those with the mirror image averaged in as well."""
    figures = figures_of(probabilities_of(model, faces.pixels, mirrored=False), faces)
    if full:
        both = figures_of(probabilities_of(model, faces.pixels, mirrored=True), faces)
        figures |= {f"{k}_mirrored": both[k] for k in ("accuracy", "accuracy_clear", "ece")}
    return figures


def measure_logits(faces: FaceSet, logits: Tensor) -> dict[str, Any]:
    """Figures of logits (B, 8)."""
    return figures_of(logits.softmax(-1).numpy(), faces)


def figures_of(guess: np.ndarray, faces: FaceSet) -> dict[str, Any]:
    """Figures of probabilities (B, 8) against the majority vote of eight classes.

    Without suffix: all faces. With `_clear`: those with more than half of the votes for one class.
    """
    labels, clear = faces.labels, faces.clear
    confusion = np.zeros((len(FERPLUS), len(FERPLUS)), int)
    np.add.at(confusion, (labels, guess.argmax(1)), 1)
    figures: dict[str, Any] = {"n": len(labels), "n_clear": int(clear.sum())}
    for suffix, rows in (("", slice(None)), ("_clear", clear)):
        for name, metric in (("accuracy", accuracy), ("uar", uar), ("macro_f1", macro_f1),
                             ("ece", ece)):  # fmt: skip
            figures[name + suffix] = metric(guess[rows], labels[rows])
    return figures | {"confusion": confusion.tolist()}
