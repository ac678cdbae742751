"""ESC-10 as the trunk hears it: each clip as it is, and disturbed, computed once and kept.

320 clips are few, so each is also heard differently every time: at other speeds, shifted, mixed
with another clip in proportion (Tokozume et al. 2018, "Learning from between-class examples for
deep sound recognition"), through another microphone (a random tilt of the spectrum), over a noise
floor, with parts masked out (Park et al. 2019, "SpecAugment"). All of it happens on log-mel frames.

Invariant: a clip is mixed with clips of its own fold and with "other" only, so nothing of a fold
held out is in the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import features
from models.data.sounds import CLASSES, OTHER, Sound
from models.encoders.sounds import HOP_T, SILENT, cut, heard
from models.encoders.trunk import STATISTICS_D, Trunk
from models.train.progress import progress_bar

HOPS = 6  # of a disturbed clip
Row = tuple[np.ndarray, np.ndarray, int]  # statistics (K, 768), shares of the classes (11,), fold


@dataclass(frozen=True)
class Heard:
    """values (B, K, 768), mask bool (B, K), targets float32 (B, 11), folds (B,), 0 for "other"."""

    values: np.ndarray
    mask: np.ndarray
    targets: np.ndarray
    folds: np.ndarray

    def __len__(self) -> int:
        return len(self.folds)

    def of(self, chosen: np.ndarray) -> Heard:
        """Some of the rows."""
        return Heard(
            self.values[chosen], self.mask[chosen], self.targets[chosen], self.folds[chosen]
        )


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


class Listening:
    """Makes clips heard by a trunk, and keeps what it made in `cache`."""

    def __init__(self, trunk: Trunk, cache: Path) -> None:
        self._trunk, self._cache = trunk, cache
        self.mark = trunk.mark()

    def plain(self, sounds: Sequence[Sound], *, speeds: bool = False) -> Heard:
        """Whole clips as a live stream hears them, at all of their speeds if asked for."""

        def made() -> list[Row]:
            rows = []
            for sound in sounds:
                target = np.eye(len(CLASSES), dtype=np.float32)[sound.label]
                for mel in sound.mels if speeds else sound.mels[:1]:
                    values = heard(self._trunk, mel.astype(np.float32)).numpy()
                    rows.append((values, target, sound.fold))
            return rows

        return self._kept(["plain", speeds, [sound.name for sound in sounds]], made)

    def disturbed(
        self, sounds: list[Sound], others: list[Sound], options: dict[str, Any], seed: int
    ) -> Heard:
        """`copies` of each clip, all different, and a quarter as many of "other"."""

        def made() -> list[Row]:
            rng = np.random.default_rng(seed)
            ear = Ear(options, rng)
            folds = {s.fold: [x for x in sounds if x.fold == s.fold] for s in sounds}
            rows = []
            for _ in range(options["copies"]):
                extra = [others[i] for i in rng.integers(len(others), size=len(sounds) // 4)]
                for sound in [*sounds, *extra]:
                    alike = rng.random() < 0.85 and sound.label != OTHER
                    company = folds[sound.fold] if alike else others
                    partner = company[rng.integers(len(company))]
                    frames, target = ear.hear(sound, partner, HOPS)
                    with torch.inference_mode():
                        values = self._trunk.statistics(torch.from_numpy(frames)).numpy()
                    rows.append((values, target, sound.fold))
            return rows

        names = [[sound.name for sound in part] for part in (sounds, others)]
        return self._kept(["disturbed", sorted(options.items()), seed, names], made)

    def _kept(self, what: list[Any], made: Callable[[], list[Row]]) -> Heard:
        """From the cache, whose name holds everything that decides the content."""
        key = hashlib.sha256(repr([self.mark.tolist(), *what]).encode()).hexdigest()[:16]
        store = self._cache / f"heard-{key}.npz"
        if not store.exists():
            with progress_bar() as bar:
                bar.add_task("hear the sounds", total=None, note="")
                rows = made()
            longest = max((len(values) for values, _, _ in rows), default=1)
            values = np.zeros((len(rows), longest, STATISTICS_D), np.float16)
            mask = np.zeros((len(rows), longest), bool)
            for i, (row, _, _) in enumerate(rows):
                values[i, : len(row)], mask[i, : len(row)] = row, True
            targets = np.array([target for _, target, _ in rows], np.float32)
            folds = np.array([fold for _, _, fold in rows], np.int64)
            self._cache.mkdir(parents=True, exist_ok=True)
            np.savez(store, values=values, mask=mask, targets=targets, folds=folds)
        with np.load(store) as kept:
            return Heard(kept["values"], kept["mask"], kept["targets"], kept["folds"])
