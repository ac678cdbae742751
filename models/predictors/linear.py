"""Linear baselines: features made by hand, standardised, times a matrix."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn

from models import features, weights

FOLDER = weights.SHIPPED / "baselines"
MFCC_N = 20
CELL_PX = 6
BINS = 9


class Linear(nn.Module):
    """(B, F) features -> (B, C) logits. mean, scale: (F,), of the features in training."""

    mean: Tensor
    scale: Tensor
    temperature: Tensor

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.register_buffer("temperature", torch.ones(()))
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, C)."""
        return self.head((x - self.mean) / self.scale) / self.temperature


def hog(pixels: np.ndarray) -> np.ndarray:
    """uint8 (B, 48, 48) -> float32 (B, 1764): histograms of oriented gradients.

    After Dalal & Triggs (2005): cells of 6 by 6 px, 9 orientations without sign, each gradient
    shared between the two nearest, blocks of 2 by 2 cells scaled to unit length.
    """
    x = pixels.astype(np.float32)
    dy, dx = np.gradient(x, axis=(1, 2))
    size = np.hypot(dx, dy)
    place = np.mod(np.arctan2(dy, dx), np.pi) / np.pi * BINS
    low = np.floor(place)
    share = place - low
    n, cells = len(x), x.shape[1] // CELL_PX
    histogram = np.zeros((n, cells, cells, BINS), np.float32)
    for b in range(BINS):
        part = size * ((low % BINS == b) * (1 - share) + ((low + 1) % BINS == b) * share)
        histogram[..., b] = part.reshape(n, cells, CELL_PX, cells, CELL_PX).sum((2, 4))
    corners = [histogram[:, i : cells - 1 + i, j : cells - 1 + j] for i in (0, 1) for j in (0, 1)]
    blocks = np.concatenate(corners, -1)
    blocks /= np.linalg.norm(blocks, axis=-1, keepdims=True) + 1.0
    return blocks.reshape(n, -1)


def mfcc(mel: np.ndarray) -> np.ndarray:
    """(T, 64) nats -> float32 (80,): mean and deviation of 20 cepstra and of their differences."""
    if len(mel) < 2:
        mel = np.concatenate([mel, np.full((2 - len(mel), features.MELS), -20.0, np.float32)])
    cepstra = dct(np.maximum(mel.astype(np.float32), -20.0), norm="ortho")[:, :MFCC_N]
    change = np.diff(cepstra, axis=0)
    parts = (cepstra.mean(0), cepstra.std(0), change.mean(0), change.std(0))
    return np.concatenate(parts).astype(np.float32)
