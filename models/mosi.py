"""Sentiment of spoken film reviews: text tokens and openSMILE features, fused causally.

The text tokens are those of the project's text encoder; the fusion is any of models/fusions. One
utterance is one step, one video one sequence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import weights
from models.data.mosi import AUDIO_D, Segments
from models.encoders.text import TextEncoder, collate
from models.errors import WeightsError
from models.fusions import Fused, make

LIMIT = 3.0  # of the sentiment scale
PART = "mosi"
MODALITIES = ("text", "audio")
_FAR = 4.0  # standard deviations; some functionals have rare values 38 of them away
_AT_ONCE = 64
_MAKE_TOKENS = ("words.", "positions.", "norm.", "blocks.", "project.")  # of TextEncoder


class MosiNetwork(nn.Module):
    """fusion: its name. text_d: size of the text tokens. options: of the fusion."""

    mean: Tensor
    deviation: Tensor
    half_width: Tensor

    def __init__(self, fusion: str, text_d: int, **options: Any) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(AUDIO_D))
        self.register_buffer("deviation", torch.ones(AUDIO_D))
        self.register_buffer("half_width", torch.full((), LIMIT))  # of an 80 % interval
        self.fusion = make(fusion, {"text": text_d, "audio": AUDIO_D}, **options)

    def standardise(self, audio: np.ndarray) -> None:
        """Take mean and deviation of (N, 73), NaN where unknown, from the training part."""
        self.mean.copy_(torch.from_numpy(np.nanmean(audio, 0)))
        self.deviation.copy_(torch.from_numpy(np.nanstd(audio, 0)).clamp_min(1e-6))

    def forward(self, text: Tensor, audio: Tensor, here: Tensor) -> Fused:
        """(B, T, D), (B, T, 73) as read, bool (B, T, 2) -> scores of each utterance.

        A feature that is NaN counts as the mean; an utterance of NaN alone has no sound.
        """
        z = ((audio - self.mean) / self.deviation).clamp(-_FAR, _FAR)
        known = audio.isfinite()
        heard = here[..., 1] & known.any(-1)
        tokens = {"text": text, "audio": torch.where(known, z, 0.0)}
        return self.fusion(tokens, {"text": here[..., 0], "audio": heard})


@torch.inference_mode()
def text_tokens(encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    """(N, D) tokens of the transcripts, which are upper case throughout and read as lower case."""
    plain = [text.lower() for text in texts]
    parts = [
        encoder(*collate(plain[i : i + _AT_ONCE])).numpy() for i in range(0, len(plain), _AT_ONCE)
    ]
    return np.concatenate(parts)


def text_digest(folder: Path) -> str:
    """What tells one source of tokens from another: a hash of the weights that make them.

    Heads, dialogue context, temperatures and thresholds may change without a training anew.
    """
    digest = hashlib.sha256()
    for name, value in sorted(weights.read_part(folder, "text").items()):
        if name.startswith(_MAKE_TOKENS):
            digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


class Mosi:
    """A trained network with the text encoder that it was trained on."""

    def __init__(self, network: MosiNetwork, encoder: TextEncoder) -> None:
        self.network, self.encoder = network, encoder

    @classmethod
    def load(cls, folder: Path, text: Path = weights.SHIPPED) -> Mosi:
        """The part "mosi" of `folder`, and the text encoder of `text`."""
        parts = weights.read_manifest(folder)["parts"]
        if PART not in parts:
            raise WeightsError(f"{folder}: expected a part {PART!r}, got {', '.join(parts)}")
        made = parts[PART]["figures"]["made"]
        if made["text"] != text_digest(text):
            raise WeightsError(
                f"{folder}: expected the text encoder {made['text']} that {PART!r} was trained on, "
                f"got {text_digest(text)}; train anew: attune train configs/recipes/mosi.yaml"
            )
        network = MosiNetwork(made["fusion"], made["text_d"], **made["options"])
        encoder = weights.load(TextEncoder(), text, "text")
        return cls(weights.load(network, folder, PART), encoder)

    @torch.inference_mode()
    def predict(self, videos: Sequence[Segments], hidden: str = "") -> list[np.ndarray]:
        """Per video (T,) sentiment in [-3, 3]; each uses its own and earlier utterances only.

        hidden: "text" or "audio" to leave it out. An utterance with no modality at all scores 0.
        """
        return [
            self._fused(video, hidden).sentiment[0].clamp(-LIMIT, LIMIT).numpy() for video in videos
        ]

    def interval(self, video: Segments) -> tuple[np.ndarray, np.ndarray]:
        """Low and high (T,) of a nominal 80 % interval, of one width for all utterances."""
        middle, half = self.predict([video])[0], float(self.network.half_width)
        return np.maximum(middle - half, -LIMIT), np.minimum(middle + half, LIMIT)

    def _fused(self, video: Segments, hidden: str) -> Fused:
        """A batch of one video; an empty transcript counts as no text."""
        text = torch.from_numpy(text_tokens(self.encoder, [str(t) for t in video.texts]))
        spoken = torch.tensor([bool(str(t).strip()) for t in video.texts])
        here = torch.stack([spoken, torch.ones_like(spoken)], -1)
        if hidden:
            here[:, MODALITIES.index(hidden)] = False
        audio = torch.from_numpy(video.audio)
        return self.network(text.unsqueeze(0), audio.unsqueeze(0), here.unsqueeze(0))
