"""The encoders and the fusion as one module: tokens in, opinions and fused scores out."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from models import weights
from models.encoders import sounds
from models.encoders.faces import FaceEncoder
from models.encoders.sounds import SoundEncoder
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
        self.sounds: SoundEncoder | None = None

    @classmethod
    def load(cls, folder: Path, *, fused: bool = True) -> Network:
        """Read every part and make it ready for inference; the part "sounds" may be missing.

        fused: whether to read the fusion too; without it, it stays as it was made.
        """
        network = cls()
        for name in PARTS if fused else PARTS[:-1]:
            weights.load(getattr(network, name), folder, name)
        if "sounds" in weights.read_manifest(folder)["parts"]:
            network.sounds = sounds.load(folder, network.voice.trunk)
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
        pairs = list(zip(tokens, masks, strict=True))
        spoilt = [self.fusion.spoilt_logits(m, *pair) for m, pair in enumerate(pairs)]
        degraded = torch.stack(spoilt, 1).sigmoid()
        calibrated = [self.fusion.calibrated(m, x, degraded[:, m]) for m, x in enumerate(logits)]
        shown = self.fusion.expected_valence(calibrated[0])
        heard = self.fusion.heard_valence(calibrated[1])
        evidence = [self.fusion.evidence(m, *pair) for m, pair in enumerate(pairs)]
        return Opinions(
            torch.stack(calibrated, 1),
            torch.stack([shown, heard, said], 1),
            torch.stack(evidence, 1),
            torch.stack([mask.any(1) for mask in masks], 1),
            degraded,
        )
