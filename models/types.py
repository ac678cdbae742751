"""The values that enter and leave the analyser. Immutable, keyword-only, units in the names.

Invariant: everything here is already aligned to one clock; nothing here reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

EMOTIONS = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
MODALITIES = ("video", "audio", "text")
SAMPLE_RATE_HZ = 16_000
FACE_PX = 48


@dataclass(frozen=True, kw_only=True)
class Text:
    """One utterance or message; it counts for every window that [start_ns, end_ns) overlaps.

    language: a tag such as "en" or "zh-Hans", where the source gave one.
    """

    start_ns: int
    end_ns: int
    text: str
    language: str = ""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """What arrived in [start_ns, end_ns), aligned.

    faces: uint8 (F, 48, 48) grey crops of the main face at the grid instants of this hop, F 0..4.
    audio: float32 (N,) at 16 kHz, mono, in [-1, 1]; gaps filled with 0.
    audio_coverage: share of the hop that a microphone delivered; 0 means that there was none.
    texts: texts that began in this hop.
    """

    start_ns: int
    end_ns: int
    faces: np.ndarray = field(repr=False)  # a representation may end up in a log
    audio: np.ndarray = field(repr=False)
    audio_coverage: float
    texts: tuple[Text, ...] = field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True)
class WindowInput:
    """A window that closed: its span, and only those hops that were not sent before."""

    stream: str
    start_ns: int
    end_ns: int
    new_hops: tuple[Hop, ...]


@dataclass(frozen=True, kw_only=True)
class ModalityScore:
    """What one modality says on its own: sentiment in [-1, 1], calibrated emotions (7,).

    Words that tell a sentiment only, as Chinese ones do, leave emotions and arousal None.
    """

    sentiment: float
    emotions: np.ndarray | None
    arousal: float | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a window says. `None` stands for "not enough evidence", never for a guess.

    That is so when nothing was there to be scored, and when the interval came out so wide that
    the score in its middle would mean nothing; what each modality says alone is given all the same.
    Arousal and emotions alone are None where only words that tell no emotions were evidence enough.

    sentiment: in [-1, 1], with an interval of 80 % nominal coverage.
    arousal: in [-1, 1]; 0 is the arousal of a neutral state.
    emotions: (7,) in the order of EMOTIONS, sums to 1.
    contributions: exact Shapley value of each present modality; sums to sentiment - prior.
    sounds: probability of each of the sounds of ESC-10, empty without sound or without the part.
    speech: float32 (T,) probabilities; frame i covers speech_start_ns + i * speech_step_ns.
    """

    sentiment: float | None
    sentiment_low: float | None
    sentiment_high: float | None
    arousal: float | None
    emotions: np.ndarray | None
    contributions: dict[str, float]
    unimodal: dict[str, ModalityScore]
    speech_start_ns: int
    speech_step_ns: int
    speech: np.ndarray
    sounds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def without_evidence(
        cls, *, unimodal: dict[str, ModalityScore], speech_start_ns: int, speech_step_ns: int,
        speech: np.ndarray, sounds: dict[str, float],
    ) -> Scores:  # fmt: skip
        """No score, but what is known beside it."""
        return cls(
            sentiment=None, sentiment_low=None, sentiment_high=None, arousal=None, emotions=None,
            contributions={}, unimodal=unimodal, speech_start_ns=speech_start_ns,
            speech_step_ns=speech_step_ns, speech=speech, sounds=sounds,
        )  # fmt: skip
