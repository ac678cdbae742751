"""The old way, for comparison: CNN + LSTM + LSTM, concatenated, dense, softmax.

The network that introductory texts on multimodal emotion recognition draw: a CNN over the face, an
LSTM over spectral frames, an LSTM over word embeddings, their last states concatenated into dense
layers with a softmax over seven emotions. A missing modality is zeros, for it knows no mask. The
three heads of one branch each are ours, so that each branch can be measured as if alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models import features
from models.types import EMOTIONS

FRAMES_T = 100  # frames of 20 ms: two seconds
WORDS_T = 24
BUCKETS = 4096
WIDTH = 64


def word_ids(texts: Sequence[str]) -> Tensor:
    """Texts -> int64 (B, 24): hashes of the last words in 1..4095; 0 on the left where none is."""
    ids = np.zeros((len(texts), WORDS_T), np.int64)
    for row, text in enumerate(texts):
        words = [zlib.crc32(w.strip(".,!?;:\"'()").encode()) for w in text[:2000].lower().split()]
        coded = [1 + word % (BUCKETS - 1) for word in words][-WORDS_T:]
        if coded:
            ids[row, -len(coded) :] = coded
    return torch.from_numpy(ids)


def frames_of(samples: np.ndarray) -> np.ndarray:
    """float32 (N,) at 16 kHz -> (100, 64): the two loudest seconds, standardised by their own."""
    missing = features.STEP_N * 2 * FRAMES_T + features.FRAME_N - len(samples)
    mel = features.log_mel(np.pad(features.sanitise(samples), (0, max(0, missing))))
    mel = mel[: len(mel) // 2 * 2].reshape(-1, 2, features.MELS).mean(1)
    energy = np.convolve(mel.mean(1), np.ones(FRAMES_T), "valid")
    start = int(energy.argmax())
    part = mel[start : start + FRAMES_T]
    return ((part - part.mean()) / (part.std() + 1e-3)).astype(np.float32)


class PlainNet(nn.Module):
    """faces (B, 48, 48), frames (B, 100, 64), words int64 (B, 24) -> logits (B, 7)."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(48 * 36, WIDTH), nn.ReLU(),
        )  # fmt: skip
        self.audio = nn.LSTM(features.MELS, WIDTH, batch_first=True)
        self.table = nn.Embedding(BUCKETS, 32, padding_idx=0)
        self.text = nn.LSTM(32, WIDTH, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Sequential(nn.Linear(3 * WIDTH, WIDTH), nn.ReLU())
        self.softmax = nn.Linear(WIDTH, len(EMOTIONS))
        self.alone = nn.ModuleList(nn.Linear(WIDTH, len(EMOTIONS)) for _ in range(3))

    def branches(self, faces: Tensor, frames: Tensor, words: Tensor) -> list[Tensor]:
        """Three features (B, 64): of the face, the voice, the words."""
        return [self.see(faces), self.hear(frames), self.read(words)]

    def see(self, faces: Tensor) -> Tensor:
        """(B, 48, 48) -> (B, 64)."""
        return self.cnn(faces.float().unsqueeze(1) / 127.5 - 1)

    def hear(self, frames: Tensor) -> Tensor:
        """(B, 100, 64) -> (B, 64)."""
        return self.audio(frames)[0].mean(1)

    def read(self, words: Tensor) -> Tensor:
        """(B, 24) -> (B, 64): the state after the last word."""
        return self.text(self.table(words))[0][:, -1]

    def joint(self, branches: list[Tensor]) -> Tensor:
        """Three (B, 64) -> logits (B, 7); zeros for what is missing."""
        return self.softmax(self.dense(self.dropout(torch.cat(branches, 1))))

    def only(self, which: int, branch: Tensor) -> Tensor:
        """One branch's own head: (B, 64) -> (B, 7)."""
        return self.alone[which](self.dropout(branch))

    def forward(self, faces: Tensor, frames: Tensor, words: Tensor) -> Tensor:
        """Logits (B, 7) with all three."""
        return self.joint(self.branches(faces, frames, words))
