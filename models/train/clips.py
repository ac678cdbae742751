"""Fine-tune the faces, the voice or the text on a user's own clips.

recipe.data: part (faces, voice or text), table (the CSV within the data folder, "labels.csv").
Classes are drawn alike often, however rare, because a small set is rarely balanced. Validation
chooses; the figures are those of the test part, before and after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import features
from models.data.clips import OwnClip, faces_of, read_clips, sound_of
from models.encoders.faces import FaceEncoder
from models.encoders.text import TextEncoder, collate
from models.encoders.voice import VoiceEncoder
from models.errors import DataError, RecipeError
from models.metrics import accuracy, uar
from models.pooling import masked_mean
from models.train.recipe import Recipe, expect_known
from models.train.task import Batch
from models.types import EMOTIONS
from models.vad import SileroVad, VadState

HOP_T = 50  # frames of a hop of 0.5 s
HOPS = 8  # hops of a training window: 4 s
FACES = 4  # crops of one training sample
SPEECH = 0.5  # a hop is heard if the VAD passes this somewhere in it
SENTIMENT_WEIGHT = 3.0  # squared error on [-1, 1] is small beside cross-entropy


class Reader(Protocol):
    """One part's way from clips to inputs, and from inputs to what the part says."""

    def encoder(self, options: dict[str, Any]) -> nn.Module:
        """A fresh encoder."""
        ...

    def load(self, clip: OwnClip) -> Any:
        """What is kept of a clip."""
        ...

    def inputs(self, loaded: list[Any], rng: np.random.Generator | None) -> tuple[Tensor, ...]:
        """A batch of inputs, each (B, ...); with `rng` a random view of each clip."""
        ...

    def tokens(self, model: Any, *inputs: Tensor) -> Tensor:
        """Tokens (B, D), pooled over the clip."""
        ...


