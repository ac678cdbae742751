"""Train the voice encoder's head on hops of acted speech, balanced over corpus and emotion.

The pretrained trunk stays as it is, so what it makes of each hop is computed once per disturbed
copy of a clip and kept in the cache. Each hop goes through the same steps as live audio: 24 frames
of context before it, a level that only looks back, hops without speech masked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import weights
from models.data.speech import Clip, load_speech
from models.encoders.trunk import STATISTICS_D
from models.encoders.voice import SPEECH as CLASSES
from models.encoders.voice import VoiceEncoder
from models.errors import RecipeError
from models.train.progress import progress_bar
from models.train.recipe import Recipe
from models.train.task import Batch, Task
from models.train.transfer import start_folder
from models.train.voice_figures import FOUR, balance, closed_sets, figures
from models.train.voice_hops import HOP_T, KINDS, disturb, hops_of
from models.train.voice_svm import MODEL, svm_task

HOPS = 8  # a training window is 2 to 8 hops long


@dataclass(frozen=True)
class Statistics:
    """values float32 (B, K, 768), mask bool (B, K), labels int64 (B,) of whole clips."""

    values: np.ndarray
    mask: np.ndarray
    labels: np.ndarray


@torch.inference_mode()
def statistics_of(
    model: VoiceEncoder, clips: list[Clip], kinds: Sequence[str] = (), seed: int = 0
) -> Statistics:
    """What the trunk makes of each clip's hops, of a disturbed copy if `kinds` says so."""
    model.eval()
    rng = np.random.default_rng(seed)
    rows, masks = [], []
    with progress_bar() as bar:
        shown = bar.add_task("hear the clips", total=len(clips), note="")
        for clip in clips:
            mel, speech, first = clip.mel, clip.speech, 0
            if kinds and len(mel) > 2 * HOP_T:
                mel, speech = disturb(mel, speech, rng, kinds)
                first = int(rng.integers(HOP_T))
            hops, mask = hops_of(mel, speech, first)
            rows.append(model.trunk.statistics(torch.from_numpy(hops)).numpy())
            masks.append(mask)
            bar.advance(shown)
    longest = max(len(row) for row in rows)
    values = np.zeros((len(rows), longest, STATISTICS_D), np.float32)
    mask = np.zeros((len(rows), longest), bool)
    for i, (row, present) in enumerate(zip(rows, masks, strict=True)):
        values[i, : len(row)], mask[i, : len(row)] = row, present
    return Statistics(values, mask, np.array([CLASSES.index(clip.emotion) for clip in clips]))


