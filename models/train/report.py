"""Figures for the manifest and the model card, measured on the weights as they are on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from models.data.faces import load_faces
from models.data.speech import load_speech
from models.data.text import load_mosi, load_sst2, load_text
from models.encoders.faces import FaceEncoder
from models.encoders.text import TextEncoder
from models.encoders.voice import VoiceEncoder
from models.labels import ferplus_matrix
from models.metrics import accuracy, macro_f1, majority, uar
from models.train import faces as train_faces
from models.train import text as train_text
from models.train import voice as train_voice

Figures = dict[str, dict[str, float]]


def _classes(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {
        "n": len(labels),
        "accuracy": accuracy(probabilities, labels),
        "uar": uar(probabilities, labels),
        "macro_f1": macro_f1(probabilities, labels),
        "chance_uar": 1 / len(np.unique(labels)),
        "majority": majority(labels),
    }


@torch.inference_mode()
def report_faces(model: FaceEncoder, data: Path) -> Figures:
    """FER+ validation: eight classes as labelled, seven as used."""
    faces = load_faces(data, "valid")
    tokens = train_faces.tokens_of(model, faces.pixels)
    eight = model.ferplus_logits(tokens).softmax(-1).numpy()
    seven = model.logits(tokens).softmax(-1).numpy()
    return {
        "ferplus_valid_8": _classes(eight, faces.targets.argmax(1)),
        "ferplus_valid_7": _classes(seven, (faces.targets @ ferplus_matrix()).argmax(1)),
    }


@torch.inference_mode()
def report_voice(model: VoiceEncoder, data: Path, cache: Path) -> Figures:
    """Validation speakers per corpus: the spoken middle 2 s, and whole clips up to 8 s."""
    clips = load_speech(data, "valid", cache)
    corpus = np.array([clip.corpus for clip in clips])
    figures = {}
    for kind, whole in (("2s", False), ("clip", True)):
        windows = train_voice.windows_of(clips, whole=whole)
        pooled = model.pool(train_voice.tokens_of(model, windows), windows.mask)
        probabilities, labels = model.logits(pooled).softmax(-1).numpy(), windows.labels.numpy()
        for name in sorted(set(corpus)):
            at = corpus == name
            figures[f"{name}_valid_{kind}"] = _classes(probabilities[at], labels[at])
    return figures


def _signs(guess: np.ndarray, target: np.ndarray) -> dict[str, float]:
    signed = target != 0
    hits = (guess > 0) == (target > 0)
    return {
        "n": len(target),
        "n_signed": int(signed.sum()),
        "sign_accuracy": float(hits[signed].mean()),
        "majority": max(float((target > 0)[signed].mean()), float((target < 0)[signed].mean())),
        "correlation": float(np.corrcoef(guess, target)[0, 1]),
        "mae": float(np.abs(guess - target).mean()),
    }


@torch.inference_mode()
def report_text(model: TextEncoder, data: Path) -> Figures:
    """Emotions on rows with one emotion; sentiment on every set, CMU-MOSI never trained on."""
    figures = {}
    for name, rows in load_text(data, "valid").items():
        tokens = train_text.tokens_of(model, [row.text for row in rows])
        guess = model.sentiment(tokens).numpy()
        figures[f"{name}_valid_sentiment"] = _signs(guess, np.array([r.sentiment for r in rows]))
        if rows[0].emotions is not None:
            single = [i for i, row in enumerate(rows) if row.label is not None]
            labels = np.array([row.label for row in rows if row.label is not None])
            probabilities = model.logits(tokens[single]).softmax(-1).numpy()
            figures[f"{name}_valid_emotion"] = _classes(probabilities, labels)
    sst2 = load_sst2(data)
    guess = model.sentiment(train_text.tokens_of(model, [text for text, _ in sst2])).numpy()
    figures["sst2_valid_sentiment"] = _signs(guess, np.array([2.0 * y - 1 for _, y in sst2]))
    texts, target = load_mosi(data)
    guess = model.sentiment(train_text.tokens_of(model, texts)).numpy()
    figures["mosi_valid_sentiment_not_trained_on"] = _signs(guess, target)
    return figures
