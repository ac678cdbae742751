"""Face crops to tokens and emotion logits.

A small residual CNN (He et al. 2016) with squeeze-and-excitation (Hu et al. 2018) in its later
stages, trained on the vote distributions of FER+ (Barsoum et al. 2016, "Training deep networks for
facial expression recognition with crowd-sourced label distribution"). Most parameters sit where
the maps are small, so that five crops take a few milliseconds of one core.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.labels import FERPLUS, ferplus_matrix

TOKEN_D = 128
FLAT = 8.0  # grey levels added to the deviation of a crop: a flat crop stays near zero


def _conv(c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
    )


class Excite(nn.Module):
    """Scales each of the C maps by what the means of all maps suggest; (B, C, H, W) unchanged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, channels // 4), nn.ReLU(),
            nn.Linear(channels // 4, channels), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean((2, 3)))[:, :, None, None]


class Residual(nn.Module):
    """x + conv(x), or with `excite` x + excite(conv(x)); (B, C, H, W) unchanged."""

    def __init__(self, channels: int, *, excite: bool = False) -> None:
        super().__init__()
        self.body = _conv(channels, channels)
        self.excite = Excite(channels) if excite else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.excite(self.body(x))


def standardise(pixels: Tensor) -> Tensor:
    """uint8 or float (B, H, W) -> float32 (B, 1, H, W), zero mean and unit deviation per crop."""
    x = pixels.float().unsqueeze(1)
    mean = x.mean((2, 3), keepdim=True)
    deviation = x.std((2, 3), keepdim=True, correction=0)
    return (x - mean) / (deviation + FLAT)


class FaceEncoder(nn.Module):
    """(B, 48, 48) grey crops -> tokens (B, D) and, by `logits`, seven emotions.

    temperature: divides the logits of the head; fitted on validation faces after training.
    ranges: float (9, 3), see `observe`; zero before it.
    """

    ranges: Tensor
    to_emotion: Tensor
    temperature: Tensor

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(1, 24, 5, 2), Residual(24),
            _conv(24, 64, 3, 2), Residual(64),
            _conv(64, 128, 3, 2), Residual(128, excite=True),
            _conv(128, 192, 3, 2), Residual(192, excite=True),
            _conv(192, TOKEN_D, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(TOKEN_D, len(FERPLUS))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("ranges", torch.zeros(len(self._layers()), 3))
        self.register_buffer("to_emotion", torch.from_numpy(ferplus_matrix()), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 48, 48) -> (B, D)."""
        return self.body(standardise(pixels))

    def _layers(self) -> list[nn.Sequential]:
        """The convolutions, each with what follows it up to its ReLU, in order."""
        return [
            layer for layer in self.body.modules()
            if isinstance(layer, nn.Sequential) and isinstance(layer[0], nn.Conv2d)
        ]  # fmt: skip

    @torch.inference_mode()
    def observe(self, pixels: Tensor) -> None:
        """Widen the ranges to the lowest and highest input and the highest output of each layer.

        pixels: crops (B, 48, 48) that it was trained on; `models.integers` scales by the ranges.
        """
        found: list[Tensor] = []

        def note(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            found.append(torch.stack([inputs[0].min(), inputs[0].max(), output.max()]))

        hooks = [layer.register_forward_hook(note) for layer in self._layers()]
        try:
            self.eval()(pixels)
        finally:
            for hook in hooks:
                hook.remove()
        low, high = torch.stack(found).split([1, 2], 1)
        self.ranges[:, :1].clamp_max_(low)
        self.ranges[:, 1:].clamp_min_(high)

    def ferplus_logits(self, tokens: Tensor) -> Tensor:
        """(B, D) -> (B, 8) over the FER+ classes."""
        return self.head(self.dropout(tokens)) / self.temperature

    def logits(self, tokens: Tensor) -> Tensor:
        """(B, D) -> (B, 7) log-probabilities of the seven emotions, contempt within disgust."""
        probabilities = self.ferplus_logits(tokens).softmax(-1) @ self.to_emotion
        return probabilities.clamp_min(1e-8).log()
