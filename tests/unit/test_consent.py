"""Nobody is looked at or listened to live without consent."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.ingest import open_sources
from attune.run import from_options
from attune.streams import additions
from streaming.consent import require_consent
from streaming.control import AddRequest
from streaming.errors import UsageError
from streaming.settings import AttuneSettings, StreamSettings
from streaming.source_settings import (
    CameraSettings,
    MediaSettings,
    MicrophoneSettings,
    SourceSettings,
    SyntheticSettings,
    TextSettings,
)


def stream(source: SourceSettings, *, consent: bool = False) -> StreamSettings:
    return StreamSettings(name="door", sources=(source,), consent=consent)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (CameraSettings(), "a camera"),
        (MicrophoneSettings(), "a microphone"),
        (MediaSettings(url="/dev/video0"), "a device"),
        (MediaSettings(url="rtsp://[user"), "an address on a network"),
        (MediaSettings(url="rtsp://user:secret@door.lan/1"), "an address on a network"),
        (TextSettings(path="wss://user:secret@chat.lan/1"), "an address of words"),
    ],
)
def test_a_live_source_needs_consent_wherever_it_is_opened(source: SourceSettings, what: str):
    with pytest.raises(UsageError, match=what) as refused:
        open_sources(stream(source), AttuneSettings())
    assert "secret" not in str(refused.value)
    require_consent(stream(source, consent=True))


@pytest.mark.parametrize(
    "source",
    [
        MediaSettings(url="call.mp4"),
        MediaSettings(url="file:///call.mp4"),
        TextSettings(path="-"),
        TextSettings(path="chat.txt", follow=True),
        SyntheticSettings(),
    ],
)
def test_files_words_and_scenes_need_none(source: SourceSettings):
    require_consent(stream(source))


def options(**given: object) -> AttuneSettings:
    nothing = dict.fromkeys(("config", "media", "text", "stream", "publish", "output"))
    asked = {**nothing, "fast": False, "inline": False, "assignments": [], **given}
    return from_options(**asked)[0]  # type: ignore[arg-type]


def test_the_command_line_says_it_for_all_streams_and_else_refuses_before_anything_starts(
    tmp_path: Path,
):
    config = tmp_path / "two.yaml"
    config.write_text(
        "streams:\n"
        "  - {name: a, sources: [{kind: camera}]}\n"
        "  - {name: b, sources: [{kind: microphone}], consent: true}\n"
    )
    with pytest.raises(UsageError, match="stream 'a': expected consent"):
        options(config=config)
    assert all(s.consent for s in options(config=config, consent=True).streams)


def test_so_does_adding_a_stream():
    given = {"name": "x", "config": None, "media": "rtsp://door.lan/1", "text": None}
    (request,) = additions(**given, force=False, consent=True)
    assert isinstance(request, AddRequest)
    assert request.stream.consent
