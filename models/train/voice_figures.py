"""Which clips of acted speech count how much, and how good an answer about them is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.data.speech import Clip
from models.encoders.voice import SPEECH as CLASSES
from models.metrics import uar

FOUR = ("neutral", "happy", "sad", "angry")  # the emotions that every corpus has


def balance(clips: list[Clip]) -> np.ndarray:
    """Sampling weights: a corpus by the root of its size, its emotions alike."""
    names = np.array([clip.corpus for clip in clips])
    cells = np.array([f"{clip.corpus}/{clip.emotion}" for clip in clips])
    share = np.ones(len(clips))
    for corpus in set(names):
        mine = names == corpus
        for cell in set(cells[mine]):
            share[cells == cell] = mine.sum() ** 0.5 / len(set(cells[mine])) / (cells == cell).sum()
    return share / share.sum()


def closed_sets(clips: list[Clip]) -> np.ndarray:
    """bool (B, 8): the classes that a clip's corpus has at all."""
    known: dict[str, set[str]] = {}
    for clip in clips:
        known.setdefault(clip.corpus, set()).add(clip.emotion)
    return np.array([[name in known[clip.corpus] for name in CLASSES] for clip in clips])


def figures(clips: list[Clip], logits: Tensor) -> dict[str, Any]:
    """n, accuracy and UAR of logits (B, 8) per corpus, over its own classes, and per sex."""
    known = torch.from_numpy(closed_sets(clips))
    guess = logits.masked_fill(~known, -torch.inf).argmax(1).numpy()
    labels = np.array([CLASSES.index(clip.emotion) for clip in clips])
    corpora = np.array([clip.corpus for clip in clips])
    sexes = np.array([clip.sex for clip in clips])
    groups = {corpus: corpora == corpus for corpus in sorted(set(corpora))}
    for corpus in sorted(set(corpora)):
        for sex in sorted(set(sexes[corpora == corpus]) - {""}):
            groups[f"{corpus}/{sex}"] = (sexes == sex) & (corpora == corpus)
    return {
        name: {
            "n": int(at.sum()),
            "accuracy": float((guess[at] == labels[at]).mean()),
            "uar": float(uar(guess[at], labels[at])),
        }
        for name, at in groups.items()
        if at.any()
    }
