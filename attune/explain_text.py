"""An explanation for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.text import Text

from attune.explain_marks import number
from attune.view_marks import clock, tint
from models.explain.gradients import Attribution
from models.explain.window import Explanation
from models.types import EMOTIONS

DECIMALS = 5
_SHOWN_S = 0.1


def lines(explanation: Explanation) -> Iterator[Text]:
    """A few lines: score, Shapley values, then each modality and target."""
    material = explanation.material
    scores = material.scores
    assert scores.sentiment is not None and scores.emotions is not None
    assert scores.sentiment_low is not None and scores.sentiment_high is not None
    top = int(scores.emotions.argmax())
    yield Text.assemble(
        (f"{clock(material.start_ns)} +{(material.end_ns - material.start_ns) / 1e9:g} s  ", "dim"),
        (f"sentiment {number(scores.sentiment)}", f"bold {tint(scores.sentiment)}"),
        f" ({number(scores.sentiment_low)} to {number(scores.sentiment_high)}), "
        f"{EMOTIONS[top]} {scores.emotions[top]:.0%}",
    )
    added = ", ".join(f"{m} {number(share)}" for m, share in scores.contributions.items())
    yield Text(f"from {number(explanation.prior)} (nothing known): {added}")
    for modality, parts in explanation.parts.items():
        for name, part in parts.items():
            yield Text.assemble(
                (f"{modality:<6}", "bold"),
                f"{name} {number(part.output)}, {number(part.baseline_output)} without; most: ",
                most(explanation, modality, part),
            )


def most(explanation: Explanation, modality: str, part: Attribution) -> str:
    """What has the greatest shares, in words."""
    if modality == "text":
        ranked = np.argsort(-np.abs(part.shares))[:4]
        return ", ".join(f"{explanation.words[i].word} {number(part.shares[i])}" for i in ranked)
    if modality == "video":
        rows, columns = ("top", "middle", "bottom"), ("left", "centre", "right")
        cells = part.shares.sum(0).reshape(3, 16, 3, 16).sum((1, 3))
        ranked = np.argsort(-np.abs(cells).ravel())[:3]
        named = [f"{rows[i // 3]} {columns[i % 3]} {number(cells.flat[i])}" for i in ranked]
        return ", ".join(named)
    assert explanation.sound is not None
    start, step = explanation.sound.start_ns, explanation.sound.step_ns
    per = round(_SHOWN_S * 1e9 / step)
    tenths = [part.shares[i : i + per].sum() for i in range(0, len(part.shares), per)]
    ranked = np.argsort(-np.abs(tenths))[:3]
    return ", ".join(
        f"at {start / 1e9 + i * _SHOWN_S:.1f} s {number(float(tenths[i]))}" for i in ranked
    )


def tree(explanation: Explanation, title: str, revision: str) -> dict[str, Any]:
    """Everything as plain values. Times in seconds of the stream, shares in units of the target."""
    material = explanation.material
    scores = material.scores
    assert scores.emotions is not None
    return {
        "media": title,
        "model": revision,
        "start_s": material.start_ns / 1e9,
        "end_s": material.end_ns / 1e9,
        "sentiment": _plain(scores.sentiment),
        "sentiment_low": _plain(scores.sentiment_low),
        "sentiment_high": _plain(scores.sentiment_high),
        "emotions": dict(zip(EMOTIONS, map(_plain, scores.emotions), strict=True)),
        "prior": _plain(explanation.prior),
        "contributions": {m: _plain(share) for m, share in scores.contributions.items()},
        "modalities": {
            m: {name: _part(explanation, m, part) for name, part in parts.items()}
            for m, parts in explanation.parts.items()
        },
    }


def _part(explanation: Explanation, modality: str, part: Attribution) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "score": _plain(part.output),
        "baseline": _plain(part.baseline_output),
        "gap": _plain(part.gap),
        "steps": part.steps,
    }
    if modality == "text":
        shown["words"] = [
            {"text": w.text, "start": w.start, "end": w.end, "word": w.word, "share": _plain(s)}
            for w, s in zip(explanation.words, part.shares, strict=True)
        ]
    elif modality == "video":
        shown["pixels"] = _plain(part.shares.sum(0))
        shown["crops"] = _plain(part.shares.sum((1, 2)))
    else:
        assert explanation.sound is not None
        shown["start_s"] = explanation.sound.start_ns / 1e9
        shown["step_s"] = explanation.sound.step_ns / 1e9
        shown["frames"] = _plain(part.shares.sum(1))
        shown["mel_bands"] = _plain(part.shares.sum(0))
    return shown


def _plain(value: Any) -> Any:
    """Rounded Python numbers and lists."""
    if value is None:
        return None
    return np.round(np.asarray(value, np.float64), DECIMALS).tolist()
