"""Face crops to tokens and emotion logits.

A small residual CNN (He et al. 2016) trained on the vote distributions of FER+ (Barsoum et al.
2016, "Training deep networks for facial expression recognition with crowd-sourced label
distribution"). Strides come early, so that two crops fit in two milliseconds of one core.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.labels import FERPLUS, ferplus_matrix

TOKEN_D = 128


def _conv(c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """x + conv(x), shape (B, C, H, W) unchanged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def standardise(pixels: Tensor) -> Tensor:
    """uint8 or float (B, H, W) -> float32 (B, 1, H, W), zero mean and unit deviation per crop."""
    x = pixels.float().unsqueeze(1)
    mean = x.mean((2, 3), keepdim=True)
    deviation = x.std((2, 3), keepdim=True, correction=0)
    return (x - mean) / (deviation + 8.0)  # 8 grey levels: a flat crop stays near zero


class FaceEncoder(nn.Module):
    """(B, 48, 48) grey crops -> tokens (B, D) and, by `logits`, seven emotions."""

    to_emotion: Tensor

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(1, 32, 5, 2), _conv(32, 64, 3, 2), Residual(64), _conv(64, 128, 3, 2),
            Residual(128), Residual(128), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(TOKEN_D, len(FERPLUS))
        self.register_buffer("to_emotion", torch.from_numpy(ferplus_matrix()), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 48, 48) -> (B, D)."""
        return self.body(standardise(pixels))

    def ferplus_logits(self, tokens: Tensor) -> Tensor:
        """(B, D) -> (B, 8) over the FER+ classes."""
        return self.head(self.dropout(tokens))

    def logits(self, tokens: Tensor) -> Tensor:
        """(B, D) -> (B, 7) log-probabilities of the seven emotions, contempt within disgust."""
        probabilities = self.ferplus_logits(tokens).softmax(-1) @ self.to_emotion
        return probabilities.clamp_min(1e-8).log()
