"""Hugging Face models as encoders: text, sound or faces, from a folder or the local cache.

Weights are read from safetensors only. Tokens are the mean of the last hidden states over what is
not padding (Reimers & Gurevych 2019, "Sentence-BERT"), or a model's own pooled state for pictures
without a sequence.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.encoders.external import (
    Encoded,
    External,
    ExternalSpec,
    digest,
    grey_faces,
    label_matrix,
    read_head,
    to_emotions,
)
from models.errors import ExternalError
from models.types import SAMPLE_RATE_HZ

log = logging.getLogger(__name__)

_HEADS = {
    "text": ("ForSequenceClassification", "AutoModelForSequenceClassification", "AutoTokenizer"),
    "audio": ("ForSequenceClassification", "AutoModelForAudioClassification",
              "AutoFeatureExtractor"),
    "video": ("ForImageClassification", "AutoModelForImageClassification", "AutoImageProcessor"),
}  # fmt: skip
_MARKS = {"audio": "feature_extractor", "video": "image_processor"}
MAX_TOKENS = 512


def open_huggingface(spec: ExternalSpec) -> HuggingFaceEncoder:
    """Load configuration, weights and preprocessing; `ExternalError` where one is missing."""
    try:
        import transformers
    except ImportError as error:
        raise ExternalError(
            f"a Hugging Face model needs transformers, got {error}; install it: "
            "pip install 'attune[huggingface]'"
        ) from None
    name = spec.huggingface
    if name.startswith(("/", ".", "~")) and not Path(name).expanduser().is_dir():
        raise ExternalError(f"huggingface {name}: no such folder")
    if spec.allow_download and not Path(name).is_dir():
        log.warning("%s: whatever is not in the local cache is fetched from the Hub", name)
    options: dict[str, Any] = {
        "local_files_only": not spec.allow_download, "trust_remote_code": False,
    }  # fmt: skip
    ending, head, reader = _HEADS[spec.modality]
    try:
        config = transformers.AutoConfig.from_pretrained(name, **options)
        classifies = any(str(a).endswith(ending) for a in config.architectures or ())
        kind = getattr(transformers, head if classifies else "AutoModel")
        model = kind.from_pretrained(name, use_safetensors=True, **options)
        prepare = getattr(transformers, reader).from_pretrained(name, **options)
    except Exception as error:  # the library raises its own, OSError, ValueError and others
        raise ExternalError(_refusal(spec, error)) from None
    return HuggingFaceEncoder(spec, model.eval(), prepare, classifies)


def _refusal(spec: ExternalSpec, error: Exception) -> str:
    reason = next((line for line in str(error).splitlines() if line.strip()), repr(error))
    if Path(spec.huggingface).is_dir() or spec.allow_download:
        return f"huggingface {spec.huggingface}: not a {spec.modality} model: {reason[:200]}"
    return (
        f"huggingface {spec.huggingface}: no such folder, and not in the local cache; set "
        "allow_download: true to fetch it from the Hub"
    )


class HuggingFaceEncoder(External):
    """A model of `transformers` with its tokenizer, feature extractor or image processor."""

    def __init__(self, spec: ExternalSpec, model: Any, prepare: Any, classifies: bool) -> None:
        self.modality, self._model, self._prepare = spec.modality, model, prepare
        origin = f"huggingface {spec.huggingface}"
        mark = _MARKS.get(spec.modality)
        main = "input_ids" if spec.modality == "text" else None
        takes = getattr(model, "main_input_name", "")
        if (main and takes != main) or (mark == "feature_extractor" and takes == "pixel_values"):
            raise ExternalError(f"{origin}: expected a {spec.modality} model, got one for {takes}")
        self.width = int(getattr(model.config, "hidden_size", 0) or model.config.hidden_sizes[-1])
        self._matrix: Tensor | None = None
        self._head: tuple[Tensor, Tensor] | None = None
        if classifies:
            labels = [str(model.config.id2label[i]) for i in range(model.config.num_labels)]
            self._matrix = label_matrix(labels, spec.labels, origin)
        elif spec.head:
            self._head = read_head(spec.head, self.width)
        self.classifies = self._matrix is not None or self._head is not None
        size = sum(p.numel() for p in model.parameters())
        weight = next(iter(model.parameters())).detach().float().flatten()[:64].sum()
        self.revision = digest(origin, str(model.config), str(size), f"{float(weight):.6g}")

    @torch.inference_mode()
    def encode(self, inputs: Any) -> Encoded:
        """As `External.encode`; sound goes clip by clip, so that no padding can be heard."""
        if len(inputs) == 0:
            empty = torch.zeros(0, 7) if self.classifies else None
            return Encoded(torch.zeros(0, self.width), empty)
        if self.modality == "audio":
            parts = [self._run(self._heard(clip)) for clip in inputs]
            logits = [part.logits for part in parts if part.logits is not None]
            return Encoded(
                torch.cat([part.tokens for part in parts]), torch.cat(logits) if logits else None
            )
        return self._run(
            self._read(list(inputs)) if self.modality == "text" else self._seen(inputs)
        )

    def _read(self, texts: list[str]) -> dict[str, Tensor]:
        limit = min(MAX_TOKENS, getattr(self._model.config, "max_position_embeddings", MAX_TOKENS))
        return self._prepare(
            texts, return_tensors="pt", padding=True, truncation=True, max_length=limit
        )

    def _heard(self, clip: np.ndarray) -> dict[str, Tensor]:
        rate = getattr(self._prepare, "sampling_rate", SAMPLE_RATE_HZ)
        if rate != SAMPLE_RATE_HZ:
            raise ExternalError(f"this model takes {rate} Hz; Attune has {SAMPLE_RATE_HZ} Hz")
        return self._prepare(np.asarray(clip, np.float32), sampling_rate=rate, return_tensors="pt")

    def _seen(self, faces: np.ndarray) -> dict[str, Tensor]:
        return self._prepare(images=list(grey_faces(faces)), return_tensors="pt")

    def _run(self, batch: Any) -> Encoded:
        out = self._model(**batch, output_hidden_states=True)
        states = out.hidden_states[-1] if out.hidden_states else out.last_hidden_state
        tokens = _mean(states.float(), batch.get("attention_mask"))
        if self._matrix is not None:
            return Encoded(tokens, to_emotions(out.logits.float().softmax(-1), self._matrix))
        if self._head is not None:
            weight, bias = self._head
            return Encoded(tokens, (tokens @ weight.T + bias).log_softmax(-1))
        return Encoded(tokens, None)


def _mean(states: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T, D), or (B, D, H, W) of a convolutional model -> (B, D)."""
    if states.ndim == 4:
        return states.mean((2, 3))
    if mask is None or mask.shape != states.shape[:2]:
        return states.mean(1)
    weights = mask.unsqueeze(-1).float()
    return (states * weights).sum(1) / weights.sum(1).clamp_min(1.0)
