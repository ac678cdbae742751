"""The classical baseline for voice: a linear support vector machine on cepstra of a clip's speech.

The same clips, speakers, closed sets and figures as the encoder, see `models.train.voice`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.data.speech import Clip, load_speech
from models.encoders.voice import SPEECH as CLASSES
from models.features import PEAK_FLOOR, normalise
from models.predictors.linear import mfcc
from models.train.linear import LinearTask
from models.train.recipe import Recipe, expect_known
from models.train.voice_figures import FOUR, balance, figures
from models.train.voice_hops import SPEECH as HEARD

MODEL = "voice-mfcc-svm"
_DRAWS = 4  # rows of the training table for each clip, drawn in proportion to `balance`


def cepstra(mel: np.ndarray, speech: np.ndarray) -> np.ndarray:
    """(T, 64) nats and (T,) -> float32 (80,), over the frames with speech if there are any."""
    frames, _ = normalise(mel, PEAK_FLOOR)
    spoken = speech >= HEARD
    return mfcc(frames[spoken] if spoken.sum() > 1 else frames)


def svm_task(recipe: Recipe, data: Path, cache: Path) -> LinearTask:
    """data.without: a corpus that is left out, and measured on its four common emotions."""
    expect_known(recipe.data, ("loss", "without"), "data")
    left = recipe.data.get("without", "")
    loaded = {part: load_speech(data, part, cache) for part in ("train", "valid", "test")}
    parts = {part: [c for c in clips if c.corpus != left] for part, clips in loaded.items()}
    away = [c for clips in loaded.values() for c in clips if c.corpus == left]
    parts["unseen_corpus"] = [clip for clip in away if clip.emotion in FOUR]
    train = parts.pop("train")
    rng = np.random.default_rng(recipe.seed)
    rows = rng.choice(len(train), _DRAWS * len(train), p=balance(train))
    x = _table(train)[rows]
    y = np.eye(len(CLASSES), dtype=np.float32)[_labels(train)][rows]
    held = {
        part: (_table(clips), _labels(clips), partial(_measure, clips))
        for part, clips in parts.items() if clips
    }  # fmt: skip
    return LinearTask(recipe, (x, y), held)


def _table(clips: list[Clip]) -> np.ndarray:
    return np.stack([cepstra(clip.mel, clip.speech) for clip in clips])


def _labels(clips: list[Clip]) -> np.ndarray:
    return np.array([CLASSES.index(clip.emotion) for clip in clips])


def _measure(clips: list[Clip], logits: Tensor) -> dict[str, object]:
    found = figures(clips, logits)
    corpora = [row["accuracy"] for name, row in found.items() if "/" not in name]
    return {**found, "accuracy": float(torch.tensor(corpora).mean())}
