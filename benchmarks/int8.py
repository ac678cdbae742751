"""What running in whole numbers costs in truth: validation figures of the encoders, both ways.

The named alternative is the same graphs in floats. Time is `benchmarks.model`'s part.

`python -m benchmarks.int8 --data ../shared/data`
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.report import show, write
from models import metrics, weights
from models.analyser import Analyser, Runtime
from models.data.faces import load_faces
from models.data.speech import load_speech
from models.data.text import load_parts
from models.encoders.text import collate
from models.encoders.voice import SPEECH
from models.network import Network
from models.predictors.text import Neural
from models.runtime import Run
from models.threads import limit_threads
from models.train.faces import figures_of
from models.train.text_figures import measure, summary
from models.train.voice_figures import closed_sets
from models.train.voice_hops import hops_of

RUNTIMES: tuple[Runtime, ...] = ("onnx", "int8")
AT_ONCE = 64


def main() -> None:
    """A row for each figure: in floats, in whole numbers, the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    given = parser.parse_args()
    limit_threads(1)
    network = Network.load(weights.SHIPPED)
    found = {runtime: _all(runtime, network, given.data, given.cache) for runtime in RUNTIMES}
    before, after = (found[runtime] for runtime in RUNTIMES)
    rows = [
        {"figure": name, "floats": f"{value:.4f}", "whole numbers": f"{after[name]:.4f}",
         "difference": f"{after[name] - value:+.4f}"}
        for name, value in before.items()
    ]  # fmt: skip
    show("validation, tokens in floats and in whole numbers", rows)
    write("int8", found)


def _all(runtime: Runtime, network: Network, data: Path, cache: Path) -> dict[str, float]:
    stages = Analyser.load(device="cpu", runtime=runtime).stages
    return {
        **faces(stages["faces"], network, data),
        **voice(_in_turn(stages["trunk"], stages["voice"]), network, data, cache),
        **text(stages["text"], network, data),
    }


@torch.inference_mode()
def faces(stage: Run, network: Network, data: Path) -> dict[str, float]:
    """FER+ valid, eight classes."""
    part = load_faces(data, "valid")
    tokens = _tokens(stage, part.pixels)
    figures = figures_of(network.faces.ferplus_logits(tokens).softmax(-1).numpy(), part)
    names = ("accuracy", "accuracy_clear", "uar", "ece")
    return {f"FER+ {name} (n {len(part)})": figures[name] for name in names}


@torch.inference_mode()
def voice(stage: Run, network: Network, data: Path, cache: Path) -> dict[str, float]:
    """UAR of each corpus over its own classes, whole clips."""
    clips = load_speech(data, "valid", cache)
    rows = []
    for clip in clips:
        hops, mask = hops_of(clip.mel, clip.speech)
        pooled = network.voice.pool(_tokens(stage, hops)[None], torch.from_numpy(mask)[None])
        rows.append(network.voice.speech_logits(pooled))
    logits = torch.cat(rows).masked_fill(~torch.from_numpy(closed_sets(clips)), -30)
    guess, truth = logits.softmax(1).numpy(), np.array([SPEECH.index(c.emotion) for c in clips])
    found: dict[str, float] = {}
    for name in sorted({clip.corpus for clip in clips}):
        at = np.array([clip.corpus == name for clip in clips])
        found[f"{name} UAR (n {at.sum()})"] = metrics.uar(guess[at], truth[at])
        found[f"{name} ece"] = metrics.ece(guess[at], truth[at])
    return found


def text(stage: Run, network: Network, data: Path) -> dict[str, float]:
    """All text corpora, by `models.train.text_figures`."""
    predictor = Neural(network.text)
    predictor._tokens = lambda texts: _said(stage, texts)  # type: ignore[method-assign]
    figures = summary(measure(predictor, load_parts(data, "valid")))
    return {name: value for name, value in figures.items() if "_n_" not in name}


@torch.inference_mode()
def _said(stage: Run, texts: list[str]) -> tuple[Tensor, Tensor]:
    order = np.argsort([len(text) for text in texts], kind="stable")
    tokens, known = torch.zeros(len(texts), 128), torch.zeros(len(texts), dtype=torch.bool)
    for at in _parts(order):
        ids, mask = collate([texts[i] for i in at])
        tokens[at], known[at] = torch.from_numpy(stage(ids.numpy(), mask.numpy())[0]), mask.any(1)
    return tokens, known


def _in_turn(first: Run, second: Run) -> Run:
    return lambda *inputs: second(*first(*inputs))


def _tokens(stage: Run, inputs: Any) -> Tensor:
    return torch.cat([torch.from_numpy(stage(part)[0]) for part in _parts(inputs)])


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    yield from (rows[i : i + AT_ONCE] for i in range(0, len(rows), AT_ONCE))


if __name__ == "__main__":
    main()
