"""Encoders from outside in the place of our own, in a network that goes on as it is.

The token of such an encoder is its seven log-probabilities, padded to the common width; pooled
over a window they make a log-linear pool. Its evidence is the modality's base weight, for the
fusion's scores were trained on our tokens; its temperature is 1, until it is calibrated anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.encoders.external import External
from models.errors import ExternalError
from models.labels import VALENCE_VECTOR
from models.language import ENGLISH
from models.types import EMOTIONS, MODALITIES

TOKEN_D = 128
CLEAN = -20.0  # logit of "degraded": the fusion cannot judge tokens that are not ours
STAGES = ("faces", "trunk", "voice", "sounds", "text", "context", "window")
_OF_PLACE = {"faces": {"faces", "window"}, "text": {"text", "context", "window"}}
_PLACES = {"video": "faces", "text": "text"}


class _Plugged(nn.Module):
    def __init__(self, external: External) -> None:
        super().__init__()
        self.external = external

    def logits(self, tokens: Tensor) -> Tensor:
        """(B, D) -> (B, 7)."""
        return tokens[:, : len(EMOTIONS)]

    def _padded(self, logits: Tensor, device: torch.device) -> Tensor:
        return nn.functional.pad(logits, (0, TOKEN_D - len(EMOTIONS))).to(device)


class PluggedFaces(_Plugged):
    """In the place of `FaceEncoder`."""

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (B, 48, 48) -> (B, D)."""
        faces = pixels.detach().cpu().numpy().astype(np.uint8)
        return self._padded(self.external.logits(faces), pixels.device)


class PluggedText(_Plugged):
    """In the place of `TextEncoder`. Its ids are the code points of the texts, plus one."""

    @staticmethod
    def collate(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Texts -> ids int64 (B, T), 0 where there is none, and bool (B, T)."""
        ids = torch.zeros(len(texts), max([1, *map(len, texts)]), dtype=torch.int64)
        for row, text in zip(ids, texts, strict=True):
            row[: len(text)] = torch.tensor([ord(c) + 1 for c in text], dtype=torch.int64)
        return ids, ids > 0

    @staticmethod
    def tongue(text: str, stated: str) -> str:
        """Every text is given to it: which languages it knows is not for us to say."""
        return ENGLISH

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, T), (B, T) -> (B, D)."""
        texts = ["".join(chr(i - 1) for i in row if i > 0) for row in ids.tolist()]
        return self._padded(self.external.logits(texts), ids.device)

    def sentiment(self, tokens: Tensor) -> Tensor:
        """(B, D) -> (B,): the mean valence of the emotions."""
        valence = torch.from_numpy(VALENCE_VECTOR).to(tokens.device)
        return self.logits(tokens).softmax(-1) @ valence

    def contextualise(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, K, D), (B, K) -> (B, D): the last utterance as it stands."""
        last = mask.long().cumsum(1).argmax(1)
        return tokens[torch.arange(len(tokens), device=tokens.device), last]


def plug(network: nn.Module, externals: Sequence[External]) -> set[str]:
    """Put each encoder into the place of its modality; the stages that are our own still."""
    own = set(STAGES)
    for external in externals:
        place = _PLACES.get(external.modality)
        if place is None:
            raise ExternalError(
                "an encoder of sound from outside works in `attune evaluate` only: the live "
                "pipeline hands on spectra; plug in text or video"
            )
        if not external.classifies:
            raise ExternalError(
                f"{external.modality}: the live pipeline needs emotions from an encoder; give it "
                "`labels` or a `head`"
            )
        fusion = getattr(network, "fusion", None)
        if not hasattr(fusion, "score") or not hasattr(fusion, "temperature"):
            raise ExternalError(
                f"the fusion {type(fusion).__name__} reads the tokens of our own encoders; use "
                "the default fusion with an encoder from outside"
            )
        _open_fusion(fusion, MODALITIES.index(external.modality))
        made = PluggedText(external) if place == "text" else PluggedFaces(external)
        setattr(network, place, made.eval())
        own -= _OF_PLACE[place]
    return own


@torch.no_grad()
def _open_fusion(fusion: Any, m: int) -> None:
    for head, bias in ((fusion.score[m], 0.0), (fusion.spoilt[m], CLEAN)):
        head[-1].weight.zero_()
        head[-1].bias.fill_(bias)
    fusion.temperature[m] = 0.0  # a logarithm


def revision(own: str, externals: Sequence[External]) -> str:
    """The network's revision, told apart by what was plugged in."""
    if not externals:
        return own
    names = "".join(external.revision for external in externals)
    return hashlib.sha256(f"{own}{names}".encode()).hexdigest()[:12]
