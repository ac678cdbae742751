"""Train the sound encoder on ESC-10, with speech, rumble and silence as "other".

320 clips are few, so each is heard differently every time: at other speeds, shifted, mixed with
another clip in proportion (Tokozume et al. 2018, "Learning from between-class examples for deep
sound recognition"), through another microphone (a random tilt of the spectrum), over a noise floor,
with parts masked out (Park et al. 2019, "SpecAugment"). All of it happens on log-mel frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import features, weights
from models.calibration import fit_temperature
from models.data.sounds import CLASSES, OTHER, Sound, load_sounds, load_voices, rumbles
from models.encoders.sounds import HOP_T, SILENT, SoundEncoder, cut
from models.errors import DataError
from models.labels import SOUNDS
from models.metrics import accuracy, ece, macro_f1, uar
from models.predictors.linear import MFCC_N, Linear, mfcc
from models.train.linear import LinearTask
from models.train.recipe import Recipe
from models.train.task import Batch, Task

SVM = "mfcc-svm"


class Ear:
    """Random variants of clips; a function of the generator alone."""

    def __init__(self, options: dict[str, Any], rng: np.random.Generator) -> None:
        self._mix: float = options.get("mix", 0.5)
        self._masks: int = options.get("masks", 2)
        self._rng = rng

    def hear(self, first: Sound, second: Sound, hops: int) -> tuple[np.ndarray, np.ndarray]:
        """(hops, 74, 64) and the shares (11,) of the classes: one clip, or two mixed."""
        rng = self._rng
        mel, share = self._take(first, hops), 1.0
        if rng.random() < self._mix:
            share = float(rng.uniform(0.02, 0.98))
            other = self._take(second, hops) + np.float32(2 * np.log(1 - share))
            mel = np.logaddexp(mel + np.float32(2 * np.log(share)), other)
        mel = np.logaddexp(mel + self._tilt(), self._floor(mel.shape))
        level = rng.uniform(-9, 3)  # before the peak follower, whose floor is at -13 nats
        frames, _ = features.normalise(mel + np.float32(level), features.PEAK_FLOOR)
        target = np.zeros(len(CLASSES), np.float32)
        target[first.label] += share
        target[second.label] += 1 - share
        return cut(self._masked(frames)), target

    def _take(self, sound: Sound, hops: int) -> np.ndarray:
        """A stretch at some speed, around one of the clip's loud frames, with its peak at 0."""
        rng = self._rng
        mel = np.maximum(sound.mels[rng.integers(len(sound.mels))].astype(np.float32), SILENT)
        level = mel.max(1)
        anchor = rng.choice(np.flatnonzero(level >= level.max() - 3))
        wanted = hops * HOP_T
        at = anchor - rng.integers(wanted) + np.arange(wanted)
        return mel[at % len(mel)] - np.float32(max(level.max(), features.PEAK_FLOOR))

    def _tilt(self) -> np.ndarray:
        """(64,) nats: a smooth random curve of about 6 dB."""
        knots = self._rng.normal(0, 0.8, 5)
        curve = np.interp(np.linspace(0, 4, features.MELS), np.arange(5), knots)
        return curve.astype(np.float32)

    def _floor(self, shape: tuple[int, ...]) -> np.ndarray:
        level = self._rng.uniform(-14, -4.5)
        slope = np.linspace(level, level + self._rng.uniform(-3, 0.5), shape[1], dtype=np.float32)
        return slope + np.float32(0.5) * self._rng.standard_normal(shape, np.float32)

    def _masked(self, frames: np.ndarray) -> np.ndarray:
        rng, low = self._rng, frames.min()
        for _ in range(self._masks):
            f, w = rng.integers(features.MELS), rng.integers(1, 9)
            frames[:, f : f + w] = low
            t, w = rng.integers(len(frames)), rng.integers(1, 26)
            frames[t : t + w] = low
        return frames


