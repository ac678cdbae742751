"""The voice trunk from the file that it comes from: done once, the result is in the weights.

`python -m models.train.trunk smart-turn-v3.2-cpu.onnx DATA OUT` reads the first block of the int8
network (the package `pipecat-ai` 1.14.0 carries it, BSD-2-Clause; Whisper tiny inside, MIT), folds
the map from our mel filters to its own into the first convolution, and keeps those 384 of the
1,536 hidden units that matter most; the rest is made up by least squares.

Both are fitted on free speech alone (`models/data/free_speech.py`), as it is and disturbed, so that
the trunk has no other conditions of use than its source; and on none of the sounds that it is to
tell apart. The shipped trunk was fitted on acted speech, by an earlier form of this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models import weights
from models.data.free_speech import load_free, sound_of
from models.data.speech import Clip
from models.encoders.trunk import HIDDEN, POSITIONS, Trunk
from models.encoders.voice import VoiceEncoder
from models.features import MELS, PEAK_FLOOR, normalise
from models.train.voice_hops import disturb, hops_of

_N = 128_000  # samples, 8 s: what the source network hears at once
_RIDGE = 30.0
_DISTURB = ("speed", "shift", "tilt", "noise")
BLOCK = {
    "query": "val_17", "key": "val_25", "value": "val_32", "out": "val_75", "up": "val_79",
    "down": "val_88",
}  # fmt: skip
LAYER = "inner.encoder.layers.0."


def read_source(path: Path) -> dict[str, Tensor]:
    """Every constant of the ONNX file as float32, int8 ones multiplied out."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    stored = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    found = {name: value for name, value in stored.items() if value.dtype == np.float32}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in stored:
            integers, scale, zero = (stored[name].astype(np.float32) for name in node.input[:3])
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            shape = [-1 if i == axis % integers.ndim else 1 for i in range(integers.ndim)]
            if integers.ndim == 1:
                shape = [-1]
            value = (integers - zero.reshape(shape)) * scale.reshape(shape)
            found[node.output[0].removesuffix("_DequantizeLinear_Output")] = value
    return {name: torch.from_numpy(np.array(value)) for name, value in found.items()}


