"""Train the voice encoder on windows of acted speech, balanced over corpus and emotion.

Each window goes through the same steps as live audio: 24 frames of context before each hop, a
level that only looks back, hops without speech masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.data.speech import Clip, load_speech
from models.encoders.voice import VoiceEncoder
from models.features import CONTEXT_T, MELS, PEAK_FLOOR, normalise
from models.metrics import uar
from models.train.loop import Batch, Plan, fit
from models.types import EMOTIONS

BATCH = 64
WINDOW_T = 200  # 2 s
HOPS_T = (50, 50, 50, 100, 25)  # half-second hops most often
SPEECH = 0.5  # a hop counts as speech when the VAD passes this somewhere in it


@dataclass(frozen=True)
class Windows:
    """frames (B, hops, 24 + hop, 64); mask bool (B, hops); labels int64 (B,)."""

    frames: Tensor
    mask: Tensor
    labels: Tensor


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


def disturb(mel: np.ndarray, speech: np.ndarray, rng: np.random.Generator) -> tuple[
    np.ndarray, np.ndarray
]:  # fmt: skip
    """Tempo 0.87..1.15, pitch by mel shift, gain, tilt of the channel, coloured noise."""
    t = np.arange(0, len(mel) - 1, rng.uniform(0.87, 1.15))
    low = t.astype(int)
    part = (t - low)[:, None].astype(np.float32)
    mel = mel[low] * (1 - part) + mel[low + 1] * part
    mel = shift(mel, rng.uniform(-4, 4))
    tilt = np.interp(np.arange(MELS), np.linspace(0, MELS, 5), rng.normal(0, 0.9, 5))
    mel = mel + rng.uniform(-3, 2) + tilt.astype(np.float32)
    if rng.random() < 0.6:
        colour = np.linspace(0, rng.uniform(-3, 1), MELS) + rng.normal(0, 0.3, MELS)
        level = mel.max() - rng.uniform(3.5, 13.0)
        grain = np.log(rng.exponential(1.0, mel.shape) + 0.05)
        mel = np.logaddexp(mel, level + colour + grain)
    return mel.astype(np.float32), speech[low]


def _erase(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """SpecAugment (Park et al. 2019): two bands of mels and one of time, set to the mean."""
    for _ in range(2):
        width, at = rng.integers(0, 9), rng.integers(0, MELS - 8)
        frames[:, :, at : at + width] = frames.mean()
    width, at = rng.integers(0, 15), rng.integers(0, frames.shape[1] - 15)
    frames[rng.integers(len(frames)), at : at + width] = frames.mean()
    return frames


def pick_start(speech: np.ndarray, total: int, rng: np.random.Generator) -> int:
    """A start so that the window holds speech, if there is any."""
    spoken = np.flatnonzero(speech >= SPEECH)
    centre = rng.choice(spoken) if len(spoken) else len(speech) // 2
    return int(np.clip(centre - rng.integers(total // 4, 3 * total // 4), 0,
                       max(0, len(speech) - total)))  # fmt: skip


def window_of(clip: Clip, hop: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One disturbed training window of a clip; the level follows the clip from its start."""
    mel, speech = disturb(clip.mel, clip.speech, rng)
    mel, _ = normalise(mel, PEAK_FLOOR)
    frames, mask = cut(mel, speech, pick_start(speech, WINDOW_T, rng), WINDOW_T, hop)
    mask = mask if mask.any() else np.ones_like(mask)
    return _erase(frames, rng), mask


def _batches(clips: list[Clip], weights: np.ndarray, seed: int, steps: int) -> Iterator[Batch]:
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        hop = int(rng.choice(HOPS_T))
        chosen = [clips[i] for i in rng.choice(len(clips), BATCH, p=weights)]
        pairs = [window_of(clip, hop, rng) for clip in chosen]
        frames, mask = (np.stack(column) for column in zip(*pairs, strict=True))
        labels = torch.tensor([clip.label for clip in chosen])
        yield torch.from_numpy(frames), torch.from_numpy(mask), labels


