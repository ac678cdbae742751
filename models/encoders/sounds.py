"""Sounds to tokens: a head over what the trunk makes of each hop, pooled over a window's hops.

The trunk has heard speech, yet its statistics tell the sounds of a room apart better than a network
that learnt from these sounds alone: few as they are, they can teach a head, not ears. It costs next
to nothing where somebody speaks, for the trunk is run for the voice there in any case.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import features, weights
from models.encoders.trunk import Listener, Trunk
from models.errors import WeightsError
from models.labels import SOUNDS

HOP_T = 50  # frames of a hop of 0.5 s
SILENT = -20.0  # nats; below what any microphone gives


class SoundEncoder(Listener):
    """(B, 768) statistics of one hop by the trunk -> token (B, D); `pool` joins those of a window.

    `logits` gives the ten sounds of SOUNDS and, last, "other".
    temperature: divides the logits; fitted on clips that the training left out.
    over: the mark of the trunk that it learnt over; what another trunk hears means nothing to it.
    """

    temperature: Tensor
    over: Tensor

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__(len(SOUNDS) + 1, dropout)
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("over", torch.zeros(8, dtype=torch.uint8))

    def logits(self, pooled: Tensor) -> Tensor:
        """(B, D) -> (B, 11)."""
        return self.head(self.dropout(pooled)) / self.temperature

    def of_clips(self, statistics: Tensor, mask: Tensor) -> Tensor:
        """(B, hops, 768) and bool (B, hops) -> (B, 11)."""
        return self.logits(self.pool(self.token(statistics), mask))


def load(folder: Path, trunk: Trunk) -> SoundEncoder:
    """The part "sounds" of a folder; refused if it learnt over another trunk."""
    part = weights.load(SoundEncoder(), folder, "sounds")
    theirs, ours = (bytes(mark.tolist()).hex() for mark in (part.over, trunk.mark()))
    if theirs != ours:
        raise WeightsError(
            f"{folder}, part 'sounds': expected one trained over the trunk {ours} of the voice, "
            f"got one over {theirs}; train it anew over this one: "
            "attune train configs/recipes/sounds.yaml --set data.trunk=FOLDER_OF_THE_VOICE"
        )
    return part


@torch.inference_mode()
def heard(trunk: Trunk, mel: np.ndarray) -> Tensor:
    """(T, 64) frames of a clip in nats -> statistics of its hops (hops, 768)."""
    hops = hops_of(mel, max(1, -(-len(mel) // HOP_T)))
    return trunk.statistics(torch.from_numpy(hops))


def hops_of(mel: np.ndarray, hops: int) -> np.ndarray:
    """(T, 64) nats -> float32 (hops, 24 + 50, 64) as a live stream would cut them.

    What is missing at the end is silence.
    """
    missing = hops * HOP_T - len(mel)
    if missing > 0:
        mel = np.concatenate([mel, np.full((missing, features.MELS), SILENT, np.float32)])
    frames, _ = features.normalise(mel[: hops * HOP_T], features.PEAK_FLOOR)
    return cut(frames)


def cut(frames: np.ndarray) -> np.ndarray:
    """Normalised (hops * 50, 64) -> (hops, 74, 64), each hop after its 24 frames of context."""
    line = np.concatenate([features.MelState.initial().context, frames])
    width = features.CONTEXT_T + HOP_T
    windows = np.lib.stride_tricks.sliding_window_view(line, width, axis=0)[::HOP_T]
    return windows.transpose(0, 2, 1).copy()
