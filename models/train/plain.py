"""Train the plain CNN + LSTM + dense network on combinations of equal label.

As in the texts it stands for: samples of one label from three corpora stand in for one person, all
modalities always there. Nothing is chosen on validation, so its figures on the corpora's validation
parts are held out: `joint` on made-up people, `zeroed` one modality with zeros for the others,
`alone` the head of one branch.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.data.faces import load_faces
from models.data.speech import decode
from models.encoders.plain import PlainNet, frames_of, word_ids
from models.errors import DataError
from models.labels import (
    GOEMOTIONS_TO_EMOTION,
    MELD_TO_EMOTION,
    SPEECH_TO_EMOTION,
    emotion_index,
    ferplus_matrix,
)
from models.metrics import accuracy, macro_f1, uar
from models.train.progress import progress_bar
from models.train.recipe import Recipe, expect_known
from models.train.task import Batch
from models.types import EMOTIONS, MODALITIES

PEOPLE = 2000  # made-up people that the joint network is measured on


@dataclass(frozen=True)
class Samples:
    """One modality: inputs (N, ...) and labels int64 (N,)."""

    inputs: Tensor
    labels: np.ndarray

    def draw(self, wanted: np.ndarray, rng: np.random.Generator) -> Tensor:
        """An input of each wanted label."""
        pools = [np.flatnonzero(self.labels == c) for c in range(len(EMOTIONS))]
        return self.inputs[torch.from_numpy(np.array([rng.choice(pools[c]) for c in wanted]))]


def face_samples(data: Path, split: str) -> Samples:
    """FER+ by majority vote, contempt within disgust."""
    faces = load_faces(data, split)
    labels = (faces.targets @ ferplus_matrix()).argmax(1)
    return Samples(torch.from_numpy(faces.pixels), labels)


def speech_samples(data: Path, split: str, cache: Path) -> Samples:
    """Every clip's two loudest seconds, decoded once into the cache."""
    table = data / "speech" / "manifest.csv"
    if not table.exists():
        raise DataError(f"expected the speech manifest at {table}, found nothing: see --data")
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    store = cache / f"plain-{split}-{len(rows)}.npy"
    if not store.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(store, np.stack(list(_decoded(data, rows))))
    labels = [emotion_index(SPEECH_TO_EMOTION[row["emotion"]]) for row in rows]
    return Samples(torch.from_numpy(np.load(store)), np.array(labels))


def _decoded(data: Path, rows: list[dict[str, str]]) -> Iterator[np.ndarray]:
    with progress_bar() as bar:
        for row in bar.track(rows, task_id=bar.add_task("decode speech", note="")):
            yield frames_of(decode(data / row["path"]))


def text_samples(data: Path, split: str) -> Samples:
    """GoEmotions and MELD rows with one emotion."""
    folder, part = data / "text", "train" if split == "train" else "dev"
    try:
        names = (folder / "goemotions_labels.txt").read_text().split()
        lines = (folder / f"goemotions_{part}.tsv").read_text(encoding="utf-8").splitlines()
        turns = (folder / f"meld_{part}.csv").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"expected GoEmotions and MELD in {folder}, got {error}") from error
    texts, labels = [], []
    for line in lines:
        text, ids, _ = line.split("\t")
        groups = {GOEMOTIONS_TO_EMOTION[names[int(i)]] for i in ids.split(",")}
        if len(groups) == 1:
            texts.append(text)
            labels.append(emotion_index(groups.pop()))
    for row in csv.DictReader(turns.splitlines()):
        texts.append(row["Utterance"])
        labels.append(emotion_index(MELD_TO_EMOTION[row["Emotion"]]))
    return Samples(word_ids(texts), np.array(labels))


class PlainTask:
    """The Task; recipe.data: steps (batches in an epoch)."""

    part = "plain"

    def __init__(self, recipe: Recipe, train: list[Samples], valid: list[Samples]) -> None:
        self._recipe, self._train, self._valid = recipe, train, valid
        self.steps: int = recipe.data.get("steps", 300)

    def model(self) -> nn.Module:
        """A fresh network."""
        return PlainNet(**self._recipe.options)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Faces, frames, words and labels (B,), each label equally often."""
        rng = np.random.default_rng([self._recipe.seed, epoch])
        for _ in range(self.steps):
            wanted = rng.integers(0, len(EMOTIONS), self._recipe.batch)
            faces, frames, words = (samples.draw(wanted, rng) for samples in self._train)
            flip = torch.from_numpy(rng.random(len(wanted)) < 0.5)[:, None, None]
            faces = torch.where(flip, faces.flip(2), faces)
            yield faces, frames, words, torch.from_numpy(wanted)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy of the joint network and of each branch's own head."""
        assert isinstance(model, PlainNet)
        *inputs, labels = batch
        branches = model.branches(*inputs)
        logits = [model.joint(branches)]
        logits += [model.only(which, branch) for which, branch in enumerate(branches)]
        return torch.stack([F.cross_entropy(part, labels) for part in logits]).sum()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """UAR of the joint network and of the branches."""
        return {name: row["uar"] for name, row in self._measure(model).items()}

    def finish(self, model: nn.Module) -> dict[str, Any]:
        """All figures on the corpora's validation parts, on which nothing was chosen."""
        return self._measure(model)

    @torch.inference_mode()
    def _measure(self, model: nn.Module) -> dict[str, dict[str, float]]:
        assert isinstance(model, PlainNet)
        figures = {}
        wanted = np.random.default_rng(11).integers(0, len(EMOTIONS), PEOPLE)
        rng = np.random.default_rng(12)
        people = [samples.draw(wanted, rng) for samples in self._valid]
        figures["joint_made_up"] = _figures(model(*people), wanted)
        for m, (samples, see) in enumerate(
            zip(self._valid, (model.see, model.hear, model.read), strict=True)
        ):
            branch = torch.cat([see(part) for part in samples.inputs.split(256)])
            zeroed = [torch.zeros_like(branch) for _ in MODALITIES]
            zeroed[m] = branch
            figures[f"{MODALITIES[m]}_zeroed"] = _figures(model.joint(zeroed), samples.labels)
            figures[f"{MODALITIES[m]}_alone"] = _figures(model.only(m, branch), samples.labels)
        return figures


def _figures(logits: Tensor, labels: np.ndarray) -> dict[str, float]:
    probabilities = logits.softmax(-1).numpy()
    return {
        "n": len(labels), "accuracy": accuracy(probabilities, labels),
        "uar": uar(probabilities, labels), "macro_f1": macro_f1(probabilities, labels),
    }  # fmt: skip


def build(recipe: Recipe, data: Path, cache: Path) -> PlainTask:
    """The task over FER+, the acted speech, GoEmotions and MELD."""
    expect_known(recipe.data, ("steps",), "data")
    train, valid = (
        [face_samples(data, split), speech_samples(data, split, cache), text_samples(data, split)]
        for split in ("train", "valid")
    )
    return PlainTask(recipe, train, valid)
