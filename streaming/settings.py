"""What can be set, as typed structs. `attune.config` reads them from YAML.

They live here because aligner, events and sinks take them, and nothing here may look upward. Those
of sources are in `source_settings`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streaming.clock import NS_PER_MS
from streaming.packets import Modality
from streaming.settings_base import Milliseconds, Seconds, Settings
from streaming.source_settings import (
    MediaSettings,
    SourceSettings,
    SyntheticSettings,
    TextSettings,
)
from streaming.windows import ModalitySpec, Resampling, WindowSpec

RuleTime = Annotated[float, Meta(ge=0)]  # its greatest value is checked with the rule, by line
EventMs = Annotated[float, Meta(ge=0, le=1e9)]
Level = Annotated[float, Meta(gt=0, le=1e9)]  # a threshold; one that is never reached is allowed
RuleName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Label = Annotated[str, Meta(max_length=64)]
StreamName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

AUDIO_RATE_HZ = 16_000
FACE_GRID_HZ = 4.0
_WORDS = (TextSettings, SyntheticSettings)


class SpeechSettings(Settings, frozen=True, kw_only=True):
    """Words made of a stream's sound. `model`: a folder; empty: the one in pocketsphinx's package.

    `longest_s`: speech without a pause is cut after so long at the latest.
    """

    engine: Literal["pocketsphinx", "faster-whisper"]
    model: str = ""
    language: Annotated[str, Meta(pattern=r"^[a-z]{2,3}$")] = "en"
    longest_s: Annotated[float, Meta(ge=2, le=25)] = 6.0


class StreamSettings(Settings, frozen=True, kw_only=True):
    """One stream: a name and where its modalities come from. `consent`: those who are seen and
    heard have agreed; without it no camera, microphone or network address is opened. `sends`:
    what results carry; `words`: what was said or written, too.
    `speech_to_text`: words are made of its sound, see docs/speech-to-text.md. `node`: where its
    sources are, in a cluster: the node's name, host name or IP address; empty: anywhere."""

    name: StreamName = "main"
    sources: Annotated[tuple[SourceSettings, ...], Meta(min_length=1)]
    consent: bool = False
    sends: Literal["scores", "words"] = "scores"
    speech_to_text: SpeechSettings | None = None
    node: Annotated[str, Meta(max_length=253)] = ""

    @property
    def settled_sources(self) -> tuple[SourceSettings, ...]:
        """The sources, with what they leave open settled: captions that were not asked for are left
        out where there are other words, and late tracks where another source may give them."""
        worded = self.speech_to_text is not None or any(isinstance(s, _WORDS) for s in self.sources)
        alone = sum(not isinstance(s, TextSettings) for s in self.sources) == 1
        return tuple(
            msgspec.structs.replace(
                s,
                captions=False if worded and s.captions is None else s.captions,
                late_tracks=alone if s.late_tracks is None else s.late_tracks,
            )
            if isinstance(s, MediaSettings)
            else s
            for s in self.sources
        )


class WindowSettings(Settings, frozen=True, kw_only=True):
    """Geometry and patience of the windows, in milliseconds.

    A live window that is `deadline_ms` past its end goes out without what has not come. With
    `revise_ms` above 0 it goes out as provisional, and is settled at most `revise_ms` later.
    """

    length_ms: Annotated[float, Meta(gt=0, le=60_000)] = 2000.0
    hop_ms: Annotated[float, Meta(ge=100, le=2000)] = 500.0
    lateness_ms: Milliseconds = 0.0
    deadline_ms: Milliseconds = 1000.0
    revise_ms: Milliseconds = 0.0

    def spec(self, modalities: tuple[Modality, ...], *, paced: bool) -> WindowSpec:
        """What the aligner needs. Without pacing there is no deadline: all input is waited for."""
        return WindowSpec(
            length_ns=round(self.length_ms * NS_PER_MS),
            hop_ns=round(self.hop_ms * NS_PER_MS),
            lateness_ns=round(self.lateness_ms * NS_PER_MS),
            deadline_ns=round(self.deadline_ms * NS_PER_MS) if paced else 0,
            modalities=tuple(MODALITY_SPECS[m] for m in modalities),
        )


