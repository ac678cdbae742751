"""Train the head of the sound encoder on ESC-10, with speech, rumble and silence as "other"."""

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

from models import weights
from models.calibration import fit_temperature
from models.data.sounds import CLASSES, OTHER, VOICES, Sound, load_sounds, rumbles
from models.encoders.sounds import SoundEncoder
from models.encoders.trunk import STATISTICS_D
from models.encoders.voice import VoiceEncoder
from models.errors import DataError, RecipeError
from models.labels import SOUNDS
from models.metrics import accuracy, ece, macro_f1, uar
from models.predictors.linear import MFCC_N, Linear, mfcc
from models.train.linear import LinearTask
from models.train.recipe import Recipe
from models.train.sounds_heard import Heard, Listening
from models.train.task import Batch, Task
from models.train.transfer import SHIPPED, start_folder

SVM = "mfcc-svm"


class SoundsTask:
    """ESC-10 by a head over the trunk of the voice, which stays as it is.

    data options: hold (the fold to validate on; 0: train on all folds), copies (disturbed ones of
    each clip), disturbed (their share in a batch), mix and masks (see `Ear`), hops (fewest and most
    of a window), cross_validate, trunk (a folder with the voice whose trunk it is; or shipped),
    voices (the speech that is "other": "acted", as shipped, or "free").
    """

    part = "sounds"

    def __init__(
        self,
        recipe: Recipe,
        listening: Listening,
        sounds: list[Sound],
        others: list[Sound],
        quiet: list[Sound],
    ) -> None:
        self.recipe = recipe
        options = {"copies": 10, "disturbed": 0.5, "mix": 0.5, "masks": 2, **recipe.data}
        hold = options.get("hold", 0)
        train = [s for s in sounds if s.fold != hold]
        self._valid = [s for s in sounds if s.fold == hold]
        self._quiet_n, self._train_n = len(quiet), len(train)
        if len({s.label for s in train}) < 2:
            raise DataError(
                f"sounds: expected clips of at least two classes outside fold {hold}, "
                f"got {len(train)} of {len({s.label for s in train})}"
            )
        if hold and not self._valid:
            raise DataError(f"sounds: expected clips in fold {hold}, found none")
        disturbing = {name: options[name] for name in ("copies", "mix", "masks")}
        parts = (
            listening.plain([*sounds, *others], speeds=True),
            listening.disturbed(sounds, others, disturbing, recipe.seed),
        )
        self._parts = [part.of(np.flatnonzero(part.folds != (hold or -1))) for part in parts]
        self._heard_valid = listening.plain(self._valid) if self._valid else None
        self._heard_quiet = listening.plain(quiet) if quiet else None
        self._over = listening.mark
        self._share: float = options["disturbed"]
        self._hops: tuple[int, int] = tuple(options.get("hops", (3, 10)))
        self.steps = max(1, sum(map(len, self._parts)) // recipe.batch)
        self.folds: Folds | None = None

    def model(self) -> nn.Module:
        """A fresh head; statistics scaled by those of the training clips."""
        model = SoundEncoder(**self.recipe.options)
        model.over.copy_(self._over)
        sample = [part.values[part.mask].astype(np.float32) for part in self._parts]
        mean = np.mean([rows.mean(0) for rows in sample], 0)
        square = np.mean([np.square(rows - mean).mean(0) for rows in sample], 0)
        model.centre.copy_(torch.from_numpy(mean))
        model.spread.copy_(torch.from_numpy(np.sqrt(square)).clamp_min(1e-3))
        return model

    def batches(self, epoch: int) -> Iterator[Batch]:
        """(float (B, K, 768), bool (B, K), target shares (B, 11)): windows of any length."""
        rng = np.random.default_rng([self.recipe.seed, epoch])
        size, (least, most) = self.recipe.batch, self._hops
        for _ in range(self.steps):
            values = np.zeros((size, most, STATISTICS_D), np.float32)
            mask = np.zeros((size, most), bool)
            targets = np.zeros((size, len(CLASSES)), np.float32)
            for row in range(size):
                part = self._parts[int(rng.random() < self._share)]
                i = rng.integers(len(part))
                count = int(part.mask[i].sum())
                length = min(count, int(rng.integers(least, most + 1)))
                at = int(rng.integers(count - length + 1))
                values[row, :length] = part.values[i, at : at + length]
                mask[row, :length], targets[row] = True, part.targets[i]
            yield tuple(map(torch.from_numpy, (values, mask, targets)))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy with the shares of the mixed clips."""
        values, mask, targets = batch
        assert isinstance(model, SoundEncoder)
        return F.cross_entropy(model.of_clips(values, mask), targets)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Accuracy over the ten sounds on the fold held out; how often speech is taken for one."""
        assert isinstance(model, SoundEncoder)
        figures = {}
        if self._heard_quiet is not None:
            speech = logits_of(model, self._heard_quiet).argmax(1).numpy()
            figures["false_alarms"] = float((speech != OTHER).mean())
        if self._heard_valid is not None:
            logits = logits_of(model, self._heard_valid)
            figures["accuracy"] = measure(logits, self._valid)["accuracy"]
        return figures

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """Figures on the fold held out; or, over all folds, by cross-validation, if asked for."""
        assert isinstance(model, SoundEncoder)
        figures: dict[str, Any] = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "train_n": self._train_n,
            "speech_n": self._quiet_n,
        }
        if self._heard_valid is not None:
            figures |= measure(logits_of(model, self._heard_valid), self._valid)
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
        model = weights.load(SoundEncoder(**recipe.options), run, "sounds")
        return logits_of(model, listening_of(recipe, self._cache).plain(sounds))


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
        kind = recipe.data.get("voices", "acted")
        if kind not in VOICES:
            raise RecipeError(f"data.voices: expected {' or '.join(VOICES)}, got {kind!r}")
        others = VOICES[kind](data, "train", cache) + rumbles()
        quiet = VOICES[kind](data, "valid", cache)
        task = SoundsTask(recipe, listening_of(recipe, cache), sounds, others, quiet)
    if recipe.data.get("cross_validate") and not recipe.data.get("hold"):
        task.folds = Folds(recipe, data, cache, sounds)
    return task