def source_mel(samples: np.ndarray) -> np.ndarray:
    """(N,) -> (T, 80), the log-mel frames of Whisper for samples at the end of 8 s."""
    from transformers import WhisperFeatureExtractor

    line = np.pad(samples[-_N:], (max(0, _N - len(samples)), 0))
    extract = WhisperFeatureExtractor(chunk_length=8)
    made = extract(line, sampling_rate=16_000, return_tensors="np", do_normalize=True)
    return made.input_features[0].T[-(min(len(samples), _N) // 160) :]


def fit_mel(clips: list[Clip], data: Path) -> Tensor:
    """(65, 80): our normalised frames and a 1 -> the source's frames, by ridge regression."""
    rng, ours, theirs = np.random.default_rng(0), [], []
    for clip in clips:
        target = source_mel(sound_of(data, clip))
        frames = normalise(clip.mel, PEAK_FLOOR)[0][-len(target) :]
        count = min(len(frames), len(target))
        at = rng.choice(count, min(count, 100), replace=False)
        ours.append(np.c_[frames[:count][at], np.ones(len(at))])
        theirs.append(target[:count][at])
    x, y = np.concatenate(ours), np.concatenate(theirs)
    ridge = np.diag([_RIDGE] * MELS + [0.0])
    return torch.from_numpy(np.linalg.solve(x.T @ x + ridge, x.T @ y).astype(np.float32))


@torch.no_grad()
def transplant(source: dict[str, Tensor], mel: Tensor, hidden: Tensor) -> Trunk:
    """The source's first layers; `hidden` are the units of the block to keep."""
    trunk, first = Trunk(), source["inner.encoder.conv1.weight"]
    folded = torch.einsum("ock,mc->omk", first, mel[:MELS])
    trunk.mel.weight.copy_(folded.flatten(1))
    bias = source["inner.encoder.conv1.bias"]
    trunk.mel.bias.copy_(bias + torch.einsum("ock,c->o", first, mel[MELS]))
    trunk.merge.weight.copy_(source["inner.encoder.conv2.weight"].flatten(1))
    trunk.merge.bias.copy_(source["inner.encoder.conv2.bias"])
    trunk.positions.copy_(source["inner.encoder.embed_positions.weight"][-POSITIONS:])
    for name in ("query", "key", "value", "out"):
        getattr(trunk, name).weight.copy_(source[BLOCK[name]].T)
    for name, theirs in (("query", "q_proj"), ("value", "v_proj"), ("out", "out_proj")):
        getattr(trunk, name).bias.copy_(source[f"{LAYER}self_attn.{theirs}.bias"])
    for norm, theirs in ((trunk.norm_attention, "self_attn_"), (trunk.norm_feed, "final_")):
        norm.weight.copy_(source[f"{LAYER}{theirs}layer_norm.weight"])
        norm.bias.copy_(source[f"{LAYER}{theirs}layer_norm.bias"])
    trunk.up.weight.copy_(source[BLOCK["up"]].T[hidden])
    trunk.up.bias.copy_(source[f"{LAYER}fc1.bias"][hidden])
    return trunk.eval()


@torch.no_grad()
def fed(trunk: Trunk, clips: list[Clip]) -> Tensor:
    """(N, 384): what reaches the block's hidden units, at every fourth step of the clips.

    Each clip is heard as it is and disturbed.
    """
    rng, seen = np.random.default_rng(0), []
    handle = trunk.norm_feed.register_forward_hook(lambda _m, _i, y: seen.append(y.flatten(0, 1)))
    for clip in clips:
        for mel, speech in (
            (clip.mel, clip.speech),
            disturb(clip.mel, clip.speech, rng, _DISTURB),
        ):
            trunk(torch.from_numpy(hops_of(mel, speech)[0]))
    handle.remove()
    return torch.cat(seen)[::4]


@torch.no_grad()
def hidden_of(source: dict[str, Tensor], seen: Tensor) -> Tensor:
    """(N, 384) -> (N, 1536), what all of the source's hidden units say."""
    up = source[BLOCK["up"]].T
    return F.gelu(F.linear(seen, up, source[f"{LAYER}fc1.bias"]))


@torch.no_grad()
def prune(source: dict[str, Tensor], mel: Tensor, clips: list[Clip]) -> Trunk:
    """Keep the units whose output varies most, and refit what they are added up with."""
    active = hidden_of(source, fed(transplant(source, mel, torch.arange(HIDDEN)), clips))
    down = source[BLOCK["down"]].T
    target = F.linear(active, down, source[f"{LAYER}fc2.bias"])
    chosen = (active.std(0) * down.norm(dim=0)).topk(HIDDEN).indices.sort().values
    x = torch.cat([active[:, chosen], torch.ones(len(active), 1)], 1).double()
    gram = x.T @ x
    gram += torch.eye(HIDDEN + 1, dtype=torch.float64) * gram.diagonal().mean() * 1e-3
    fitted = torch.linalg.solve(gram, x.T @ target.double()).float()
    trunk = transplant(source, mel, chosen)
    trunk.down.weight.copy_(fitted[:HIDDEN].T)
    trunk.down.bias.copy_(fitted[HIDDEN])
    return trunk


@torch.no_grad()
def left_out(source: dict[str, Tensor], trunk: Trunk, clips: list[Clip]) -> float:
    """Share of the variance of the source's block that the pruned one does not make."""
    seen = fed(trunk, clips)
    down = source[BLOCK["down"]].T
    target = F.linear(hidden_of(source, seen), down, source[f"{LAYER}fc2.bias"])
    made = trunk.down(F.gelu(trunk.up(seen)))
    return float((made - target).square().sum() / (target - target.mean(0)).square().sum())


def main(source: Path, data: Path, out: Path, cache: Path) -> None:
    """Write a voice part with the trunk and an untrained head, to `start` from."""
    clips = load_free(data, "train", cache)
    constants = read_source(source)
    model = VoiceEncoder()
    trunk = prune(constants, fit_mel(clips[::5], data), clips[::2])
    missing = left_out(constants, trunk, load_free(data, "valid", cache)[::3])
    sys.stdout.write(f"{len(clips)} clips; of unheard speech {missing:.1%} is left out\n")
    model.trunk.load_state_dict(trunk.state_dict())
    weights.save(model, out, "voice", {"trunk": {"train_n": len(clips), "left_out": missing}})


if __name__ == "__main__":
    torch.set_num_threads(1)
    source, data, out = map(Path, sys.argv[1:])
    main(source, data, out, Path("runs/cache"))