MODALITY_SPECS = {
    Modality.VIDEO: ModalitySpec(
        modality=Modality.VIDEO,
        max_gap_ns=300 * NS_PER_MS,
        grid_hz=FACE_GRID_HZ,
        resampling=Resampling.NEAREST,
        tolerance_ns=200 * NS_PER_MS,
    ),
    Modality.AUDIO: ModalitySpec(modality=Modality.AUDIO, max_gap_ns=5 * NS_PER_MS),
    Modality.TEXT: ModalitySpec(modality=Modality.TEXT, continuous=False),
}


class VisionSettings(Settings, frozen=True, kw_only=True):
    """How faces are found. `detector`: "haar", or the path of a YuNet ONNX model.

    `rate_hz`: frames looked at each second; the rest is decoded and passed over. `light_hz`: frames
    whose brightness is followed for flashes, `mouth_hz`: frames in which the largest face's mouth
    is, both for docs/synchronisation.md; 0: none.
    """

    detector: str = "haar"
    rate_hz: Annotated[float, Meta(gt=0, le=60)] = FACE_GRID_HZ
    light_hz: Annotated[float, Meta(ge=0, le=120)] = 0.0
    mouth_hz: Annotated[float, Meta(ge=0, le=60)] = 0.0
    min_face_share: Annotated[float, Meta(gt=0, le=1)] = 0.08


class SyncSettings(Settings, frozen=True, kw_only=True):
    """When sound and picture count as out of step: the sound early or late by more than this, by
    default where viewers begin to notice (ITU-R BT.1359-1). `correct`: move the sound."""

    early_ms: Annotated[float, Meta(gt=0, le=60_000)] = 45.0
    late_ms: Annotated[float, Meta(gt=0, le=60_000)] = 125.0
    correct: bool = False


class EncoderSettings(Settings, frozen=True, kw_only=True):
    """An encoder from outside, in the place of ours: `huggingface` (folder or name) or `onnx`
    (description). `labels`: the model's label -> one of our emotions, or null to leave it out."""

    huggingface: str = ""
    onnx: str = ""
    allow_download: bool = False
    labels: dict[str, str | None] = msgspec.field(default_factory=dict)
    head: str = ""


class ModelSettings(Settings, frozen=True, kw_only=True):
    """Which weights (empty: the shipped ones), where they run, and encoders from outside."""

    path: str = ""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    text: EncoderSettings | None = None
    faces: EncoderSettings | None = None


class RuleSettings(Settings, frozen=True, kw_only=True):
    """An event, see docs/events.md. `every`: what is judged; `when`, `until`: conditions; `score`
    and `evidence`: measures, such as `max arousal`. `labels`: conditions by label. `streams`: in
    which it is looked for (empty: all); `across`: over all streams together. Numbers may be given
    as sums of settings."""

    name: RuleName
    when: str
    until: str = ""
    every: Literal["hop", "look", "loudness", "speech"] = "hop"
    for_s: RuleTime | str = 0.0
    hang_s: RuleTime | str = 0.0
    confirm: Annotated[int, Meta(ge=1)] | str = 1
    lost_after_s: RuleTime | str = 5.0
    cooldown_s: RuleTime | str = 0.0
    score: str = ""
    evidence: Annotated[dict[RuleName, str], Meta(max_length=32)] = msgspec.field(
        default_factory=dict
    )
    label: Label = ""
    labels: Annotated[dict[Label, str], Meta(max_length=32)] = msgspec.field(default_factory=dict)
    streams: tuple[StreamName, ...] = ()
    across: bool = False


