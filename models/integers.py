"""Stages in whole numbers: the graphs of `models.export` with their large products in 8 bits.

Matrices: each row of the input is divided by its own largest magnitude and taken in 7 bits, so a
row's result does not depend on which other rows there are; weights have 8 bits and a scale for each
output (dynamic quantisation: Zafrir et al. 2019, "Q8BERT"). Convolutions: inputs and outputs in 8
bits over a fixed range that the encoder noted on training pictures, weights in 7 bits (Jacob et al.
2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
inference"). 7 bits on one side keep the sums of two products within 16 bits, so a processor
without instructions for 8-bit products gives the same numbers, only later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from models.errors import WeightsError

STAGES = ("faces", "trunk", "text")  # where nearly all of the time goes
RANGES = "{}.ranges"  # (K, 3) of a part's convolutions: lowest, highest input; highest output
_TOP, _ZERO = 63, 64  # 7 bits of a row, without a sign
_MICROSOFT = "com.microsoft"  # the domain of ONNX Runtime's own operations
_COMMON = {
    "row.step": np.float32(1 / _TOP),
    "row.zero": np.uint8(_ZERO),
}
Arrays = dict[str, np.ndarray]


def arrays(plan: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Arrays:
    """What the graph of a plan may name beyond the weights themselves."""
    made: Arrays = {name: np.asarray(value) for name, value in _COMMON.items()}
    for name in plan["matrices"]:
        values, scale = _whole(tensors[name].numpy(), 127)
        made[f"{name}.whole"], made[f"{name}.scale"] = np.ascontiguousarray(values.T), scale
    for k, (weight, bias) in enumerate(plan["convolutions"]):
        low, high, out = tensors[plan["ranges"]][k].tolist()
        made |= _range(f"{weight}.in", low, high) | _range(f"{weight}.out", 0.0, out)
        values, scale = _whole(tensors[weight].numpy(), 63)
        made[f"{weight}.whole"], made[f"{weight}.scale"] = values, scale
        step = made[f"{weight}.in.step"] * scale
        made[f"{bias}.whole"] = (tensors[bias].numpy() / step).round().astype(np.int32)
        made[f"{bias}.scale"], made[f"{bias}.zero"] = step, np.zeros(len(step), np.int32)
        made[f"{weight}.zero"] = np.zeros(len(scale), np.int8)
    return made


def known(plan: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bool:
    """Whether the ranges that a plan needs have been noted."""
    return not plan["convolutions"] or bool((tensors[plan["ranges"]][:, 2] > 0).all())


def _whole(weight: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """(O, ...) -> int8 of the same shape and the scale (O,)."""
    scale = np.abs(weight.reshape(len(weight), -1)).max(1) / top
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    shaped = scale.reshape(-1, *[1] * (weight.ndim - 1))
    return (weight / shaped).round().clip(-top, top).astype(np.int8), scale


def _range(name: str, low: float, high: float) -> Arrays:
    low, high = min(low, 0.0), max(high, 0.0)
    step = max(high - low, 1e-6) / 255
    zero = np.uint8(round(-low / step))
    return {f"{name}.step": np.asarray(np.float32(step)), f"{name}.zero": np.asarray(zero)}


def rewrite(content: bytes, part: str, tensors: Mapping[str, Tensor]) -> tuple[bytes, Any]:
    """A graph of floats -> the same in whole numbers, and the plan that `arrays` follows."""
    import onnx
    from onnx import helper

    model = onnx.load_from_string(content)
    writer = _Writer(model.graph, helper)
    plan = writer.run()
    plan["ranges"] = RANGES.format(part) if plan["convolutions"] else ""
    if plan["convolutions"] and len(tensors[plan["ranges"]]) != len(plan["convolutions"]):
        raise WeightsError(
            f"{part}: expected ranges of {len(plan['convolutions'])} convolutions, "
            f"got {len(tensors[plan['ranges']])}: observe() notes them"
        )
    writer.close(arrays(plan, tensors))
    model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
    return model.SerializeToString(), plan


class _Writer:
    """One pass over the nodes of a graph, in place."""

    def __init__(self, graph: Any, helper: Any) -> None:
        self._graph, self._helper = graph, helper
        self._weights = {entry.name for entry in graph.initializer}
        self._maker = {out: node for node in graph.node for out in node.output}
        self._relus = {n.input[0]: n for n in graph.node if n.op_type == "Relu"}
        self._nodes: list[Any] = []
        self._rows: set[str] = set()  # inputs of matrices that were taken in whole numbers
        self._read: dict[str, str] = {}  # activation of a convolution -> as read by what follows
        self._done: set[str] = set()
        self._plan: dict[str, Any] = {"matrices": [], "convolutions": []}

    def run(self) -> dict[str, Any]:
        for node in list(self._graph.node):
            if node.output[0] in self._done:
                continue
            node.input[:] = [self._read.get(entry, entry) for entry in node.input]
            if weight := self._matrix(node):
                self._product(node, weight)
            elif node.op_type == "Conv" and node.input[1] in self._weights:
                self._convolution(node)
            else:
                self._nodes.append(node)
        return self._plan

    def close(self, made: Arrays) -> None:
        """Put the nodes in, leave out what is no longer used, name what comes from outside."""
        used = {entry for node in self._nodes for entry in node.input}
        wanted = [n for n in self._nodes if n.op_type != "Transpose" or n.output[0] in used]
        used = {entry for node in wanted for entry in node.input}
        del self._graph.node[:]
        self._graph.node.extend(wanted)
        self._plan["arrays"] = sorted(used & set(made))
        kept = [entry for entry in self._graph.initializer if entry.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        for name in self._plan["arrays"]:
            value = made[name]
            self._graph.initializer.append(outside(name, value.dtype, value.shape))

    def _matrix(self, node: Any) -> str | None:
        """The weight (O, I) that a node multiplies each row of a sequence with, if any."""
        turned = self._maker.get(node.input[1]) if node.op_type == "MatMul" else None
        if turned is None or turned.op_type != "Transpose":
            return None
        return turned.input[0] if turned.input[0] in self._weights else None

    def _add(self, kind: str, inputs: list[str], output: str, **more: Any) -> str:
        self._nodes.append(self._helper.make_node(kind, inputs, [output], **more))
        return output

    def _product(self, node: Any, weight: str) -> None:
        """A row of zeros is divided by zero, but whatever it gives is multiplied by zero after."""
        x, y = node.input[0], node.output[0]
        if x not in self._rows:
            size = self._add("Abs", [x], f"{x}.abs")
            top = self._add("ReduceMax", [size], f"{x}.top", axes=[-1])
            unit = self._add("Div", [x, top], f"{x}.unit")
            self._add("QuantizeLinear", [unit, "row.step", "row.zero"], f"{x}.whole")
            self._rows.add(x)
        parts = [f"{x}.whole", f"{weight}.whole", "row.step", f"{weight}.scale", "row.zero"]
        unit = self._add("MatMulIntegerToFloat", parts, f"{y}.unit", domain=_MICROSOFT)
        self._add("Mul", [unit, f"{x}.top"], y)
        self._plan["matrices"].append(weight)

    def _convolution(self, node: Any) -> None:
        x, weight, bias = node.input
        if x not in self._read.values():
            self._read[x] = self._through(x, f"{weight}.in")
            node.input[0] = self._read[x]
        for entry, axis in ((weight, 0), (bias, 0)):
            parts = [f"{entry}.whole", f"{entry}.scale", f"{entry}.zero"]
            self._add("DequantizeLinear", parts, f"{entry}.back", axis=axis)
        node.input[1], node.input[2] = f"{weight}.back", f"{bias}.back"
        self._nodes.append(node)
        relu = self._relus[node.output[0]]
        self._nodes.append(relu)
        y = relu.output[0]
        self._read[y] = self._through(y, f"{weight}.out")
        self._done.add(y)
        self._plan["convolutions"].append([weight, bias])

    def _through(self, x: str, scale: str) -> str:
        """Into whole numbers and back, which the runtime joins with what is on both sides."""
        parts = [f"{scale}.step", f"{scale}.zero"]
        whole = self._add("QuantizeLinear", [x, *parts], f"{x}.whole")
        return self._add("DequantizeLinear", [whole, *parts], f"{x}.read")


def outside(name: str, kind: Any, shape: tuple[int, ...]) -> Any:
    """An initialiser whose data is kept elsewhere."""
    from onnx import TensorProto, helper

    tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
    tensor.dims.extend(shape)
    tensor.data_location = TensorProto.EXTERNAL
    length = np.dtype(kind).itemsize * int(np.prod(shape, dtype=np.int64))
    for key, entry in (("location", "weights"), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=entry)
    return tensor