def closed_set_loss(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Cross entropy over the classes `known` of the clip's corpus, smoothed, and over all."""
    own = logits.masked_fill(~known, -30.0)
    smooth = (
        0.9 * F.cross_entropy(own, labels)
        - 0.1 * ((own.log_softmax(1) * known).sum(1) / known.sum(1)).mean()
    )
    return 0.7 * smooth + 0.3 * F.cross_entropy(logits, labels)


class VoiceTask:
    """Head of the voice encoder over cached statistics.

    data: copies (disturbed ones of each clip), augment (some of KINDS), without (a corpus that is
    left out, and measured on its four common emotions), quick (clips per split).
    """

    part = "voice"

    def __init__(self, recipe: Recipe, data: Path, cache: Path) -> None:
        if recipe.start is None:
            raise RecipeError("start: expected a folder with a voice trunk, or shipped; got none")
        options = {"copies": 3, "augment": list(KINDS), "without": "", "quick": None, **recipe.data}
        self._recipe, self._cache = recipe, cache
        self._trunk = {
            name: value
            for name, value in weights.read_part(start_folder(recipe.start), "voice").items()
            if name.startswith("trunk.")
        }
        left, limit = options["without"], options["quick"]
        parts = ("train", "valid", "test")
        loaded = {part: load_speech(data, part, cache, limit) for part in parts}
        self._clips = {
            part: [clip for clip in clips if clip.corpus != left] for part, clips in loaded.items()
        }
        self._away = [c for clips in loaded.values() for c in clips if c.corpus == left]
        self._model = VoiceEncoder(**recipe.options)
        self._model.load_state_dict({**self._model.state_dict(), **self._trunk})
        self._kinds = options["augment"]
        self._copies = options["copies"] if self._kinds else 0
        self._weights = balance(self._clips["train"])
        self._sets = closed_sets(self._clips["train"])
        self.steps = max(1, 2 * len(self._clips["train"]) // recipe.batch)

    def _of(self, part: str, kinds: Sequence[str], seed: int) -> Statistics:
        """From the cache, whose name holds everything that decides the content."""
        clips = self._clips[part]
        marks = hashlib.sha256(repr([list(kinds), seed, [c.path for c in clips]]).encode())
        for value in self._trunk.values():
            marks.update(value.numpy().tobytes())
        store = self._cache / f"voice-{marks.hexdigest()[:16]}.npz"
        if not store.exists():
            made = statistics_of(self._model, clips, kinds, seed)
            np.savez(store, values=made.values.astype(np.float16), mask=made.mask)
        with np.load(store) as kept:
            labels = np.array([CLASSES.index(clip.emotion) for clip in clips])
            return Statistics(kept["values"].astype(np.float32), kept["mask"], labels)

    def model(self) -> nn.Module:
        """Trunk as it came; statistics scaled by those of the training speakers."""
        model = VoiceEncoder(**self._recipe.options)
        plain = self._heard_copies[0]
        present = torch.from_numpy(plain.values[plain.mask])
        model.load_state_dict({
            **model.state_dict(), **self._trunk,
            "centre": present.mean(0), "spread": present.std(0).clamp_min(1e-3),
        })  # fmt: skip
        return model

    @cached_property
    def _heard_copies(self) -> list[Statistics]:
        """The training clips as they are, then disturbed ones."""
        disturbed = [self._of("train", self._kinds, seed + 1) for seed in range(self._copies)]
        return [self._of("train", (), 0), *disturbed]

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Windows of 2 to 8 hops from any copy."""
        copies = self._heard_copies
        rng = np.random.default_rng([self._recipe.seed, epoch])
        size = self._recipe.batch
        for _ in range(self.steps):
            chosen = rng.choice(len(self._weights), size, p=self._weights)
            values = np.zeros((size, HOPS, STATISTICS_D), np.float32)
            mask = np.zeros((size, HOPS), bool)
            for row, i in enumerate(chosen):
                copy = copies[rng.integers(len(copies))]
                spoken = np.flatnonzero(copy.mask[i])
                length = int(rng.integers(2, HOPS + 1))
                at = int(rng.integers(max(1, len(spoken) - length + 1)))
                kept = spoken[at : at + length]
                values[row, : len(kept)], mask[row, : len(kept)] = copy.values[i, kept], True
            labels = copies[0].labels[chosen]
            yield tuple(map(torch.from_numpy, (values, mask, labels, self._sets[chosen])))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Over all classes, and over those of the clip's own corpus."""
        values, mask, labels, known = batch
        assert isinstance(model, VoiceEncoder)
        logits = model.speech_logits(model.pool(model.token(values), mask))
        return closed_set_loss(logits, labels, known)

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """UAR per corpus over the corpus's own classes, and their mean."""
        valid = self._of("valid", (), 0)
        rows = figures(self._clips["valid"], whole_clip_logits(model, valid))
        found = {f"uar_{name}": row["uar"] for name, row in rows.items() if "/" not in name}
        return {**found, "uar": float(np.mean(list(found.values())))}

    @torch.inference_mode()
    def finish(self, model: nn.Module) -> dict[str, Any]:
        """One temperature for whole clips, fitted on validation, where each corpus counts alike.

        By the number of clips it would be the temperature of the largest corpus, and too high for
        the others.
        """
        assert isinstance(model, VoiceEncoder)
        valid = self._of("valid", (), 0)
        logits = whole_clip_logits(model, valid)
        logits = logits.masked_fill(~torch.from_numpy(closed_sets(self._clips["valid"])), -30)
        labels = torch.from_numpy(valid.labels)
        grid = np.geomspace(0.3, 4, 60)
        share = torch.from_numpy(alike([clip.corpus for clip in self._clips["valid"]]))
        best = min(grid, key=lambda t: float(share @ _surprise(logits / t, labels)))
        model.temperature.mul_(best)
        parts = [part for part in ("valid", "test") if self._clips[part]]
        found = {
            part: figures(self._clips[part], whole_clip_logits(model, self._of(part, (), 0)))
            for part in parts
        }
        if self._away:
            found["unseen_corpus"] = self._unseen(model)
        return {**found, "temperature": float(best)}

    def _unseen(self, model: nn.Module) -> dict[str, Any]:
        """The corpus left out of training, its neutral, happy, sad and angry clips."""
        clips = [clip for clip in self._away if clip.emotion in FOUR]
        assert isinstance(model, VoiceEncoder)
        return figures(clips, whole_clip_logits(model, statistics_of(model, clips)))


def _surprise(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def alike(names: list[str]) -> np.ndarray:
    """float32 (B,) that sum to 1: each name counts as much as any other, each of its rows too."""
    _, which, counts = np.unique(names, return_inverse=True, return_counts=True)
    shares: np.ndarray = (1 / counts / len(counts))[which].astype(np.float32)
    return shares


def build(recipe: Recipe, data: Path, cache: Path) -> Task:
    """The task: the pretrained trunk with a head, or the classical baseline."""
    if recipe.model == MODEL:
        return svm_task(recipe, data, cache)
    if recipe.model != "trunk":
        raise RecipeError(f"model: expected trunk or {MODEL}, got {recipe.model!r}")
    return VoiceTask(recipe, data, cache)


@torch.inference_mode()
def whole_clip_logits(model: nn.Module, of: Statistics) -> Tensor:
    """(B, 8), one row per clip from all of its hops with speech."""
    assert isinstance(model, VoiceEncoder)
    tokens = model.token(torch.from_numpy(of.values))
    return model.speech_logits(model.pool(tokens, torch.from_numpy(of.mask)))