class EventSettings(Settings, frozen=True, kw_only=True):
    """Thresholds of the events. Units stand in the names."""

    speech_on: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    speech_off: Annotated[float, Meta(gt=0, lt=1)] = 0.35
    speech_min_ms: EventMs = 250.0
    speech_hang_ms: EventMs = 100.0
    face_confirm: Annotated[int, Meta(ge=1, le=1_000_000)] = 2
    silence_min_ms: EventMs = 2000.0
    loudness_spike_db: Level = 15.0
    loudness_floor_dbfs: Annotated[float, Meta(ge=-1000, le=1000)] = -45.0
    sentiment_shift: Level = 0.5
    contradiction: Level = 0.8
    sentiment_change: Level = 8.0
    rules: tuple[RuleSettings, ...] = ()


class PipelineSettings(Settings, frozen=True, kw_only=True):
    """How the stages run. `ingest_workers` on each node; 0: one for each core, at most two.
    `address`: of a Ray cluster to run on, "auto" for the one of this machine; empty: none.

    With Ray in real time a part that dies, or is silent for `hang_s`, is started anew, at most
    `restarts` times a minute. `standby`: a second analyser waits, ready, to take the first's place.

    In real time nothing is served that is older than `max_age_ms`, see docs/overload.md; 0: any
    age. `carry_kb`: sound and words of each stream that skipped windows leave to the next.
    """

    runtime: Literal["ray", "inline"] = "ray"
    address: str = ""
    pace: Literal["realtime", "fast"] = "realtime"
    ingest_workers: Annotated[int, Meta(ge=0, le=1024)] = 0
    restarts: Annotated[int, Meta(ge=0, le=100)] = 5
    hang_s: Annotated[float, Meta(ge=1, le=300)] = 5.0
    standby: bool = False
    max_age_ms: Milliseconds = 500.0
    carry_kb: Annotated[float, Meta(ge=0, le=65_536)] = 128.0


class OutputSettings(Settings, frozen=True, kw_only=True):
    """Where messages go. `publish`: a ZeroMQ address, empty for none; `file`: JSON lines.

    `replay_s`, `replay_mb`: how long and how much is kept for subscribers that missed something;
    0 seconds closes the replay port. `journal`: an SQLite file that keeps the same beyond the
    publisher's death. `keys`: folder with the publisher's CURVE keys; without it
    only loopback and ipc addresses are bound.

    `retain_h`: after how many hours results in files, and all files in `retain_folder`, are
    deleted; 0: never. `audit`: JSON lines that say who was given what. See docs/privacy.md.
    """

    publish: str = "tcp://127.0.0.1:7100"
    file: str = ""
    heartbeat_ms: Annotated[float, Meta(gt=0, le=60_000)] = 1000.0
    replay_s: Seconds = 600.0
    replay_mb: Annotated[float, Meta(gt=0, le=65_536)] = 64.0
    journal: str = ""
    keys: str = ""
    retain_h: Annotated[float, Meta(ge=0, le=100_000)] = 0.0
    retain_folder: str = ""
    audit: str = ""


class MetricsSettings(Settings, frozen=True, kw_only=True):
    """Prometheus metrics at `http://127.0.0.1:port/metrics`; 0 serves none."""

    port: Annotated[int, Meta(ge=0, le=65535)] = 0


class ControlSettings(Settings, frozen=True, kw_only=True):
    """Where a running pipeline takes commands: `ipc://PATH`, or any other address with `keys`, the
    folder with its CURVE keys. Empty: nowhere. With it a run goes on until it is stopped."""

    address: str = ""
    keys: str = ""


class AttuneSettings(Settings, frozen=True, kw_only=True):
    """The whole configuration."""

    streams: tuple[StreamSettings, ...] = ()
    windows: WindowSettings = WindowSettings()
    vision: VisionSettings = VisionSettings()
    sync: SyncSettings = SyncSettings()
    model: ModelSettings = ModelSettings()
    events: EventSettings = EventSettings()
    pipeline: PipelineSettings = PipelineSettings()
    output: OutputSettings = OutputSettings()
    metrics: MetricsSettings = MetricsSettings()
    control: ControlSettings = ControlSettings()