def encode(model: VoiceEncoder, frames: Tensor) -> Tensor:
    """(B, hops, T, 64) -> (B, hops, D)."""
    return model(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


def _loss(model: VoiceEncoder, batch: Batch) -> Tensor:
    frames, mask, labels = batch
    logits = model.logits(model.pool(encode(model, frames), mask))
    return F.cross_entropy(logits, labels, label_smoothing=0.05)


def windows_of(clips: list[Clip], hop: int = 50, whole: bool = False) -> Windows:
    """Undisturbed evaluation windows: the spoken middle two seconds, or the clip up to 8 s."""
    total = 16 * 50 if whole else WINDOW_T
    frames, masks = [], []
    for clip in clips:
        mel, _ = normalise(clip.mel, PEAK_FLOOR)
        spoken = np.flatnonzero(clip.speech >= SPEECH)
        middle = int((spoken[0] + spoken[-1]) / 2) if len(spoken) else len(mel) // 2
        start = 0 if whole else int(np.clip(middle - total // 2, 0, max(0, len(mel) - total)))
        f, m = cut(mel[: start + total], clip.speech[: start + total], start, total, hop)
        frames.append(f)
        masks.append(m if m.any() else np.ones_like(m))
    labels = torch.tensor([clip.label for clip in clips])
    return Windows(
        torch.from_numpy(np.stack(frames)), torch.from_numpy(np.stack(masks)), labels
    )  # fmt: skip


@torch.inference_mode()
def tokens_of(model: VoiceEncoder, windows: Windows) -> Tensor:
    """(B, hops, D), encoded in parts."""
    return torch.cat([encode(model, part) for part in windows.frames.split(64)])


@torch.inference_mode()
def evaluate(model: VoiceEncoder, clips: list[Clip], windows: Windows) -> dict[str, float]:
    """UAR overall and per corpus."""
    pooled = model.pool(tokens_of(model, windows), windows.mask)
    probabilities = model.logits(pooled).softmax(-1).numpy()
    labels, corpus = windows.labels.numpy(), np.array([clip.corpus for clip in clips])
    scores = {"uar": uar(probabilities, labels)}
    for name in sorted(set(corpus)):
        scores[f"uar_{name}"] = uar(probabilities[corpus == name], labels[corpus == name])
    return scores


def balance(clips: list[Clip]) -> np.ndarray:
    """Sampling weights: n^-0.5 per corpus and emotion: small cells count but do not rule."""
    cells = np.array([f"{clip.corpus}/{clip.label}" for clip in clips])
    names, counts = np.unique(cells, return_counts=True)
    size = dict(zip(names, counts, strict=True))
    weights = np.array([size[cell] ** -0.5 for cell in cells])
    return weights / weights.sum()


def train_voice(
    data: Path, *, cache: Path, epochs: int = 16, seed: int = 0, quick: bool = False,
    runs: Path = Path("runs"),
) -> VoiceEncoder:  # fmt: skip
    """The whole of it: decode, train, return the averaged encoder."""
    torch.manual_seed(seed)
    limit = len(EMOTIONS) * 10 if quick else None
    train, valid = (load_speech(data, split, cache, limit) for split in ("train", "valid"))
    epochs = 1 if quick else epochs
    steps, windows, weights = max(1, len(train) // BATCH), windows_of(valid), balance(train)
    seeds = iter(range(seed * 1000, seed * 1000 + epochs))
    plan = Plan(
        name="voice", epochs=epochs, steps_per_epoch=steps, runs=runs, learning_rate=3e-3,
        weight_decay=2e-2,
        ema_decay=0.995,
    )  # fmt: skip
    return fit(
        VoiceEncoder(), lambda: _batches(train, weights, next(seeds), steps), _loss,
        lambda model: evaluate(model, valid, windows), plan,
    )  # fmt: skip
