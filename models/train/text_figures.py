"""Figures of a text predictor per corpus, by the definitions of models/metrics.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from models import metrics, score_metrics
from models.data.text import MOSI_SCALE, Row, earlier_turns
from models.types import EMOTIONS

Figures = dict[str, float]


def measure(predictor: Any, parts: dict[str, list[Row]]) -> dict[str, Figures]:
    """Corpus -> its figures, n among them."""
    return {name: _corpus(predictor, name, rows) for name, rows in parts.items() if rows}


def summary(figures: dict[str, Figures]) -> Figures:
    """One flat row for the curve of a training."""
    return {
        f"{corpus}_{name}": value
        for corpus, row in figures.items()
        for name, value in row.items()
        if name != "n"
    }


def _corpus(predictor: Any, name: str, rows: list[Row]) -> Figures:
    texts = [row.text for row in rows]
    dialogue = earlier_turns(rows) if name == "meld" else None
    emotions, said = predictor.predict(texts, dialogue)
    emotions, said = np.nan_to_num(emotions, nan=1 / len(EMOTIONS)), np.nan_to_num(said)
    figures: Figures = {"n": len(rows)}
    if name == "goemotions":
        return figures | _goemotions(predictor, rows, emotions)
    if name == "meld":
        return figures | _meld(predictor, rows, emotions, said)
    target = np.array([row.sentiment for row in rows], np.float64)
    if name == "mosi":
        return figures | _mosi(said * MOSI_SCALE, target * MOSI_SCALE)
    signed = target != 0
    figures["sign_accuracy"] = float(((said > 0) == (target > 0))[signed].mean())
    figures["n_signed"] = int(signed.sum())
    return figures | {"pearson_r": score_metrics.pearson_r(said, target)}


def _goemotions(predictor: Any, rows: list[Row], emotions: np.ndarray) -> Figures:
    """Multi-label macro F1 as Demszky et al. 2020 report it; the rest on rows of one group."""
    truth = np.stack([row.emotions for row in rows if row.emotions is not None]) > 0
    tones = np.stack(
        [truth[:, 1], truth[:, 2:6].any(1), truth[:, 6], truth[:, 0]], 1
    )  # positive, negative, ambiguous, neutral
    figures: Figures = {}
    if hasattr(predictor, "multilabel"):
        chosen, chosen_tones = predictor.multilabel([row.text for row in rows])
    else:
        chosen = emotions >= np.minimum(0.3, emotions.max(1, keepdims=True))
        shares = np.stack(
            [emotions[:, 1], emotions[:, 2:6].sum(1), emotions[:, 6], emotions[:, 0]], 1
        )
        chosen_tones = shares >= np.minimum(0.3, shares.max(1, keepdims=True))
    figures["multilabel_macro_f1"] = metrics.multilabel_macro_f1(chosen, truth)
    figures["multilabel_sentiment_macro_f1"] = metrics.multilabel_macro_f1(chosen_tones, tones)
    one = truth.sum(1) == 1
    labels = truth.argmax(1)[one]
    figures["n_single"] = int(one.sum())
    for figure in (metrics.accuracy, metrics.uar, metrics.macro_f1, metrics.ece):
        figures[figure.__name__] = figure(emotions[one], labels)
    return figures


def _meld(predictor: Any, rows: list[Row], emotions: np.ndarray, said: np.ndarray) -> Figures:
    labels = np.array([row.spoken for row in rows])
    tones = np.array([row.tone for row in rows])
    figures = {
        "weighted_f1": metrics.weighted_f1(emotions, labels),
        "accuracy": metrics.accuracy(emotions, labels),
        "macro_f1": metrics.macro_f1(emotions, labels),
        "ece": metrics.ece(emotions, labels),
    }
    if hasattr(predictor, "polarity"):
        guess = predictor.polarity(emotions, said).argmax(1)
    else:
        guess = np.select([said < -0.2, said > 0.2], [0, 2], 1)
    return figures | {"sentiment_weighted_f1": metrics.weighted_f1(guess, tones)}


def _mosi(said: np.ndarray, target: np.ndarray) -> Figures:
    return {
        "mae": score_metrics.mae(said, target),
        "pearson_r": score_metrics.pearson_r(said, target),
        "acc2_negative_positive": score_metrics.acc2(said, target, zeros=False),
        "acc2_negative_nonnegative": score_metrics.acc2(said, target, zeros=True),
        "acc7": score_metrics.acc7(said, target),
    }