class SoundsTask:
    """ESC-10. data options: hold (the fold to validate on; 0: train on all folds), passes (over the
    clips in an epoch), others (share of "other" clips added), mix, masks, hops, cross_validate.
    """

    part = "sounds"

    def __init__(
        self, recipe: Recipe, sounds: list[Sound], others: list[Sound], quiet: list[Sound]
    ) -> None:
        self.recipe = recipe
        hold = recipe.data.get("hold", 0)
        self._train = [s for s in sounds if s.fold != hold]
        self._valid = [s for s in sounds if s.fold == hold]
        self._others, self._quiet = others, quiet
        if len({s.label for s in self._train}) < 2:
            raise DataError(
                f"sounds: expected clips of at least two classes outside fold {hold}, "
                f"got {len(self._train)} of {len({s.label for s in self._train})}"
            )
        if hold and not self._valid:
            raise DataError(f"sounds: expected clips in fold {hold}, found none")
        self._n = round(len(self._train) * (1 + recipe.data.get("others", 0.25)))
        self.steps = max(1, self._n * recipe.data.get("passes", 1) // recipe.batch)
        self.folds: Folds | None = None

    def _pass(self, rng: np.random.Generator) -> list[Sound]:
        """Every clip once and some others, in random order."""
        extra = rng.integers(len(self._others), size=self._n - len(self._train))
        sounds = self._train + [self._others[i] for i in extra]
        return [sounds[i] for i in rng.permutation(len(sounds))]

    def model(self) -> nn.Module:
        """A fresh encoder."""
        return SoundEncoder(**self.recipe.options)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """(float (B, hops, 74, 64), target shares (B, 11))."""
        rng = np.random.default_rng([self.recipe.seed, epoch])
        ear = Ear(self.recipe.data, rng)
        choices = self.recipe.data.get("hops", [4, 6, 10])
        order: list[Sound] = []
        while len(order) < self.steps * self.recipe.batch:
            order += self._pass(rng)
        for i in range(self.steps):
            hops = int(rng.choice(choices))
            some = order[i * self.recipe.batch : (i + 1) * self.recipe.batch]
            partners = rng.integers(len(order), size=len(some))
            heard = [ear.hear(s, order[j], hops) for s, j in zip(some, partners, strict=True)]
            frames = np.stack([f for f, _ in heard])
            yield torch.from_numpy(frames), torch.from_numpy(np.stack([t for _, t in heard]))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy with the shares of the mixed clips."""
        frames, targets = batch
        assert isinstance(model, SoundEncoder)
        return F.cross_entropy(model.of_clips(frames), targets)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Accuracy over the ten sounds on the fold held out; how often speech is taken for one."""
        assert isinstance(model, SoundEncoder)
        speech = logits_of(model, self._quiet).argmax(1).numpy()
        figures = {"false_alarms": float((speech != OTHER).mean())}
        if self._valid:
            figures["accuracy"] = measure(logits_of(model, self._valid), self._valid)["accuracy"]
        return figures

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """Figures on the fold held out; or, over all folds, by cross-validation, if asked for."""
        assert isinstance(model, SoundEncoder)
        figures: dict[str, Any] = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "train_n": len(self._train),
            "speech_n": len(self._quiet),
        }
        if self._valid:
            figures |= measure(logits_of(model, self._valid), self._valid)
        elif self.folds is not None:
            logits, sounds = self.folds.logits()
            labels = torch.tensor([s.label for s in sounds])
            temperature = fit_temperature(logits[:, :OTHER], labels)
            model.temperature.fill_(temperature)
            figures["cross_validation"] = measure(logits / temperature, sounds)
        return figures | self.evaluate(model)


