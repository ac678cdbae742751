"""The three encoders and the fusion as one module: tokens in, opinions and fused scores out."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from models import weights
from models.encoders.faces import FaceEncoder
from models.encoders.text import TextEncoder
from models.encoders.voice import VoiceEncoder
from models.fusion import Fusion, Opinions
from models.pooling import masked_mean

TOKEN_D = 128
PARTS = ("faces", "voice", "text", "fusion")


class Network(nn.Module):
    """All parts; `opinions` is the one place where tokens of a window become what each says."""

    def __init__(self) -> None:
        super().__init__()
        self.faces = FaceEncoder()
        self.voice = VoiceEncoder()
        self.text = TextEncoder()
        self.fusion = Fusion(TOKEN_D)

    @classmethod
    def load(cls, folder: Path) -> Network:
        """Read every part and make it ready for inference."""
        network = cls()
        for name in PARTS:
            weights.load(getattr(network, name), folder, name)
        return network.eval()

    def logits(self, tokens: list[Tensor], masks: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """(B, T, D) and (B, T) per modality -> logits (B, 7) per modality, text sentiment (B,)."""
        faces = self.faces.logits(masked_mean(tokens[0], masks[0]))
        voice = self.voice.logits(self.voice.pool(tokens[1], masks[1]))
        text = masked_mean(tokens[2], masks[2])
        return [faces, voice, self.text.logits(text)], self.text.sentiment(text)

    def opinions(self, tokens: list[Tensor], masks: list[Tensor]) -> Opinions:
        """Calibrated emotions, sentiment and evidence of each modality over a window."""
        logits, said = self.logits(tokens, masks)
        calibrated = [self.fusion.calibrated(m, part) for m, part in enumerate(logits)]
        shown = self.fusion.expected_valence(calibrated[0])
        heard = self.fusion.heard_valence(calibrated[1])
        evidence = [self.fusion.evidence(m, tokens[m], masks[m]) for m in range(len(tokens))]
        return Opinions(
            torch.stack(calibrated, 1),
            torch.stack([shown, heard, said], 1),
            torch.stack(evidence, 1),
            torch.stack([mask.any(1) for mask in masks], 1),
        )