def listening_of(recipe: Recipe, cache: Path) -> Listening:
    """By the trunk of the voice in the folder that the recipe names, or of the shipped one."""
    folder = start_folder(recipe.data.get("trunk", SHIPPED))
    return Listening(weights.load(VoiceEncoder(), folder, "voice").trunk, cache)


@torch.inference_mode()
def logits_of(model: SoundEncoder, clips: Heard) -> Tensor:
    """(B, 11) for whole clips."""
    return model.of_clips(torch.from_numpy(clips.values).float(), torch.from_numpy(clips.mask))


def measure(logits: Tensor, sounds: list[Sound]) -> dict[str, Any]:
    """Figures over the ten sounds, "other" left out as ESC-10 has it."""
    labels = np.array([s.label for s in sounds])
    guess = logits[:, :OTHER].softmax(-1).numpy()
    folds = np.array([s.fold for s in sounds])
    confusion = np.zeros((len(SOUNDS), len(SOUNDS)), int)
    np.add.at(confusion, (labels, guess.argmax(1)), 1)
    return {
        "n": len(labels), "accuracy": accuracy(guess, labels), "uar": uar(guess, labels),
        "macro_f1": macro_f1(guess, labels), "ece": ece(guess, labels),
        "missed_as_other": float((logits.argmax(1).numpy() == OTHER).mean()),
        "by_fold": {
            str(fold): accuracy(guess[folds == fold], labels[folds == fold])
            for fold in sorted(set(folds.tolist()))
        },
        "confusion": confusion.tolist(),
    }  # fmt: skip
