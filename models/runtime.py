"""How a network is run: by ONNX Runtime on a CPU, in whole numbers or not; by PyTorch on a GPU.

A stage is a function of arrays that the analyser calls once per step. Its graph is stored without
weights (see `models.export`); the weights come from the safetensors, so they are stored once. A
stage without a graph runs in PyTorch, so that a newly trained part works before it is exported.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from models import integers, weights
from models.encoders.trunk import Listener
from models.errors import WeightsError
from models.network import Network

Arrays = tuple[np.ndarray, ...]
Run = Callable[..., Arrays]


class Window(nn.Module):
    """The tokens of a window to everything that is said of it: heads, calibration and fusion."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Tokens (B, T, D) of faces, voice, text and sounds, then their masks, bool (B, T).

        Probabilities (B, M, 7), sentiment (B, M), emotions (B, 7), low and high (B,), by_subset
        (B, 8), half-width (B,) before it is cut to the scale, sounds (B, S) of the last two inputs.
        """
        tokens, masks = inputs[: len(inputs) // 2], inputs[len(inputs) // 2 :]
        opinions = self.network.opinions(list(tokens[:3]), list(masks[:3]))
        fused = self.network.fusion(opinions)
        said = (
            opinions.log_probabilities.exp(), opinions.sentiment, fused.emotions,
            fused.low, fused.high, fused.by_subset, fused.width,
        )  # fmt: skip
        if self.network.sounds is None:
            return said
        pooled = self.network.sounds.pool(tokens[3], masks[3])
        return (*said, self.network.sounds.logits(pooled).softmax(-1))


class Context(nn.Module):
    """The last of up to K utterance tokens, refined by those before it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, K, D), bool (B, K) -> (B, D)."""
        return self.network.text.contextualise(tokens, mask)


class Encoder(nn.Module):
    """One of the network's encoders, so that its weights keep their names."""

    def __init__(self, network: Network, part: str) -> None:
        super().__init__()
        self.network = network
        self.part = part

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the encoder's own."""
        return getattr(self.network, self.part)(*inputs)


class Trunk(nn.Module):
    """What both the voice and the sounds are told from, by the trunk that the voice came with."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 64) -> (B, 768)."""
        return self.network.voice.trunk.statistics(frames)


class Token(nn.Module):
    """The token of one of the parts that listen, so that its weights keep their names."""

    def __init__(self, network: Network, part: str) -> None:
        super().__init__()
        self.network = network
        self.part = part

    def forward(self, statistics: Tensor) -> Tensor:
        """(B, 768) -> (B, D)."""
        part: Listener = getattr(self.network, self.part)
        return part.token(statistics)


def parts_of(network: Network) -> list[str]:
    """The encoders that the network has."""
    return ["faces", "voice", "text"] + ["sounds"] * (network.sounds is not None)


def stages(network: Network) -> dict[str, nn.Module]:
    """Every stage that the network has, by name."""
    made: dict[str, nn.Module] = {
        part: Token(network, part) if part in ("voice", "sounds") else Encoder(network, part)
        for part in parts_of(network)
    }
    return {
        **made, "trunk": Trunk(network), "context": Context(network), "window": Window(network)
    }  # fmt: skip


def in_torch(stage: nn.Module, device: torch.device) -> Run:
    """Run a stage eagerly."""

    @torch.inference_mode()
    def run(*inputs: np.ndarray) -> Arrays:
        out = stage(*(torch.from_numpy(x).to(device) for x in inputs))
        return tuple(t.cpu().numpy() for t in (out if isinstance(out, tuple) else (out,)))

    return run


def in_onnx(graph: bytes, named: dict[str, np.ndarray], source: str) -> Run:
    """Run a graph with the weights that it names put in."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised
    values = {
        name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in named.items()
    }
    options.add_external_initializers(list(values), list(values.values()))
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common public class
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{source}: expected a graph of this network, got {reason}; "
            "make it anew: python -m models.export"
        ) from error
    names = [entry.name for entry in session.get_inputs()]

    def run(*inputs: np.ndarray) -> Arrays:
        return tuple(session.run(None, dict(zip(names, inputs, strict=True))))

    return run


def runs(
    network: Network,
    folder: Path,
    device: torch.device,
    graphs: Collection[str],
    *,
    whole_numbers: bool = False,
) -> dict[str, Run]:
    """How to run each stage: by its graph, if it is one of `graphs` and has one, or in PyTorch.

    whole_numbers: by the graph in whole numbers where there is one.
    """
    manifest = weights.read_manifest(folder)
    tensors = tensors_of(network)
    found = {n: entry for n, entry in manifest.get("graphs", {}).items() if n in graphs}
    if whole_numbers:
        found |= {
            name: entry for name, entry in manifest.get("graphs_int8", {}).items()
            if name in found and integers.known(entry["plan"], tensors)
        }  # fmt: skip
    made = {}
    for name, stage in stages(network).items():
        if name not in found:
            made[name] = in_torch(stage, device)
            continue
        entry = found[name]
        source = str(folder / entry["file"])
        graph = weights.read_file(folder, entry)
        stale = [key for key, shape in entry["weights"].items() if _shape(tensors, key) != shape]
        if entry["parts"] != parts_of(network):
            stale.append("the network")
        if stale:
            warnings.warn(
                f"{source}: made for another layout of {stale[0]}; PyTorch runs it, more slowly, "
                "until the graphs are made anew: python -m models.export",
                stacklevel=2,
            )
            made[name] = in_torch(stage, device)
            continue
        made[name] = _in_graph(graph, entry, tensors, source)
    return made


def _in_graph(graph: bytes, entry: dict[str, Any], tensors: dict[str, Tensor], source: str) -> Run:
    named = {key: tensors[key].contiguous().numpy() for key in entry["weights"]}
    plan = entry.get("plan")
    if plan is None:
        return in_onnx(graph, named, source)
    taken = {*plan["matrices"], *(name for pair in plan["convolutions"] for name in pair)}
    kept = {key: value for key, value in named.items() if key not in taken}
    made = integers.arrays(plan, tensors)
    whole = {name: made[name] for name in plan["arrays"]}
    return in_onnx(graph, kept | whole, source)


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, without gradients."""
    named = (*network.named_parameters(), *network.named_buffers())
    return {name: value.detach() for name, value in named}


def _shape(tensors: dict[str, Tensor], name: str) -> list[int] | None:
    return list(tensors[name].shape) if name in tensors else None