class Folds:
    """The same recipe once for each fold held out, trained when asked."""

    def __init__(self, recipe: Recipe, data: Path, cache: Path, sounds: list[Sound]) -> None:
        self._recipe, self._data, self._cache, self._sounds = recipe, data, cache, sounds

    def logits(self) -> tuple[Tensor, list[Sound]]:
        """(B, 11) of every clip by the model that never saw its fold, and the clips."""
        parts, held = [], []
        for fold in sorted({s.fold for s in self._sounds}):
            sounds = [s for s in self._sounds if s.fold == fold]
            parts.append(self._of_fold(fold, sounds))
            held += sounds
        return torch.cat(parts), held

    def _of_fold(self, fold: int, sounds: list[Sound]) -> Tensor:
        from models.train.engine import train  # the engine builds tasks: not at import

        options = {**self._recipe.data, "hold": fold, "cross_validate": False}
        recipe = msgspec.structs.replace(self._recipe, data=options)
        run = self._cache / f"{self._recipe.model}-folds" / str(fold)
        train(recipe, self._data, run, self._cache)
        if recipe.model == SVM:
            with torch.inference_mode():
                svm = weights.load(Linear(4 * MFCC_N, len(SOUNDS)), run, SVM)
                logits: Tensor = svm(torch.from_numpy(cepstra_of(sounds)))
                return logits
        return logits_of(weights.load(SoundEncoder(**recipe.options), run, "sounds"), sounds)


class SvmTask(LinearTask):
    """The support vector machine on cepstra; without a fold held out, by cross-validation."""

    folds: Folds | None = None

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """As of any linear baseline, and the figures over the folds, if asked for."""
        assert isinstance(model, Linear)
        if self.folds is None:
            return super().finish(model)
        logits, sounds = self.folds.logits()
        temperature = fit_temperature(logits, torch.tensor([s.label for s in sounds]))
        model.temperature.fill_(temperature)
        return {"cross_validation": measure(logits / temperature, sounds)}


def cepstra_of(sounds: list[Sound]) -> np.ndarray:
    """float32 (B, 80)."""
    return np.stack([mfcc(sound.mels[0]) for sound in sounds])


def svm_task(recipe: Recipe, sounds: list[Sound]) -> SvmTask:
    """The baseline over the clips outside the fold held out."""
    hold = recipe.data.get("hold", 0)
    train = [s for s in sounds if s.fold != hold]
    targets = np.eye(len(SOUNDS), dtype=np.float32)[[s.label for s in train]]
    valid = [s for s in sounds if s.fold == hold]
    labels = np.array([s.label for s in valid])
    held = {"valid": (cepstra_of(valid), labels, partial(measure, sounds=valid))} if valid else {}
    return SvmTask(recipe, (cepstra_of(train), targets), held)


def build(recipe: Recipe, data: Path, cache: Path) -> Task:
    """The task over ESC-10 and the speech below `data`; `model: mfcc-svm` is the baseline."""
    sounds = load_sounds(data, cache)
    task: SvmTask | SoundsTask
    if recipe.model == SVM:
        task = svm_task(recipe, sounds)
    else:
        others = load_voices(data, "train", cache) + rumbles()
        task = SoundsTask(recipe, sounds, others, load_voices(data, "valid", cache))
    if recipe.data.get("cross_validate") and not recipe.data.get("hold"):
        task.folds = Folds(recipe, data, cache, sounds)
    return task


@torch.inference_mode()
def logits_of(model: SoundEncoder, sounds: list[Sound]) -> Tensor:
    """(B, 11) for whole clips at their own speed; each clip on its own."""
    rows = [model.of_clip(sound.mels[0].astype(np.float32)) for sound in sounds]
    return torch.stack(rows) if rows else torch.zeros(0, len(CLASSES))


def measure(logits: Tensor, sounds: list[Sound]) -> dict[str, Any]:
    """Figures over the ten sounds, "other" left out as ESC-10 has it."""
    labels = np.array([s.label for s in sounds])
    guess = logits[:, :OTHER].softmax(-1).numpy()
    confusion = np.zeros((len(SOUNDS), len(SOUNDS)), int)
    np.add.at(confusion, (labels, guess.argmax(1)), 1)
    return {
        "n": len(labels), "accuracy": accuracy(guess, labels), "uar": uar(guess, labels),
        "macro_f1": macro_f1(guess, labels), "ece": ece(guess, labels),
        "missed_as_other": float((logits.argmax(1).numpy() == OTHER).mean()),
        "confusion": confusion.tolist(),
    }  # fmt: skip
