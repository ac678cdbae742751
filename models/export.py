"""`python -m models.export [FOLDER]`: write the graphs that ONNX Runtime runs, without weights.

A graph names its weights and the runtime puts them in from the safetensors, so a part trained anew
with the same layout needs no new graph. The exporter is PyTorch's tracing one, because the newer
one cannot export a GRU of variable length (torch 2.13).
"""

from __future__ import annotations

import hashlib
import io
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models import integers, weights
from models.encoders.text import collate
from models.encoders.trunk import STATISTICS_D
from models.errors import ModelError
from models.integers import outside
from models.network import TOKEN_D, Network
from models.runtime import parts_of, stages, tensors_of
from models.state import DIALOGUE_K
from models.types import FACE_PX

OPSET = 17
SAMPLE_T = (4, 5, 3, 6)  # tokens of faces, voice, text, sounds; all different, so none is fixed


def samples(network: Network) -> dict[str, tuple[Tensor, ...]]:
    """Inputs of each stage, from which the exporter reads types and dimensions."""
    frames = torch.randn(2, 74, 64)
    count = 3 if network.sounds is None else 4
    tokens = [torch.randn(2, t, TOKEN_D) for t in SAMPLE_T[:count]]
    masks = [torch.ones(2, t, dtype=torch.bool) for t in SAMPLE_T[:count]]
    return {
        "faces": (torch.randint(0, 256, (2, FACE_PX, FACE_PX), dtype=torch.uint8),),
        "trunk": (frames,),
        "voice": (torch.randn(2, STATISTICS_D),),
        "sounds": (torch.randn(2, STATISTICS_D),),
        "text": collate(["a text of several words", "another"]),
        "context": (
            torch.randn(2, DIALOGUE_K, TOKEN_D),
            torch.ones(2, DIALOGUE_K, dtype=torch.bool),
        ),
        "window": (*tokens, *masks),
    }


def _axes(stage: str, inputs: list[str]) -> dict[str, dict[int, str]]:
    if stage in ("faces", "context", "voice", "sounds"):
        return {name: {0: "B"} for name in inputs}
    if stage == "window":
        half = len(inputs) // 2
        return {name: {0: "B", 1: f"T{i % half}"} for i, name in enumerate(inputs)}
    return {name: {0: "B", 1: "T"} for name in inputs}


def trace(
    name: str, stage: nn.Module, sample: tuple[Tensor, ...]
) -> tuple[bytes, dict[str, list[int]]]:
    """The graph of a stage, and the shapes of the weights that it leaves out, by name."""
    import onnx
    from onnx import helper

    inputs = [f"input{i}" for i in range(len(sample))]
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter's own deprecation, and constants it traced
        torch.onnx.export(
            stage.eval(), sample, buffer,  # type: ignore[arg-type]  # it takes a file too
            dynamo=False, export_params=False,
            do_constant_folding=False, keep_initializers_as_inputs=True, opset_version=OPSET,
            input_names=inputs, dynamic_axes=_axes(name, inputs),
        )  # fmt: skip
    model = onnx.load_from_string(buffer.getvalue())
    used = {entry for node in model.graph.node for entry in node.input}
    left_out = [v for v in model.graph.input if v.name not in inputs and v.name in used]
    for value in left_out:
        kind = value.type.tensor_type
        shape = tuple(d.dim_value for d in kind.shape.dim)
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        model.graph.initializer.append(outside(value.name, dtype, shape))
    kept = [value for value in model.graph.input if value.name in inputs]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    shapes = {
        value.name.removeprefix("network."): [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in left_out
    }
    for initializer in model.graph.initializer:
        _rename(model, initializer, initializer.name.removeprefix("network."))
    return model.SerializeToString(), shapes


def _rename(model: Any, initializer: Any, name: str) -> None:
    for node in model.graph.node:
        node.input[:] = [name if entry == initializer.name else entry for entry in node.input]
    initializer.name = name


def export(folder: Path) -> dict[str, int]:
    """Write the graphs of every stage beside the weights; returns their sizes in bytes."""
    network = weights.fold_batch_norm(Network.load(folder)).eval()
    tensors = tensors_of(network)
    entries: dict[str, dict[str, Any]] = {}
    whole: dict[str, dict[str, Any]] = {}
    given = samples(network)
    for name, stage in stages(network).items():
        try:
            content, shapes = trace(name, stage, given[name])
        except RuntimeError as error:  # an operation without a counterpart: PyTorch runs the stage
            sys.stderr.write(f"{name}: stays in PyTorch: {str(error).splitlines()[-1]}\n")
            continue
        common = {"weights": shapes, "parts": parts_of(network)}
        entries[name] = _write(folder / f"{name}.graph.onnx", content) | common
        if name in integers.STAGES:
            content, plan = integers.rewrite(content, name, tensors)
            whole[name] = _write(folder / f"{name}.int8.onnx", content) | common | {"plan": plan}
    weights.annotate(folder, graphs=entries, graphs_int8=whole)
    return {entry["file"]: entry["bytes"] for of in (entries, whole) for entry in of.values()}


def _write(path: Path, content: bytes) -> dict[str, Any]:
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return {"file": path.name, "bytes": len(content), "sha256": digest}


def main() -> int:
    """Export the folder on the command line, or the shipped weights."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else weights.SHIPPED
    try:
        sizes = export(folder)
    except (ModelError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    for name, size in sizes.items():
        sys.stdout.write(f"{name:20} {size:8} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
