"""What a stream remembers between steps: hop tokens, text tokens, and the ends of its audio line.

Invariant: a hop is encoded once; its tokens stay for as long as a window covers it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from models import features
from models.errors import InputError
from models.language import CHINESE, ENGLISH, language_of
from models.types import FACE_PX, Hop, Text, WindowInput
from models.vad import STEP_NS, SileroVad, VadState

SPEECH = 0.5  # a hop holds speech when the VAD passes this somewhere in it
MAX_TEXTS = 64  # per window; the latest are kept
DIALOGUE_K = 8  # utterances, the latest included, that a text is read in the light of
Tongue = Callable[[str, str], str]  # a text and its tag -> who can read it, see `models.language`


@dataclass
class HopTokens:
    """One hop after encoding: at most one token (D,) of each kind."""

    start_ns: int
    end_ns: int
    face: np.ndarray | None = None
    voice: np.ndarray | None = None
    sound: np.ndarray | None = None


@dataclass
class TextToken:
    """One text after encoding, token (D,)."""

    start_ns: int
    end_ns: int
    token: np.ndarray


@dataclass(frozen=True)
class SaidPositively:
    """One text of which only the sentiment is known: the probability that it is positive."""

    start_ns: int
    end_ns: int
    probability: float


@dataclass(frozen=True)
class SoundJob:
    """Frames (24 + T, 64) of a hop, whether somebody speaks in it, and where its tokens belong."""

    frames: np.ndarray
    spoken: bool
    hop: HopTokens


@dataclass(frozen=True)
class FaceJob:
    """uint8 (F, 48, 48) crops of a hop, and where their token belongs."""

    crops: np.ndarray
    hop: HopTokens


@dataclass(frozen=True)
class TextJob:
    """A text and the stream that it belongs to."""

    text: Text
    stream: StreamState


@dataclass
class Jobs:
    """What one step has to encode, over all of its streams."""

    faces: list[FaceJob] = field(default_factory=list)
    sounds: list[SoundJob] = field(default_factory=list)
    texts: list[TextJob] = field(default_factory=list)
    chinese: list[TextJob] = field(default_factory=list)


@dataclass(frozen=True)
class Speech:
    """VAD frames completed by a step."""

    start_ns: int
    probabilities: np.ndarray


def check(stream: str, hop: Hop) -> None:
    """Hold a hop to the contract of `Hop`; audio values may be anything, shapes may not."""
    faces, audio = hop.faces, hop.audio
    if hop.end_ns <= hop.start_ns:
        raise InputError(
            f"{stream}: expected a hop that ends after {hop.start_ns}, got {hop.end_ns}"
        )
    if len(faces) and (faces.dtype != np.uint8 or faces.shape[1:] != (FACE_PX, FACE_PX)):
        raise InputError(
            f"{stream}: expected faces uint8 (F, {FACE_PX}, {FACE_PX}), "
            f"got {faces.dtype} {faces.shape}: crop and scale them at the source"
        )
    if audio.ndim != 1:
        raise InputError(f"{stream}: expected mono audio (N,), got {audio.shape}: mix it down")


def says_something(text: str) -> bool:
    """Whether a text has a sign that can be seen; control and zero-width characters say nothing."""
    return any(sign.isprintable() and not sign.isspace() for sign in text)


@dataclass
class StreamState:
    """Mutable memory of one stream; `take` is the only way in."""

    hops: list[HopTokens] = field(default_factory=list)
    texts: list[TextToken] = field(default_factory=list)
    polar: list[SaidPositively] = field(default_factory=list)
    dialogue: list[np.ndarray] = field(default_factory=list)
    vad: VadState = field(default_factory=VadState.initial)
    mel: features.MelState = field(default_factory=features.MelState.initial)
    next_frame_ns: int | None = None
    end_ns: int | None = None

    def fork(self) -> StreamState:
        """The same memory, to be carried on on its own."""
        return replace(
            self, hops=list(self.hops), texts=list(self.texts), polar=list(self.polar),
            dialogue=list(self.dialogue),
        )  # fmt: skip

    def take(
        self, window: WindowInput, vad: SileroVad, jobs: Jobs, tongue: Tongue = language_of
    ) -> Speech:
        """Admit the new hops of a window: queue what is to be encoded, run the VAD.

        What no encoder can read is as if it had not been said.
        """
        start_ns, parts = None, []
        for hop in window.new_hops:
            check(window.stream, hop)
            self._follow(window.stream, hop)
            at_ns, speech = self._listen(hop, vad, jobs)
            self._read(hop, jobs, tongue)
            start_ns = at_ns if start_ns is None else start_ns
            parts.append(speech)
        self._prune(window)
        if start_ns is None:
            start_ns = window.end_ns if self.next_frame_ns is None else self.next_frame_ns
        return Speech(start_ns, np.concatenate(parts) if parts else np.zeros(0, np.float32))

    def _follow(self, stream: str, hop: Hop) -> None:
        """Audio goes on over hops that touch; after a hole it starts afresh."""
        if self.end_ns is not None and hop.start_ns < self.end_ns:
            raise InputError(
                f"{stream}: expected a hop from {self.end_ns} on, got one from {hop.start_ns}: "
                "send each hop once and in order, or call forget() before a restart"
            )
        if self.end_ns != hop.start_ns:
            self.vad, self.mel = VadState.initial(), features.MelState.initial()
            self.next_frame_ns = hop.start_ns
        self.end_ns = hop.end_ns

    def _listen(self, hop: Hop, vad: SileroVad, jobs: Jobs) -> tuple[int, np.ndarray]:
        tokens = HopTokens(hop.start_ns, hop.end_ns)
        self.hops.append(tokens)
        present = hop.audio_coverage > 0
        audio = features.sanitise(hop.audio) if present else np.zeros_like(hop.audio, np.float32)
        self.vad, speech = vad.step(self.vad, audio)
        self.mel, frames = features.step(self.mel, audio)
        if present and len(frames) > features.CONTEXT_T:
            spoken = bool(len(speech)) and float(speech.max()) >= SPEECH
            jobs.sounds.append(SoundJob(frames, spoken, tokens))
        if len(hop.faces):
            jobs.faces.append(FaceJob(hop.faces, tokens))
        at_ns = hop.start_ns if self.next_frame_ns is None else self.next_frame_ns
        self.next_frame_ns = at_ns + len(speech) * STEP_NS
        return at_ns, speech

    def _read(self, hop: Hop, jobs: Jobs, tongue: Tongue) -> None:
        said = [text for text in hop.texts if says_something(text.text)][-MAX_TEXTS:]
        queues = {ENGLISH: jobs.texts, CHINESE: jobs.chinese}
        for text in said:
            queue = queues.get(tongue(text.text, text.language))
            if queue is not None:
                queue.append(TextJob(text, self))

    def say(self, token: np.ndarray) -> list[np.ndarray]:
        """Add an utterance (D,) to the dialogue; returns it behind those it is read after."""
        self.dialogue = [*self.dialogue, token][-DIALOGUE_K:]
        return self.dialogue

    def keep(self, text: TextToken) -> None:
        """Remember a text, and the latest MAX_TEXTS at most."""
        self.texts = [*self.texts, text][-MAX_TEXTS:]

    def keep_polar(self, text: SaidPositively) -> None:
        """Remember a text of which only the sentiment is known, as `keep` does."""
        self.polar = [*self.polar, text][-MAX_TEXTS:]

    def _prune(self, window: WindowInput) -> None:
        self.hops = [hop for hop in self.hops if hop.end_ns > window.start_ns]
        self.texts = [text for text in self.texts if text.end_ns > window.start_ns]
        self.polar = [text for text in self.polar if text.end_ns > window.start_ns]

    def positive(self, window: WindowInput) -> float | None:
        """How likely the texts that the window covers are positive, in the mean; None: none is."""
        covered = [
            text.probability for text in self.polar
            if text.end_ns > window.start_ns and text.start_ns < window.end_ns
        ]  # fmt: skip
        return sum(covered) / len(covered) if covered else None

    def tokens(self, window: WindowInput) -> tuple[list[np.ndarray], ...]:
        """Tokens that the window covers: faces, voice, text, sounds."""
        hops = [
            hop for hop in self.hops
            if hop.end_ns > window.start_ns and hop.start_ns < window.end_ns
        ]  # fmt: skip
        texts = [
            text for text in self.texts
            if text.end_ns > window.start_ns and text.start_ns < window.end_ns
        ]  # fmt: skip
        return (
            [hop.face for hop in hops if hop.face is not None],
            [hop.voice for hop in hops if hop.voice is not None],
            [text.token for text in texts],
            [hop.sound for hop in hops if hop.sound is not None],
        )


def pad_dialogues(lines: list[list[np.ndarray]], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists of (D,) utterances, the last one last -> float32 (B, K, D) and bool (B, K).

    Padded in front and always to DIALOGUE_K, so that the last utterance is at the end.
    """
    tokens = np.zeros((len(lines), DIALOGUE_K, width), np.float32)
    mask = np.zeros((len(lines), DIALOGUE_K), np.bool_)
    for b, line in enumerate(lines):
        tokens[b, -len(line) :] = line
        mask[b, -len(line) :] = True
    return tokens, mask


def pad(rows: list[list[np.ndarray]], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists of (D,) tokens -> float32 (B, T, D) and bool (B, T); T is at least 1."""
    longest = max([1, *(len(row) for row in rows)])
    tokens = np.zeros((len(rows), longest, width), np.float32)
    mask = np.zeros((len(rows), longest), np.bool_)
    for b, row in enumerate(rows):
        if row:
            tokens[b, : len(row)] = row
            mask[b, : len(row)] = True
    return tokens, mask
