"""Train the face encoder on FER+ vote distributions.

Progressive resizing (Howard 2018; Tan & Le 2021, "EfficientNetV2") keeps it short: the first
epochs see the faces at 32 pixels, the last third at the full 48.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.data.faces import FaceSet, load_faces
from models.encoders.faces import FaceEncoder
from models.metrics import accuracy, uar
from models.train.loop import Batch, Plan, fit
from models.types import FACE_PX

BATCH = 128
SMALL_PX = 32


def augment(pixels: Tensor, generator: torch.Generator, size: int = FACE_PX) -> Tensor:
    """Flip, turn (12 degrees), scale (0.85..1.2), shift (10 %), gamma; float (B, size, size)."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(len(pixels), generator=generator) * (high - low) + low

    angle, scale = uniform(-0.21, 0.21), uniform(0.85, 1.2)
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [cos * flip, -sin, uniform(-0.2, 0.2), sin * flip, cos, uniform(-0.2, 0.2)]
    theta = torch.stack(rows, 1).view(-1, 2, 3)
    images = pixels.float().unsqueeze(1) / 255
    grid = F.affine_grid(theta, [len(images), 1, size, size], align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gamma = torch.exp(uniform(-0.4, 0.4)).view(-1, 1, 1, 1)
    return (images.clamp_min(1e-4) ** gamma * 255).squeeze(1)


def _batches(faces: FaceSet, seed: int, size: int) -> Iterator[Batch]:
    order = np.random.default_rng(seed).permutation(len(faces))
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        pixels = augment(torch.from_numpy(faces.pixels[chosen]), generator, size)
        yield pixels, torch.from_numpy(faces.targets[chosen])


def _loss(model: FaceEncoder, batch: Batch) -> Tensor:
    pixels, targets = batch
    return F.cross_entropy(model.ferplus_logits(model(pixels)), targets)


@torch.inference_mode()
def tokens_of(model: FaceEncoder, pixels: np.ndarray) -> Tensor:
    """Tokens (B, D) of uint8 crops (B, 48, 48), in batches."""
    return torch.cat([model(torch.from_numpy(part)) for part in np.array_split(
        pixels, max(1, len(pixels) // 256))])  # fmt: skip


@torch.inference_mode()
def evaluate(model: FaceEncoder, faces: FaceSet) -> dict[str, float]:
    """Accuracy and UAR against the majority vote of eight classes."""
    probabilities = model.ferplus_logits(tokens_of(model, faces.pixels)).softmax(-1).numpy()
    labels = faces.targets.argmax(1)
    return {"accuracy": accuracy(probabilities, labels), "uar": uar(probabilities, labels)}


def train_faces(
    data: Path, *, epochs: int = 15, seed: int = 0, quick: bool = False, runs: Path = Path("runs")
) -> FaceEncoder:
    """The whole of it: read, train, return the averaged encoder."""
    torch.manual_seed(seed)
    train, valid = load_faces(data, "train"), load_faces(data, "valid")
    if quick:
        train, valid, epochs = train.head(2 * BATCH), valid.head(BATCH), 1
    sizes = [SMALL_PX if 3 * epoch < 2 * (epochs - 1) else FACE_PX for epoch in range(epochs)]
    passes = iter(enumerate(sizes, start=seed * 1000))
    plan = Plan(
        name="faces", epochs=epochs, steps_per_epoch=max(1, len(train) // BATCH), runs=runs,
        learning_rate=4e-3,
    )  # fmt: skip
    model = FaceEncoder().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fit(
        model, lambda: _batches(train, *next(passes)), _loss,
        lambda model: evaluate(model, valid), plan,
    )  # fmt: skip
