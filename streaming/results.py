"""What Attune says: results, events and health. These structs are the wire schema.

Every number can be questioned: a result carries what it was made from. Everything that
differs between two runs over the same input stands in `epoch` and `timing`, nowhere else.
Times are nanoseconds on the stream's own time line, unless a name says otherwise.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta

from streaming.health import SCHEMA as SCHEMA
from streaming.health import Health as Health
from streaming.health import HealthKind as HealthKind
from streaming.health import Hop as Hop
from streaming.health import Timing as Timing
from streaming.health import Way as Way
from streaming.modality import Modality
from streaming.states import ClosedBy, ViewState
from streaming.states import Status as Status

EMOTIONS = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
SOUNDS = (
    "dogbark", "rain", "seawaves", "babycry", "clocktick",
    "personsneeze", "helicopter", "chainsaw", "rooster", "firecrackling",
)  # fmt: skip

Unit = Annotated[float, Meta(ge=0.0, le=1.0)]
Signed = Annotated[float, Meta(ge=-1.0, le=1.0)]


class Phase(StrEnum):
    """Where an event stands."""

    START = "start"
    UPDATE = "update"
    END = "end"


class Sentiment(msgspec.Struct, frozen=True, kw_only=True):
    """Valence in [-1, 1] with a central 80 % interval."""

    score: Signed
    low: Signed
    high: Signed


class ModalityReceipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one modality gave to a result: its share of the sync receipt.

    `contribution` is its Shapley value on the sentiment score; `sentiment` and `emotions` are
    what this modality alone would say. All three are absent when it was masked; the contribution
    alone is absent when the modalities together were not enough evidence for a score. Words in no
    language that is read are masked. `emotions` alone is absent where only Chinese was read.
    `offset_ns` and `uncertainty_ns` say how far its times were moved and how sure they are.
    """

    state: ViewState
    coverage: Unit
    packets: int
    offset_ns: int = 0
    uncertainty_ns: int = 0
    contribution: float | None = None
    sentiment: Signed | None = None
    emotions: dict[str, Unit] | None = None


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """Plain facts about the window, beside the model's opinions.

    `faces`: most faces seen in one frame. `face_share`: share of the looked-at frames with one.
    `speech_share`: share of the window with speech. `loudness_dbfs`: RMS level; None: no sound.
    `sounds`: probability of each sound of ESC-10 that is heard with 0.2 or more.
    """

    faces: int = 0
    face_share: Unit = 0.0
    speech_share: Unit = 0.0
    loudness_dbfs: float | None = None
    words: int = 0
    sounds: dict[str, Unit] = {}


class SyncReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """How late the sound is beside the picture (negative: early), by flashes and their sounds, or
    by a speaker's mouth and voice.

    The truth lies within `uncertainty_ms` of `av_offset_ms`; both are None while it is not known.
    `confidence`: that the agreement, of so many `pairs` of flash and sound, is no accident.
    `corrected_ms`: how much of what the sound was late has been taken off; the offset is what is
    left.
    """

    av_offset_ms: float | None = None
    uncertainty_ms: float | None = None
    confidence: Unit | None = None
    pairs: int = 0
    measured_by: Literal["flashes", "speech"] | None = None
    corrected_ms: float = 0.0


class Result(msgspec.Struct, frozen=True, kw_only=True, tag="result"):
    """What the people in one window of one stream seem to feel.

    `sentiment`, `arousal` and `emotions` are None when there was not enough evidence; the latter
    two alone where the evidence was Chinese words, which tell no emotions. A provisional result is
    followed by one other of the same `index`: final (revision 0, the same input) or revised
    (revision 1). `sync` is None where no flash was seen. `words`: what was begun
    to be said or written since the last settled result; None unless the stream sends words.
    """

    schema: str = SCHEMA
    stream: str
    epoch: int = 0
    seq: int = 0
    index: int
    start_ns: int
    end_ns: int
    status: Status = Status.FINAL
    revision: int = 0
    closed_by: ClosedBy
    sentiment: Sentiment | None
    arousal: Signed | None
    emotions: dict[str, Unit] | None
    modalities: dict[Modality, ModalityReceipt]
    signals: Signals
    sync: SyncReceipt | None = None
    words: tuple[str, ...] | None = None
    model: str
    timing: Timing = Timing()
    forwarded: Way = UNSET


class Event(msgspec.Struct, frozen=True, kw_only=True, tag="event"):
    """Something that happened. `id` is the same from start to end; `end_ns` None while open."""

    schema: str = SCHEMA
    stream: str
    epoch: int = 0
    seq: int = 0
    id: str
    kind: str
    phase: Phase
    start_ns: int
    end_ns: int | None
    label: str
    score: float
    evidence: dict[str, float | str]
    timing: Timing = Timing()
    forwarded: Way = UNSET


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat"):
    """The publisher lives. `last_seq`: the last sequence number sent for each stream.

    `replay`: where missed messages can be asked for; empty when nothing is kept. `final`: nothing
    follows it in this epoch.
    """

    schema: str = SCHEMA
    epoch: int
    seq: int
    last_seq: dict[str, int]
    published_unix_ns: int
    replay: str = ""
    final: bool = False


Message = Result | Event | Health | Heartbeat


class SpeechTrack(msgspec.Struct, frozen=True, kw_only=True):
    """Speech probabilities; frame i covers `[start_ns + i * step_ns, + step_ns)`."""

    start_ns: int = 0
    step_ns: int = 32_000_000
    probability: tuple[float, ...] = ()


class LoudnessTrack(msgspec.Struct, frozen=True, kw_only=True):
    """RMS level in dBFS by frame; None where there was no sound at all (a gap)."""

    start_ns: int = 0
    step_ns: int = 50_000_000
    dbfs: tuple[float | None, ...] = ()


class FaceCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many faces one looked-at frame showed, and which track led."""

    t_ns: int
    faces: int
    track_id: int = -1


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What the analyser made of one window, before events and publication.

    `result` lacks only epoch, seq and publication times. The tracks cover what is new in this
    window, so that laid end to end they cover the stream once. `closed_at_ns` and
    `origin_ns` are session-clock times. `skipped`: windows before it that were given up.
    """

    result: Result
    speech: SpeechTrack = SpeechTrack()
    loudness: LoudnessTrack = LoudnessTrack()
    faces: tuple[FaceCount, ...] = ()
    health: tuple[Health, ...] = ()
    closed_at_ns: int = 0
    origin_ns: int = 0
    last: bool = False
    skipped: int = 0