class Faces:
    """Crops of the largest face; flipped and shifted at random in training."""

    def encoder(self, options: dict[str, Any]) -> nn.Module:
        return FaceEncoder(**options)

    def load(self, clip: OwnClip) -> np.ndarray:
        return faces_of(clip)

    def inputs(self, loaded: list[Any], rng: np.random.Generator | None) -> tuple[Tensor, ...]:
        count = FACES if rng is not None else max(map(len, loaded))
        pixels = np.zeros((len(loaded), count, *loaded[0].shape[1:]), np.uint8)
        mask = np.zeros((len(loaded), count), bool)
        for row, crops in enumerate(loaded):
            taken = crops if rng is None else self._view(crops, rng)
            pixels[row, : len(taken)], mask[row, : len(taken)] = taken, True
        return torch.from_numpy(pixels), torch.from_numpy(mask)

    def tokens(self, model: Any, *inputs: Tensor) -> Tensor:
        pixels, mask = inputs
        tokens = model(pixels.flatten(0, 1)).unflatten(0, mask.shape)
        return masked_mean(tokens, mask)

    def _view(self, crops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        crops = crops[rng.permutation(len(crops))[:FACES]]
        crops = crops[:, :, ::-1] if rng.random() < 0.5 else crops
        down, right = rng.integers(-3, 4, 2)
        padded = np.pad(crops, ((0, 0), (3, 3), (3, 3)), mode="edge")
        side = crops.shape[-1]
        return padded[:, 3 + down : 3 + down + side, 3 + right : 3 + right + side]


class Voice:
    """Log-mel hops as a live stream cuts them; in training a stretch of 4 s, louder or softer."""

    def __init__(self) -> None:
        self._vad = SileroVad()

    def encoder(self, options: dict[str, Any]) -> nn.Module:
        return VoiceEncoder(**options)

    def load(self, clip: OwnClip) -> tuple[np.ndarray, np.ndarray]:
        """Hops (K, 74, 64) and which of them hold speech, bool (K,)."""
        samples = sound_of(clip)
        hop_n = HOP_T * features.STEP_N
        samples = np.pad(samples, (0, -len(samples) % hop_n))
        state, line, heard = features.MelState.initial(), [], []
        vad_state = VadState.initial()
        for start in range(0, len(samples), hop_n):
            part = features.sanitise(samples[start : start + hop_n])
            state, frames = features.step(state, part)
            vad_state, speech = self._vad.step(vad_state, part)
            line.append(frames)
            heard.append(len(speech) > 0 and float(speech.max()) >= SPEECH)
        spoken = np.array(heard)
        return np.stack(line), spoken if spoken.any() else np.ones_like(spoken)

    def inputs(self, loaded: list[Any], rng: np.random.Generator | None) -> tuple[Tensor, ...]:
        views = [pair if rng is None else self._view(pair[0], pair[1], rng) for pair in loaded]
        count = max(len(heard) for _, heard in views)
        frames = np.zeros((len(views), count, *views[0][0].shape[1:]), np.float32)
        mask = np.zeros((len(views), count), bool)
        for row, (hops, heard) in enumerate(views):
            frames[row, : len(hops)], mask[row, : len(hops)] = hops, heard
        return torch.from_numpy(frames), torch.from_numpy(mask)

    def tokens(self, model: Any, *inputs: Tensor) -> Tensor:
        frames, mask = inputs
        tokens = model(frames.flatten(0, 1)).unflatten(0, mask.shape)
        return model.pool(tokens, mask)

    def _view(
        self, hops: np.ndarray, heard: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        anchor = int(rng.choice(np.flatnonzero(heard)))
        start = int(np.clip(anchor - rng.integers(HOPS), 0, max(0, len(hops) - HOPS)))
        hops = hops[start : start + HOPS] + rng.normal(0, 0.15)
        tilt = np.interp(np.arange(features.MELS), [0, 21, 42, 63], rng.normal(0, 0.15, 4))
        at = rng.integers(0, features.MELS - 8)
        hops = (hops + tilt).astype(np.float32)
        hops[:, :, at : at + rng.integers(1, 9)] = hops.mean()
        return hops, heard[start : start + HOPS]


class Words:
    """Transcripts; in training one word in ten is left out."""

    def encoder(self, options: dict[str, Any]) -> nn.Module:
        return TextEncoder(**options)

    def load(self, clip: OwnClip) -> str:
        return clip.text

    def inputs(self, loaded: list[Any], rng: np.random.Generator | None) -> tuple[Tensor, ...]:
        return tuple(collate(loaded if rng is None else [self._view(t, rng) for t in loaded]))

    def tokens(self, model: Any, *inputs: Tensor) -> Tensor:
        return model(*inputs)

    def _view(self, text: str, rng: np.random.Generator) -> str:
        words = text.split()
        kept = [word for word in words if rng.random() > 0.1]
        return " ".join(kept or words[:1])


READERS: dict[str, type[Reader]] = {"faces": Faces, "voice": Voice, "text": Words}


class ClipsTask:
    """The Task over one part and one table of clips."""

    def __init__(self, recipe: Recipe, part: str, table: Path) -> None:
        self.part = part
        self._recipe = recipe
        self._reader = READERS[part]()
        clips = read_clips(table, part)
        self._clips = {
            split: [clip for clip in clips if clip.split == split]
            for split in ("train", "valid", "test")
        }
        _expect_enough(table, self._clips)
        self._loaded = {
            split: [self._reader.load(clip) for clip in part_clips]
            for split, part_clips in self._clips.items()
        }
        self.steps = max(1, len(self._clips["train"]) // recipe.batch)

    def model(self) -> nn.Module:
        """A fresh encoder; the recipe's `start` fills it."""
        return self._reader.encoder(self._recipe.options)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Inputs, emotions (B,) with -1 for none, sentiment (B,) with NaN for none."""
        rng = np.random.default_rng([self._recipe.seed, epoch])
        clips, loaded = self._clips["train"], self._loaded["train"]
        counts = Counter(clip.emotion for clip in clips)
        weights = np.array([1 / counts[clip.emotion] for clip in clips])
        for _ in range(self.steps):
            at = rng.choice(len(clips), self._recipe.batch, p=weights / weights.sum())
            inputs = self._reader.inputs([loaded[i] for i in at], rng)
            yield (*inputs, *_labels([clips[i] for i in at]))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy over the rows with an emotion, squared error over those with sentiment."""
        *inputs, emotions, sentiment = batch
        tokens = self._reader.tokens(model, *inputs)
        logits = model.logits(tokens)  # type: ignore[operator] # every encoder has them
        per_row = F.cross_entropy(logits, emotions, ignore_index=-1, reduction="none")
        if isinstance(model, TextEncoder):
            error = (model.sentiment(tokens) - sentiment.nan_to_num()).square()
            per_row = per_row + SENTIMENT_WEIGHT * error * sentiment.isfinite()
        return per_row.mean()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Figures of the validation clips."""
        return {k: v for k, v in self._measure(model, "valid").items() if k != "n"}

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """Figures of the test clips, or of validation where the table has no test part."""
        if isinstance(model, FaceEncoder):
            model.observe(torch.from_numpy(np.concatenate(self._loaded["train"])))
        split = "test" if self._clips["test"] else "valid"
        figures = {f"own_{split}": self._measure(model, split)}
        if self._recipe.start is not None:
            from models.train.transfer import prepare  # the engine's: not at import

            start = self.model()
            prepare(start, self.part, self._recipe)
            figures[f"own_{split}_before"] = self._measure(start.eval(), split)
        return figures

    @torch.inference_mode()
    def _measure(self, model: Any, split: str) -> dict[str, float]:
        clips, loaded = self._clips[split], self._loaded[split]
        parts = [
            self._reader.tokens(model, *self._reader.inputs([one], None)) for one in loaded
        ]  # one by one, as in use: nothing is padded
        tokens = torch.cat(parts)
        emotions, sentiment = (column.numpy() for column in _labels(clips))
        known = emotions >= 0
        figures: dict[str, float] = {"n": len(clips)}
        if known.any():
            logits = model.logits(tokens[torch.from_numpy(known)])
            probabilities, labels = logits.softmax(-1).numpy(), emotions[known]
            figures["accuracy"] = accuracy(probabilities, labels)
            figures["uar"] = uar(probabilities, labels)
            figures["log_likelihood"] = -F.cross_entropy(logits, torch.from_numpy(labels)).item()
        if isinstance(model, TextEncoder) and np.isfinite(sentiment).any():
            error = np.abs(model.sentiment(tokens).numpy() - sentiment)
            figures["sentiment_mae"] = float(np.nanmean(error))
        return figures


def _labels(clips: list[OwnClip]) -> tuple[Tensor, Tensor]:
    emotions = [-1 if clip.emotion is None else clip.emotion for clip in clips]
    sentiment = [np.nan if clip.sentiment is None else clip.sentiment for clip in clips]
    return torch.tensor(emotions), torch.tensor(sentiment, dtype=torch.float32)


def _expect_enough(table: Path, clips: dict[str, list[OwnClip]]) -> None:
    for split in ("train", "valid"):
        if not clips[split]:
            raise DataError(f"{table}: expected clips to {split} on, got none")
    emotions = {clip.emotion for clip in clips["train"]} - {None}
    scores = {clip.sentiment for clip in clips["train"]} - {None}
    if len(emotions) < 2 and len(scores) < 2:
        only = ", ".join(EMOTIONS[e] for e in emotions if e is not None) or "no emotion"
        raise DataError(
            f"{table}: expected training clips of at least two emotions, got only {only}"
        )


def build(recipe: Recipe, data: Path, cache: Path) -> ClipsTask:
    """The task over the clips of `data`."""
    expect_known(recipe.data, ("part", "table"), "data")
    part = recipe.data.get("part")
    if part not in READERS:
        raise RecipeError(f"data.part: expected one of {', '.join(READERS)}, got {part!r}")
    return ClipsTask(recipe, part, data / recipe.data.get("table", "labels.csv"))
