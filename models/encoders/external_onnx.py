"""ONNX models as encoders, each with a small description of what goes in and what comes out.

Rows go through one by one: exported graphs often fix the batch, and no row may sway another.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
import yaml

from models.encoders.external import (
    Encoded,
    External,
    ExternalSpec,
    digest,
    existing,
    grey_faces,
    label_matrix,
    read_head,
    to_emotions,
)
from models.errors import ExternalError
from models.types import SAMPLE_RATE_HZ


class OnnxSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The description. `model`, `tokenizer`: files, relative to the description.

    labels: of a classifier, in the order of the output (B, C); without, the output is tokens,
    averaged over all axes between the first and the last. probabilities: the output is already a
    softmax. Faces: scaled to `size` px (height, width), times `scale`, less `mean`, over `std`.
    Sound: mono float32 at `rate_hz`; `unit_variance` takes mean and deviation out.
    Text: `tokenizer` is a tokenizer.json; `mask` names the attention mask's input, if it has one.
    """

    model: str
    modality: Literal["video", "audio", "text"]
    input: str
    output: str
    labels: tuple[str, ...] = ()
    probabilities: bool = False
    size: tuple[int, int] = (48, 48)
    channels: Literal[1, 3] = 1
    scale: float = 1 / 255
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    rate_hz: int = SAMPLE_RATE_HZ
    unit_variance: bool = False
    tokenizer: str = ""
    mask: str = ""
    max_tokens: int = 128


class OnnxEncoder(External):
    """A graph in ONNX Runtime on one CPU thread."""

    def __init__(self, spec: ExternalSpec) -> None:
        path = existing(spec.onnx, "onnx description")
        self._told = _describe(path)
        if self._told.modality != spec.modality:
            raise ExternalError(
                f"{path}: expected a {spec.modality} model, got one for {self._told.modality}"
            )
        if self._told.modality == "audio" and self._told.rate_hz != SAMPLE_RATE_HZ:
            raise ExternalError(
                f"{path}: rate_hz {self._told.rate_hz}; Attune has sound at {SAMPLE_RATE_HZ} Hz"
            )
        file = existing(str(path.parent / self._told.model), "onnx model")
        self.modality = spec.modality
        self._session = _open(file)
        _check_names(self._session, self._told, path)
        self._tokenizer = self._open_tokenizer(path.parent) if spec.modality == "text" else None
        labels = self._told.labels
        self._matrix = label_matrix(labels, spec.labels, str(path)) if labels else None
        self.width = self._probe()
        if self._matrix is not None and self.width != len(labels):
            raise ExternalError(
                f"{path}: expected {len(labels)} outputs, one for each label, got {self.width}"
            )
        self._head = read_head(spec.head, self.width) if spec.head and not labels else None
        self.classifies = self._matrix is not None or self._head is not None
        self.revision = digest(path.read_text(encoding="utf-8"), digest(file.read_bytes().hex()))

    def encode(self, inputs: Any) -> Encoded:
        """As `External.encode`; the tokens of a classifier are its log-probabilities."""
        if len(inputs) == 0:
            empty = torch.zeros(0, 7) if self.classifies else None
            return Encoded(torch.zeros(0, self.width), empty)
        rows = grey_faces(inputs) if self.modality == "video" else inputs
        out = torch.from_numpy(np.stack([self._row(row) for row in rows]))
        if self._matrix is not None:
            shares = out if self._told.probabilities else out.softmax(-1)
            return Encoded(out, to_emotions(shares, self._matrix))
        if self._head is not None:
            weight, bias = self._head
            return Encoded(out, (out @ weight.T + bias).log_softmax(-1))
        return Encoded(out, None)

    def _row(self, row: Any) -> np.ndarray:
        """One input -> (D,)."""
        readers: dict[str, Callable[[Any], dict[str, np.ndarray]]]
        readers = {"video": self._seen, "audio": self._heard, "text": self._read}
        feed = readers[self.modality](row)
        try:
            out = np.asarray(self._session.run([self._told.output], feed)[0], np.float32)
        except Exception as error:  # ONNX Runtime has no public class for its errors
            reason = str(error).splitlines()[0][:200]
            raise ExternalError(f"onnx model {self._told.model}: {reason}") from None
        return out.reshape(1, -1, out.shape[-1]).mean(1)[0]

    def _seen(self, face: np.ndarray) -> dict[str, np.ndarray]:
        told = self._told
        picture = torch.from_numpy(np.ascontiguousarray(face)).permute(2, 0, 1)[None].float()
        if told.channels == 1:
            picture = (picture * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(
                1, keepdim=True
            )
        picture = torch.nn.functional.interpolate(
            picture, told.size, mode="bilinear", antialias=True, align_corners=False
        )
        mean, std = (
            np.reshape(np.array(v, np.float32), (1, -1, 1, 1)) for v in (told.mean, told.std)
        )
        scaled = (picture.numpy() * np.float32(told.scale) - mean) / std
        return {told.input: scaled.astype(np.float32)}

    def _heard(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        samples = np.asarray(clip, np.float32)
        if self._told.unit_variance:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        return {self._told.input: samples[None].astype(np.float32)}

    def _read(self, text: str) -> dict[str, np.ndarray]:
        assert self._tokenizer is not None
        ids = np.array([self._tokenizer.encode(text).ids[: self._told.max_tokens]], np.int64)
        feed = {self._told.input: ids}
        if self._told.mask:
            feed[self._told.mask] = np.ones_like(ids)
        return feed

    def _probe(self) -> int:
        """The width of the output, seen on a made-up input, so that a misfit shows at once."""
        made = {
            "video": np.zeros((*self._told.size, 3), np.uint8),
            "audio": np.zeros(SAMPLE_RATE_HZ, np.float32),
            "text": "hello",
        }
        return len(self._row(made[self.modality]))

    def _open_tokenizer(self, folder: Path) -> Any:
        from tokenizers import Tokenizer

        path = existing(str(folder / self._told.tokenizer), "tokenizer")
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # the binding raises bare Exception
            raise ExternalError(f"tokenizer {path}: {str(error).splitlines()[0]}") from None


def _describe(path: Path) -> OnnxSpec:
    try:
        return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), OnnxSpec)
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ExternalError(f"{path}: {' '.join(str(error).split())}") from None


def _open(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no public class for its errors
        reason = str(error).splitlines()[0][:200]
        raise ExternalError(f"onnx model {file}: cannot be loaded: {reason}") from None


def _check_names(session: Any, told: OnnxSpec, path: Path) -> None:
    inputs = [node.name for node in session.get_inputs()]
    outputs = [node.name for node in session.get_outputs()]
    given = [told.input, *([told.mask] if told.mask else [])]
    for name in given:
        if name not in inputs:
            raise ExternalError(f"{path}: no input {name!r}; the model has: {', '.join(inputs)}")
    if told.output not in outputs:
        raise ExternalError(
            f"{path}: no output {told.output!r}; the model has: {', '.join(outputs)}"
        )
    missing = [name for name in inputs if name not in given]
    if missing:
        raise ExternalError(f"{path}: the model also takes {', '.join(missing)}: not supported")
