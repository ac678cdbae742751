"""Tokens of held-out samples, clean and degraded, from which combinations are drawn.

No corpus at hand shows, speaks and writes one person's emotion, so combinations of modalities are
made: samples of equal label from different corpora stand in for one person, samples of unequal
label for contradiction, degraded samples for evidence that should count for less.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.data.faces import load_faces
from models.data.speech import Clip, load_speech
from models.data.text import load_text
from models.labels import VALENCE_VECTOR, ferplus_matrix
from models.network import Network
from models.train import faces as train_faces
from models.train import text as train_text
from models.train import voice as train_voice


@dataclass(frozen=True)
class Bundle:
    """tokens, poor (B, T, D); mask bool (B, T); labels int64 (B,); sentiment float32 (B,)."""

    tokens: Tensor
    poor: Tensor
    mask: Tensor
    labels: Tensor
    sentiment: Tensor
    source: np.ndarray

    def take(self, chosen: np.ndarray) -> Bundle:
        """Rows by index or boolean mask."""
        at = torch.from_numpy(chosen)
        return Bundle(
            self.tokens[at], self.poor[at], self.mask[at], self.labels[at], self.sentiment[at],
            self.source[chosen],
        )  # fmt: skip


def degrade_faces(pixels: np.ndarray, seed: int) -> Tensor:
    """Blur, darkness, noise and a covered half: float (B, 48, 48)."""
    generator = torch.Generator().manual_seed(seed)
    x = F.avg_pool2d(torch.from_numpy(pixels).float().unsqueeze(1), 6, 6)
    x = F.interpolate(x, size=pixels.shape[1:], mode="bilinear").squeeze(1)
    x = x * 0.4 + torch.randn(x.shape, generator=generator) * 15
    x[:, 24:] = torch.where(torch.rand(len(x), 1, 1, generator=generator) < 0.5, 20.0, x[:, 24:])
    return x.clamp(0, 255)


def degrade_clip(clip: Clip, rng: np.random.Generator) -> Clip:
    """Noise within 1 neper (4 dB) of the loudest speech."""
    grain = np.log(rng.exponential(1.0, clip.mel.shape) + 0.05)
    mel = np.logaddexp(clip.mel, clip.mel.max() - rng.uniform(1, 3) + grain).astype(np.float32)
    return Clip(path=clip.path, corpus=clip.corpus, speaker=clip.speaker, label=clip.label,
                mel=mel, speech=clip.speech)  # fmt: skip


def degrade_text(text: str, rng: np.random.Generator) -> str:
    """A third of the words, as a poor recogniser might leave."""
    words = text.split()
    kept = [word for word in words if rng.random() < 0.34]
    return " ".join(kept or words[:1])


def face_bundle(network: Network, data: Path, limit: int | None) -> Bundle:
    """FER+ validation faces; sentiment is the mean valence of the votes."""
    faces = load_faces(data, "valid").head(limit or 1 << 30)
    shares = faces.targets @ ferplus_matrix()
    clean = train_faces.tokens_of(network.faces, faces.pixels)
    poor = train_faces.tokens_of(network.faces, degrade_faces(faces.pixels, 1).numpy())
    return Bundle(
        clean.unsqueeze(1), poor.unsqueeze(1), torch.ones(len(clean), 1, dtype=torch.bool),
        torch.from_numpy(shares.argmax(1)), torch.from_numpy(shares @ VALENCE_VECTOR),
        np.full(len(clean), "ferplus"),
    )  # fmt: skip


def voice_bundle(network: Network, data: Path, cache: Path, limit: int | None) -> Bundle:
    """Two-second windows of the validation speakers; sentiment is the label's valence."""
    clips = load_speech(data, "valid", cache, limit)
    rng = np.random.default_rng(2)
    windows = train_voice.windows_of(clips)
    noisy = train_voice.windows_of([degrade_clip(clip, rng) for clip in clips])
    return Bundle(
        train_voice.tokens_of(network.voice, windows), train_voice.tokens_of(network.voice, noisy),
        windows.mask, windows.labels, torch.from_numpy(VALENCE_VECTOR)[windows.labels],
        np.array([clip.corpus for clip in clips]),
    )  # fmt: skip


def text_bundle(network: Network, data: Path, limit: int | None) -> Bundle:
    """GoEmotions and MELD validation rows with a single emotion."""
    sets = load_text(data, "valid")
    rows = [
        (name, row) for name, part in sets.items() for row in part[:limit] if row.label is not None
    ]
    rng = np.random.default_rng(3)
    clean = train_text.tokens_of(network.text, [row.text for _, row in rows])
    poor = train_text.tokens_of(network.text, [degrade_text(row.text, rng) for _, row in rows])
    return Bundle(
        clean.unsqueeze(1), poor.unsqueeze(1), torch.ones(len(clean), 1, dtype=torch.bool),
        torch.tensor([row.label for _, row in rows]),
        torch.tensor([row.sentiment for _, row in rows], dtype=torch.float32),
        np.array([name for name, _ in rows]),
    )  # fmt: skip


def halves(bundle: Bundle, seed: int) -> tuple[Bundle, Bundle]:
    """Two random halves: one to fit on, one to report on."""
    chosen = np.random.default_rng(seed).random(len(bundle.labels)) < 0.5
    return bundle.take(chosen), bundle.take(~chosen)


@dataclass(frozen=True)
class Combination:
    """A batch of made-up people: what fusion takes in, and what it should say."""

    tokens: list[Tensor]
    masks: list[Tensor]
    emotions: Tensor
    sentiment: Tensor


@dataclass(frozen=True)
class Recipe:
    """Shares of contradicting and of degraded samples among the combinations."""

    contradiction: float = 0.25
    degraded: float = 0.35


def _draw(bundle: Bundle, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each wanted class an index of a sample with that label, or any if there is none."""
    labels = bundle.labels.numpy()
    chosen = rng.integers(0, len(labels), len(wanted))
    for c in np.unique(wanted):
        pool = np.flatnonzero(labels == c)
        if len(pool):
            at = wanted == c
            chosen[at] = rng.choice(pool, at.sum())
    return chosen


def combine(
    bundles: list[Bundle], present: np.ndarray, rng: np.random.Generator, recipe: Recipe
) -> Combination:
    """Draw one sample per modality for each row of `present`, bool (B, M)."""
    size, m_count = present.shape
    classes = rng.integers(0, 7, size)
    odd_one = np.where(rng.random(size) < recipe.contradiction, rng.integers(0, m_count, size), -1)
    poor = rng.random(present.shape) < recipe.degraded
    weight = torch.from_numpy(present * np.where(poor, 0.2, 1.0)).float()
    weight = weight / weight.sum(1, keepdim=True)
    tokens, masks, emotions, sentiments = [], [], [], []
    for m, bundle in enumerate(bundles):
        wanted = np.where(odd_one == m, rng.integers(0, 7, size), classes)
        at = torch.from_numpy(_draw(bundle, wanted, rng))
        worse = torch.from_numpy(poor[:, m])[:, None, None]
        tokens.append(torch.where(worse, bundle.poor[at], bundle.tokens[at]))
        masks.append(bundle.mask[at] & torch.from_numpy(present[:, m])[:, None])
        emotions.append(F.one_hot(bundle.labels[at], 7).float())
        sentiments.append(bundle.sentiment[at])
    return Combination(
        tokens, masks, (torch.stack(emotions, 1) * weight.unsqueeze(-1)).sum(1),
        (torch.stack(sentiments, 1) * weight).sum(1),
    )  # fmt: skip
