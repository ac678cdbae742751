"""Clips of speech as hops, and what may be done to them so that a training hears more than it has.

Invariant: hops are cut as live audio is: 24 frames of context before each, a level that only looks
back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.features import CONTEXT_T, MELS, PEAK_FLOOR, normalise

HOP_T = 50
SPEECH = 0.5  # a hop counts as speech when the VAD passes this somewhere in it
KINDS = ("speed", "shift", "tilt", "noise", "masks")


def cut(mel: np.ndarray, speech: np.ndarray, start: int, total: int, hop: int) -> tuple[
    np.ndarray, np.ndarray
]:  # fmt: skip
    """Normalised (T, 64) frames -> hops (total / hop, 24 + hop, 64) and speech mask per hop."""
    pad = max(0, start + total - len(mel))
    low = mel.min() if len(mel) else 0.0
    line = np.concatenate(
        [np.full((CONTEXT_T, MELS), low, np.float32), mel, np.full((pad, MELS), low, np.float32)]
    )
    voiced = np.concatenate([speech, np.zeros(pad, np.float32)])
    hops = [line[start + i : start + i + CONTEXT_T + hop] for i in range(0, total, hop)]
    mask = [voiced[start + i : start + i + hop].max() >= SPEECH for i in range(0, total, hop)]
    return np.stack(hops), np.array(mask)


def shift(mel: np.ndarray, bins: float) -> np.ndarray:
    """Move (T, 64) along the mel axis by a fraction of bins, as another pitch or throat would."""
    at = np.clip(np.arange(MELS) - bins, 0, MELS - 1)
    low = np.minimum(at.astype(int), MELS - 2)
    part = (at - low).astype(np.float32)
    return mel[:, low] * (1 - part) + mel[:, low + 1] * part


def _erase(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """SpecAugment (Park et al. 2019): two bands of mels and two of time, set to the mean."""
    mel = mel.copy()
    for _ in range(2):
        width, at = rng.integers(0, 9), rng.integers(0, MELS - 8)
        mel[:, at : at + width] = mel.mean()
        width, at = rng.integers(0, 15), rng.integers(0, max(1, len(mel) - 15))
        mel[at : at + width] = mel.mean()
    return mel


def disturb(
    mel: np.ndarray, speech: np.ndarray, rng: np.random.Generator, kinds: Sequence[str] = KINDS
) -> tuple[np.ndarray, np.ndarray]:
    """Tempo 0.87..1.15, pitch by mel shift, tilt of the channel, coloured noise, masks."""
    if "speed" in kinds:
        t = np.arange(0, len(mel) - 1, rng.uniform(0.87, 1.15))
        low = t.astype(int)
        part = (t - low)[:, None].astype(np.float32)
        mel, speech = mel[low] * (1 - part) + mel[low + 1] * part, speech[low]
    if "shift" in kinds:
        mel = shift(mel, rng.uniform(-3, 3))
    if "tilt" in kinds:
        tilt = np.interp(np.arange(MELS), np.linspace(0, MELS, 5), rng.normal(0, 0.7, 5))
        mel = mel + tilt.astype(np.float32)
    if "noise" in kinds and rng.random() < 0.5:
        colour = np.linspace(0, rng.uniform(-3, 1), MELS) + rng.normal(0, 0.3, MELS)
        level = mel.max() - rng.uniform(4.5, 13.0)
        mel = np.logaddexp(mel, level + colour + np.log(rng.exponential(1.0, mel.shape) + 0.05))
    if "masks" in kinds:
        mel = _erase(mel, rng)
    return mel.astype(np.float32), speech


def hops_of(mel: np.ndarray, speech: np.ndarray, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frames in nats -> hops (K, 74, 64) from `first` on, and the mask of speech; K at least 1."""
    frames, _ = normalise(mel, PEAK_FLOOR)
    total = max(1, -(-max(len(mel) - first, 1) // HOP_T)) * HOP_T
    if total > HOP_T and (len(mel) - first) % HOP_T in range(1, 15):
        total -= HOP_T  # a remainder too short to say anything
    hops, mask = cut(frames[: first + total], speech[: first + total], first, total, HOP_T)
    return hops, mask if mask.any() else np.ones_like(mask)
