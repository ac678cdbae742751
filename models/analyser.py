"""The analyser: windows of many streams in, scores out.

Laws it keeps: causal; a hop is encoded once, by one call per encoder over all streams; an absent
modality is masked, so its content cannot matter; how streams are batched together changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import weights
from models.encoders.external import External
from models.encoders.plug import plug
from models.encoders.plug import revision as revised
from models.encoders.text import collate
from models.errors import InputError
from models.fusion import Fused, Opinions, shapley
from models.labels import AROUSAL_VECTOR
from models.network import TOKEN_D, Network
from models.state import FaceJob, Jobs, Speech, StreamState, TextJob, TextToken, VoiceJob, pad
from models.types import MODALITIES, ModalityScore, Scores, WindowInput
from models.vad import STEP_NS, SileroVad


class Analyser:
    """Holds the weights and the memory of each stream. Not safe for calls from several threads."""

    def __init__(self, network: Network, revision: str, device: torch.device) -> None:
        self.revision = revision
        self.sentiment_prior = float(network.fusion.prior)
        self._device = device
        self._network = network.to(device).eval()
        self._collate = getattr(network.text, "collate", collate)
        self._vad = SileroVad()
        self._streams: dict[str, StreamState] = {}

    @classmethod
    def load(
        cls,
        path: Path | str | None = None,
        *,
        device: str = "auto",
        external: Sequence[External] = (),
    ) -> Analyser:
        """Read weights from a folder; `None` stands for those shipped in `models/weights`.

        external: encoders from outside that take the place of ours.
        """
        folder = weights.SHIPPED if path is None else Path(path)
        network = weights.fold_batch_norm(Network.load(folder))
        network.faces.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        plug(network, external)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        revision = revised(weights.revision(folder), external)
        return cls(network, revision, torch.device(device))

    def forget(self, stream: str) -> None:
        """Drop the memory of a stream that ended or restarts; unknown names are fine."""
        self._streams.pop(stream, None)

    @torch.inference_mode()
    def step(self, windows: Sequence[WindowInput]) -> list[Scores]:
        """Score one window of each given stream; the order of results is that of the windows."""
        if not windows:
            return []
        names = [window.stream for window in windows]
        if len(set(names)) < len(names):
            raise InputError(f"expected one window per stream and call, got streams {names}")
        jobs, states, speech = Jobs(), [], []
        for window in windows:
            state = self._streams.setdefault(window.stream, StreamState())
            states.append(state)
            speech.append(state.take(window, self._vad, jobs))
        self._encode(jobs)
        rows = [state.tokens(window) for state, window in zip(states, windows, strict=True)]
        padded = [pad([row[m] for row in rows], TOKEN_D, self._device) for m in range(3)]
        opinions = self._network.opinions([t for t, _ in padded], [m for _, m in padded])
        return _scores(opinions, self._network.fusion(opinions), speech)

    def _encode(self, jobs: Jobs) -> None:
        if jobs.faces:
            self._encode_faces(jobs.faces)
        for length in sorted({len(job.frames) for job in jobs.voices}):
            self._encode_voices([job for job in jobs.voices if len(job.frames) == length])
        if jobs.texts:
            self._encode_texts(jobs.texts)

    def _encode_faces(self, jobs: list[FaceJob]) -> None:
        crops = torch.from_numpy(np.concatenate([job.crops for job in jobs]))
        tokens = self._network.faces(crops.to(self._device))
        parts = tokens.split([len(job.crops) for job in jobs])
        for job, part in zip(jobs, parts, strict=True):
            job.hop.face = part.mean(0)

    def _encode_voices(self, jobs: list[VoiceJob]) -> None:
        frames = torch.from_numpy(np.stack([job.frames for job in jobs]))
        for job, token in zip(jobs, self._network.voice(frames.to(self._device)), strict=True):
            job.hop.voice = token

    def _encode_texts(self, jobs: list[TextJob]) -> None:
        rows, grams = self._collate([job.text.text for job in jobs])
        known = (rows > 0).any(1).tolist()  # a text without a single word or sign says nothing
        tokens = self._network.text(rows.to(self._device), grams.to(self._device))
        for job, token, holds in zip(jobs, tokens, known, strict=True):
            if holds:
                span = job.text
                job.stream.keep(TextToken(span.start_ns, span.end_ns, token))


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()


def _scores(opinions: Opinions, fused: Fused, speech: list[Speech]) -> list[Scores]:
    """Tensors of a batch -> one `Scores` per window."""
    unimodal = _numpy(opinions.log_probabilities.exp())
    said, present = _numpy(opinions.sentiment), _numpy(opinions.present)
    emotions, by_subset = _numpy(fused.emotions), _numpy(fused.by_subset)
    spans = _numpy(torch.stack([fused.low, fused.high], 1))
    results = []
    for b, heard in enumerate(speech):
        if not present[b].any():
            results.append(_nothing(heard))
            continue
        alone = {
            MODALITIES[m]: _unimodal(unimodal[b, m], said[b, m]) for m in np.flatnonzero(present[b])
        }
        shares = shapley(by_subset[b].astype(np.float64), present[b])
        whole = int(sum(1 << int(m) for m in np.flatnonzero(present[b])))
        results.append(
            Scores(
                sentiment=float(by_subset[b, whole]),
                sentiment_low=float(spans[b, 0]),
                sentiment_high=float(spans[b, 1]),
                arousal=float(emotions[b] @ AROUSAL_VECTOR),
                emotions=emotions[b],
                contributions={MODALITIES[m]: share for m, share in shares.items()},
                unimodal=alone,
                **_heard(heard),
            )
        )
    return results


def _unimodal(emotions: np.ndarray, sentiment: float) -> ModalityScore:
    arousal = float(emotions @ AROUSAL_VECTOR)
    return ModalityScore(sentiment=float(sentiment), emotions=emotions, arousal=arousal)


def _heard(speech: Speech) -> dict[str, Any]:
    return {
        "speech_start_ns": speech.start_ns,
        "speech_step_ns": STEP_NS,
        "speech": speech.probabilities,
    }


def _nothing(speech: Speech) -> Scores:
    """Not enough evidence."""
    return Scores(
        sentiment=None, sentiment_low=None, sentiment_high=None, arousal=None, emotions=None,
        contributions={}, unimodal={}, **_heard(speech),
    )  # fmt: skip
