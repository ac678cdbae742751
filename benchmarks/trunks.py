"""Trunks side by side: what the same simple classifier makes of what each of them hears.

Ridge regression on the mean and the spread of a clip's hops: sounds on ESC-10, each fold held out
in turn; emotions within each corpus of acted speech, on its validation and its held-out speakers.
Nothing is chosen: every strength of the ridge is reported. It says whether a trunk hears as much as
another, not what the trained heads reach.

`python -m benchmarks.trunks NEW ... --data DIR`; the shipped trunk is the first row.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import show, write
from models import weights
from models.data.sounds import log_mel
from models.data.speech import Clip, decode, load_speech
from models.encoders import sounds
from models.encoders.trunk import Trunk
from models.encoders.voice import SPEECH, VoiceEncoder
from models.labels import SOUNDS
from models.metrics import uar
from models.threads import limit_threads
from models.train.voice_hops import hops_of

STRENGTHS = (300.0, 3_000.0, 30_000.0)
CORPORA = ("ravdess", "nemo", "emodb")
TRAIN_EVERY, MEASURE_EVERY = 4, 2  # clips, for it shall not take long
Piece = tuple[np.ndarray, np.ndarray]  # hops (K, 74, 64), which of them are heard, bool (K,)
Row = dict[str, str | float]


def main() -> None:
    """A row for each trunk and strength of the ridge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", help="weights with a voice")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    given = parser.parse_args()
    limit_threads(1)
    folders = {"shipped": weights.SHIPPED, **{str(folder): folder for folder in given.folders}}
    trunks = {n: weights.load(VoiceEncoder(), f, "voice").trunk for n, f in folders.items()}
    rows = [*_sounds(trunks, given.data), *_voices(trunks, given.data, given.cache)]
    show("the same ridge over each trunk", rows)
    write("trunks", {"rows": rows})


def _sounds(trunks: dict[str, Trunk], data: Path) -> list[Row]:
    with (data / "events" / "manifest.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    labels = np.array([SOUNDS.index(row["label"]) for row in listed])
    folds = np.array([int(row["fold"]) for row in listed])
    mels = [log_mel(decode(data / row["path"])) for row in listed]
    cut = [sounds.hops_of(mel, max(1, -(-len(mel) // sounds.HOP_T))) for mel in mels]
    pieces = [(hops, np.ones(len(hops), bool)) for hops in cut]
    rows: list[Row] = []
    for name, trunk in trunks.items():
        x = statistics(trunk, pieces)
        for strength in STRENGTHS:
            right = np.zeros(len(labels), bool)
            for fold in np.unique(folds):
                held = folds == fold
                guess = ridge(x[~held], labels[~held], x[held], strength).argmax(1)
                right[held] = guess == labels[held]
            rows.append(_row("ESC-10 accuracy", name, strength, len(labels), float(right.mean())))
    return rows


def _voices(trunks: dict[str, Trunk], data: Path, cache: Path) -> list[Row]:
    every = {"train": TRAIN_EVERY, "valid": MEASURE_EVERY, "test": MEASURE_EVERY}
    clips = {part: load_speech(data, part, cache)[::n] for part, n in every.items()}
    pieces = {part: [hops_of(c.mel, c.speech) for c in own] for part, own in clips.items()}
    rows: list[Row] = []
    for name, trunk in trunks.items():
        x = {part: statistics(trunk, own) for part, own in pieces.items()}
        for strength in STRENGTHS:
            found = [
                _uar(clips["train"], x["train"], clips[part], x[part], corpus, strength)
                for part in ("valid", "test")
                for corpus in CORPORA
            ]
            n = len(clips["valid"]) + len(clips["test"])
            rows.append(_row("voice UAR, mean of 3 x 2", name, strength, n, float(np.mean(found))))
    return rows


def _uar(
    train: list[Clip], x: np.ndarray, held: list[Clip], y: np.ndarray, corpus: str, strength: float
) -> float:
    """Unweighted average recall within one corpus."""
    mine, theirs = (np.array([c.corpus == corpus for c in clips]) for clips in (train, held))
    labels = np.array([SPEECH.index(c.emotion) for c in train])[mine]
    guess = ridge(x[mine], labels, y[theirs], strength, len(SPEECH))
    guess[:, [c for c in range(len(SPEECH)) if c not in labels]] = -np.inf
    return uar(guess, np.array([SPEECH.index(c.emotion) for c in held])[theirs])


def _row(what: str, trunk: str, strength: float, n: int, value: float) -> Row:
    return {"what": what, "trunk": trunk, "ridge": strength, "n": n, "figure": round(value, 4)}


@torch.inference_mode()
def statistics(trunk: Trunk, pieces: list[Piece], at_once: int = 8) -> np.ndarray:
    """Mean and spread of each clip's hops, (B, 1536)."""
    rows = []
    for start in range(0, len(pieces), at_once):
        part = pieces[start : start + at_once]
        heard = trunk.statistics(torch.from_numpy(np.concatenate([hops for hops, _ in part])))
        ends = np.cumsum([len(hops) for hops, _ in part])[:-1]
        for own, (_, mask) in zip(np.split(heard.numpy(), ends), part, strict=True):
            rows.append(np.concatenate([own[mask].mean(0), own[mask].std(0)]))
    return np.stack(rows)


def ridge(
    x: np.ndarray, labels: np.ndarray, held: np.ndarray, strength: float, classes: int = len(SOUNDS)
) -> np.ndarray:
    """Scores (B, classes) of the rows held out, by least squares on one-hot labels (B, N form)."""
    mean, spread = x.mean(0), x.std(0) + 1e-3
    x, held = (x - mean) / spread, (held - mean) / spread
    targets = np.eye(classes)[labels]
    gram = x @ x.T + strength * np.eye(len(x))
    scores: np.ndarray = held @ x.T @ np.linalg.solve(gram, targets - targets.mean(0))
    return scores + targets.mean(0)


if __name__ == "__main__":
    main()
