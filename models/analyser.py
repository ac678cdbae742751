"""The analyser: windows of many streams in, scores out.

Laws it keeps: causal; a hop is encoded once, by one call per encoder over all streams; an absent
modality is masked, so its content cannot matter; how streams are batched together changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from models import weights
from models.encoders.chinese import ChineseWords, opinion_of
from models.encoders.external import External
from models.encoders.plug import plug
from models.encoders.plug import revision as revised
from models.encoders.text import collate
from models.errors import InputError
from models.fusion import shapley
from models.labels import AROUSAL_VECTOR, SOUNDS
from models.language import language_of
from models.network import TOKEN_D, Network
from models.opinion import TEXT, Opinion, Verdict, joined
from models.runtime import Arrays, Run, runs
from models.state import (
    FaceJob,
    Jobs,
    SaidPositively,
    SoundJob,
    Speech,
    StreamState,
    TextJob,
    TextToken,
    Tongue,
    pad,
    pad_dialogues,
)
from models.types import MODALITIES, ModalityScore, Scores, WindowInput
from models.vad import STEP_NS, SileroVad

Runtime = Literal["auto", "int8", "onnx", "torch"]


class Analyser:
    """Holds the weights and the memory of each stream. Not safe for calls from several threads.

    stages: how to run each stage of the network, see `models.runtime.stages`.
    limit: half-width of the interval above which a window has not enough evidence for a score.
    tongue: which encoder is given a text; the stage "text" is given those that are ENGLISH.
    chinese: reads those that are CHINESE; without it they are as if they had not been said.
    """

    def __init__(
        self,
        stages: Mapping[str, Run],
        *,
        revision: str,
        prior: float,
        limit: float,
        collate: Callable[[Sequence[str]], tuple[Tensor, Tensor]] = collate,
        tongue: Tongue = language_of,
        chinese: ChineseWords | None = None,
    ) -> None:
        self.revision = revision
        self.sentiment_prior = prior
        self.limit = limit
        self.stages = dict(stages)
        self._collate = collate
        self._tongue = tongue
        self._chinese = chinese
        self._vad = SileroVad()
        self._streams: dict[str, StreamState] = {}

    @classmethod
    def load(
        cls,
        path: Path | str | None = None,
        *,
        device: str = "auto",
        runtime: Runtime = "auto",
        external: Sequence[External] = (),
    ) -> Analyser:
        """Read weights from a folder; `None` stands for those shipped in `models/weights`.

        runtime: "torch"; on the CPU, where the folder has graphs, "onnx" in floats or "int8" with
        the large products in whole numbers; or the fastest of them.
        external: encoders from outside that take the place of ours; they run in PyTorch.
        """
        folder = weights.SHIPPED if path is None else Path(path)
        network = weights.fold_batch_norm(Network.load(folder))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        graphs = runtime != "torch" and device == "cpu"
        own = plug(network, external)
        stages = runs(
            network.to(device).eval(), folder, torch.device(device), own if graphs else (),
            whole_numbers=runtime in ("auto", "int8"),
        )  # fmt: skip
        fusion = network.fusion
        return cls(
            stages, revision=revised(weights.revision(folder), external),
            prior=float(fusion.prior), limit=float(fusion.limit),
            collate=getattr(network.text, "collate", collate),
            tongue=getattr(network.text, "tongue", language_of),
            chinese=ChineseWords.find(folder),
        )  # fmt: skip

    def forget(self, stream: str) -> None:
        """Drop the memory of a stream that ended or restarts; unknown names are fine."""
        self._streams.pop(stream, None)

    def fork(self, stream: str, to: str) -> None:
        """Give the stream `to` a memory of its own, as that of `stream` is now."""
        known = self._streams.get(stream)
        if known is not None:
            self._streams[to] = known.fork()

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
            speech.append(state.take(window, self._vad, jobs, self._tongue))
        self._encode(jobs)
        rows = [state.tokens(window) for state, window in zip(states, windows, strict=True)]
        kinds = 4 if "sounds" in self.stages else 3
        padded = [pad([row[kind] for row in rows], TOKEN_D) for kind in range(kinds)]
        masks = [mask for _, mask in padded]
        said = self.stages["window"](*(tokens for tokens, _ in padded), *masks)
        present = np.stack([mask.any(1) for mask in masks], 1)
        words = [self._opinion(state, w) for state, w in zip(states, windows, strict=True)]
        return [
            self._scores(said, b, present[b], heard, words[b]) for b, heard in enumerate(speech)
        ]

    def _encode(self, jobs: Jobs) -> None:
        if jobs.faces:
            self._encode_faces(jobs.faces)
        named = "sounds" in self.stages
        for part in _of_one_length([job for job in jobs.sounds if named or job.spoken]):
            self._encode_sounds(part, named)
        if jobs.texts:
            self._encode_texts(jobs.texts)
        if self._chinese is not None:
            for job in jobs.chinese:
                text = job.text
                positive = self._chinese.positive(text.text)
                job.stream.keep_polar(SaidPositively(text.start_ns, text.end_ns, positive))

    def _encode_faces(self, jobs: list[FaceJob]) -> None:
        (tokens,) = self.stages["faces"](np.concatenate([job.crops for job in jobs]))
        ends = np.cumsum([len(job.crops) for job in jobs])
        for job, part in zip(jobs, np.split(tokens, ends[:-1]), strict=True):
            job.hop.face = part.mean(0)

    def _encode_sounds(self, jobs: list[SoundJob], named: bool) -> None:
        """The trunk hears each hop once; the voice is told where somebody speaks."""
        (heard,) = self.stages["trunk"](np.stack([job.frames for job in jobs]))
        if named:
            (tokens,) = self.stages["sounds"](heard)
            for job, token in zip(jobs, tokens, strict=True):
                job.hop.sound = token
        spoken = [i for i, job in enumerate(jobs) if job.spoken]
        if spoken:
            (tokens,) = self.stages["voice"](heard[spoken])
            for i, token in zip(spoken, tokens, strict=True):
                jobs[i].hop.voice = token

    def _encode_texts(self, jobs: list[TextJob]) -> None:
        """Each text with a known piece is encoded once; what came before it in its dialogue then
        refines its token."""
        batch = self._collate([job.text.text for job in jobs])
        known = batch[1].any(1).numpy()
        if not known.any():
            return
        jobs = [job for job, is_known in zip(jobs, known, strict=True) if is_known]
        (alone,) = self.stages["text"](*(part.numpy()[known] for part in batch))
        lines = [job.stream.say(token) for job, token in zip(jobs, alone, strict=True)]
        (tokens,) = self.stages["context"](*pad_dialogues(lines, TOKEN_D))
        for job, token in zip(jobs, tokens, strict=True):
            job.stream.keep(TextToken(job.text.start_ns, job.text.end_ns, token))

    def _opinion(self, state: StreamState, window: WindowInput) -> Opinion | None:
        """What the texts say that only the sentiment is known of."""
        positive = None if self._chinese is None else state.positive(window)
        return None if positive is None else opinion_of(positive)

    def _scores(
        self, said: Arrays, b: int, present: np.ndarray, heard: Speech, words: Opinion | None
    ) -> Scores:
        """Row b of what the network says, and what else the words say -> the scores of a window."""
        probabilities, sentiment, emotions, low, high, by_subset, width, *sounds = said
        there = np.flatnonzero(present[:3])
        alone = {MODALITIES[m]: _unimodal(probabilities[b, m], sentiment[b, m]) for m in there}
        verdict = Verdict(
            by_subset[b].astype(np.float64), present[:3], float(low[b]), float(high[b]),
            float(width[b]),
        )  # fmt: skip
        named = emotions[b] if len(there) and verdict.half_width <= self.limit else None
        if words is not None:
            verdict = joined(verdict, words)
            alone["text"] = _with_words(alone.get("text"), float(verdict.by_subset[TEXT]))
        common: dict[str, Any] = {
            "unimodal": alone,
            "sounds": dict(zip(SOUNDS, sounds[0][b].tolist(), strict=False))
            if sounds and present[3]
            else {},
            "speech_start_ns": heard.start_ns,
            "speech_step_ns": STEP_NS,
            "speech": heard.probabilities,
        }
        if not verdict.present.any() or verdict.half_width > self.limit:
            return Scores.without_evidence(**common)
        shares = shapley(verdict.by_subset, verdict.present)
        return Scores(
            sentiment=verdict.score,
            sentiment_low=verdict.low,
            sentiment_high=verdict.high,
            arousal=None if named is None else float(named @ AROUSAL_VECTOR),
            emotions=named,
            contributions={MODALITIES[m]: share for m, share in shares.items()},
            **common,
        )


def _unimodal(emotions: np.ndarray, sentiment: float) -> ModalityScore:
    arousal = float(emotions @ AROUSAL_VECTOR)
    return ModalityScore(sentiment=float(sentiment), emotions=emotions, arousal=arousal)


def _with_words(text: ModalityScore | None, sentiment: float) -> ModalityScore:
    """What the text says alone, given its sentiment with words that tell nothing else."""
    if text is None:
        return ModalityScore(sentiment=sentiment, emotions=None, arousal=None)
    return replace(text, sentiment=sentiment)


def _of_one_length(jobs: list[SoundJob]) -> list[list[SoundJob]]:
    lengths = sorted({len(job.frames) for job in jobs})
    return [[job for job in jobs if len(job.frames) == length] for length in lengths]
