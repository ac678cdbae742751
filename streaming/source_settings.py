"""What can be set of sources, a struct for each kind; `streams[].sources` of a configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from streaming.settings_base import Milliseconds, Seconds, Settings

Captions = bool | Annotated[int, Meta(ge=0, le=10_000)] | str | None
Origin = Annotated[str, Meta(pattern=r"^(null|https?://[^/\s]+)$")]

# Addresses at which nothing waits for a reader.
LIVE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "rtmpt", "udp", "tcp", "rtp", "srt")


class MediaSettings(Settings, frozen=True, kw_only=True, tag="media", tag_field="kind"):
    """Any file or URL that FFmpeg reads. `video`/`audio`: take that track if there is one.

    `captions`: words of its track of captions: the first one, the one with this number or in this
    language, or none; null: the first one, where the stream has no other words.
    `live`: as it comes and opened again when it goes, instead of at the pace of its own times;
    left out, so for `LIVE_SCHEMES`. `duration_s`: of a live one, 0 for ever. `delay_ms`: how much
    later than it comes a live one counts, for servers that send in pieces as long as that (HLS).
    `late_tracks`: pictures or sound that a live one does not have when it is opened are taken when
    they come; null: where the stream has no other source of pictures or sound.
    """

    url: str
    video: bool = True
    audio: bool = True
    captions: Captions = None
    live: bool | None = None
    duration_s: Seconds = 0.0
    delay_ms: Milliseconds = 0.0
    late_tracks: bool | None = None

    @property
    def is_live(self) -> bool:
        """Whether it is taken as it comes."""
        if self.live is not None:
            return self.live
        return self.url.partition("://")[0].lower() in LIVE_SCHEMES


class TextSettings(Settings, frozen=True, kw_only=True, tag="text", tag_field="kind"):
    """Words: SRT, WebVTT or JSON lines by file extension; `-` is standard input. `follow`: lines
    that are appended to the file from now on, plain or JSON, dated when they come.

    Or an address, see docs/sources.md. `keys`: folder with CURVE keys; `late_ms`: how long after
    they were said words may come (0: they are dated when they come); `max_per_s`: messages.
    `clock`: where the host that sends says its time, see docs/clocks.md; `clock_keys`: as `keys`.
    Of a WebSocket that is served here: `token_file`, what clients must know; `origins`: sites
    whose pages may post; `certificate`: PEM file with certificate and key.
    `waiting_mb`: words that wait to be read, at most; beyond it who sends waits or leaves them out.
    """

    path: str
    follow: bool = False
    language: str = ""
    speaker: str = ""
    keys: str = ""
    late_ms: Milliseconds = 0.0
    max_per_s: Annotated[float, Meta(gt=0, le=10_000)] = 50.0
    waiting_mb: Annotated[float, Meta(ge=1, le=1000)] = 32.0
    clock: str = ""
    clock_keys: str = ""
    token_file: str = ""
    origins: tuple[Origin, ...] = ()
    certificate: str = ""

    @property
    def is_address(self) -> bool:
        """Whether the words come from an address, not from a file."""
        return "://" in self.path


class SyntheticSettings(Settings, frozen=True, kw_only=True, tag="synthetic", tag_field="kind"):
    """A generated scene with known truth. `card`: flashes, beeps and words; `portrait`: the demo
    scene, whose sound is made beforehand; `sync`: flashes and beeps that keep no step with
    pictures."""

    scene: Literal["card", "portrait", "sync"] = "card"
    duration_s: Annotated[float, Meta(gt=0, le=86_400)] = 20.0
    seed: Annotated[int, Meta(ge=0, le=2**32)] = 0
    jitter_ms: Annotated[float, Meta(ge=0, le=5000)] = 0.0
    loss: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    disorder: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    drift_ppm: Annotated[float, Meta(ge=-10_000, le=10_000)] = 0.0
    audio_offset_ms: Annotated[float, Meta(ge=-60_000, le=60_000)] = 0.0


class CameraSettings(Settings, frozen=True, kw_only=True, tag="camera", tag_field="kind"):
    """A local camera: index, part of its name, or path. 0 for size or rate: the camera's own."""

    device: str | int = 0
    width_px: Annotated[int, Meta(ge=0, le=16_384)] = 0
    height_px: Annotated[int, Meta(ge=0, le=16_384)] = 0
    fps: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    duration_s: Seconds = 0.0


class MicrophoneSettings(Settings, frozen=True, kw_only=True, tag="microphone", tag_field="kind"):
    """A local microphone, by index or part of its name; empty for the default.

    0 for rate or channels: the device's own rate, and up to two channels (their mean is taken).
    `waiting_mb`: of sound that waits to be read, at most (4 MB: ten seconds at 48 kHz, two
    channels); what comes beyond it is lost, and counted.
    """

    device: str | int = ""
    sample_rate_hz: Annotated[int, Meta(ge=0, le=384_000)] = 0
    channels: Annotated[int, Meta(ge=0, le=64)] = 0
    duration_s: Seconds = 0.0
    waiting_mb: Annotated[float, Meta(ge=0.1, le=1000)] = 4.0


SourceSettings = (
    MediaSettings | TextSettings | SyntheticSettings | CameraSettings | MicrophoneSettings
)
