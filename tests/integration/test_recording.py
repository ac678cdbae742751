"""attune record and attune replay: the same results bit for bit, or the first difference."""

from __future__ import annotations

import json
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from actors.messages import Packets, decode
from attune.cli import main
from streaming.packets import AudioChunk, FaceObservation, TextMessage
from streaming.sinks.recording import RecordingWriter
from streaming.sources.recording import Recording

# Sound late by more than the deadline now and then, packets lost and out of order.
SESSION = """
streams:
  - name: demo
    sources:
      - {kind: synthetic, scene: portrait, duration_s: 4, jitter_ms: 150, loss: 0.1, disorder: 0.3}
windows: {length_ms: 1000, lateness_ms: 50, deadline_ms: 200}
output: {publish: ""}
"""


def attune_here(*arguments: object) -> int:
    """The command line in this process; its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("session") / "session.yaml"
    path.write_text(SESSION)
    return path


@pytest.fixture(scope="module")
def recorded(session: Path) -> Path:
    """A session in real time, with windows that the deadline closed, and its media."""
    path = session.with_name("kept.mcap")
    assert attune_here("record", path, session, "--keep-media") == 0
    return path


def without_a_batch(path: Path, to: Path) -> Path:
    """`path` again without its largest batch of packets."""
    recording = Recording(path)
    entries = list(recording.entries())
    largest = max((e for e in entries if e.topic == "packets/demo"), key=lambda e: len(e.data))
    writer = RecordingWriter(to, recording.about)
    for entry in entries:
        if entry is not largest:
            writer.admit(entry.topic, entry.data, entry.now_ns)
    writer.close()
    return to


def test_a_live_session_with_faults_replays_identically(recorded, tmp_path, capsys):
    said = tmp_path / "again.jsonl"
    assert attune_here("replay", recorded, "--assert-identical", "--output", said) == 0
    assert "identical: " in capsys.readouterr().err
    again = [json.loads(line)["message"] for line in said.read_text().splitlines()]
    first = [e for e in Recording(recorded).entries() if e.topic.startswith("result/")]
    assert len(first) == sum(m["type"] == "result" for m in again) >= 6
    assert any(m.get("closed_by") == "deadline" for m in again)
    assert stat.S_IMODE(recorded.stat().st_mode) == 0o600


def test_a_packet_that_is_gone_shows_as_the_first_difference(recorded, tmp_path, capsys):
    damaged = without_a_batch(recorded, tmp_path / "gone.mcap")
    assert attune_here("replay", damaged) == 0
    assert "the replay differs at number" in capsys.readouterr().err
    assert attune_here("replay", damaged, "--assert-identical") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "recorded" in said and "of stream demo" in said


def test_without_media_nothing_is_seen_heard_or_read(session, tmp_path, capsys):
    path = tmp_path / "bare.mcap"
    assert attune_here("record", path, session, "--fast") == 0
    payloads = list(_payloads(path))
    assert {type(p) for p in payloads} == {AudioChunk, FaceObservation, TextMessage}
    assert not any(
        getattr(p, "text", "") or getattr(p, "faces", ()) or len(getattr(p, "samples", ()))
        for p in payloads
    )
    assert attune_here("replay", path, "--assert-identical") == 0
    assert "windows (no media kept)" in capsys.readouterr().err


def _payloads(path: Path) -> Iterator[object]:
    for entry in Recording(path).entries():
        if entry.topic.startswith("packets/"):
            cargo = decode(entry.data)
            assert isinstance(cargo, Packets)
            yield from cargo.batch.payloads


def test_what_if_shows_both_sides(recorded, capsys):
    assert attune_here("replay", recorded, "--set", "windows.deadline_ms=2000") == 0
    said = capsys.readouterr().err
    rows = {row[0]: row[1:] for row in map(_cells, said.splitlines()) if len(row) == 3}
    assert int(rows["closed by: deadline"][0]) > int(rows["closed by: deadline"][1])
    assert np.diff([float(x) for x in rows["coverage: text"]])[0] >= 0


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│┃ ").split("│")]


def test_a_recording_cut_short_gives_what_it_has(recorded, tmp_path, capsys):
    short = tmp_path / "short.mcap"
    short.write_bytes(recorded.read_bytes()[: recorded.stat().st_size * 2 // 3])
    assert attune_here("replay", short, "--assert-identical") == 0
    said = capsys.readouterr().err
    assert "ends in the middle" in said and "identical: 0 " not in said


def test_a_disk_that_fails_ends_the_recording_and_not_the_run(session, tmp_path, capsys):
    path = tmp_path / "full.mcap"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert attune_here("record", path, session, "--keep-media", "--fast") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert "full.mcap ends here: File too large" in said and "│ demo   │       7" in said


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("replay", "nowhere.mcap"), 1, "not found"),
        (("replay", "noise"), 1, "expected an MCAP file from attune record"),
        (("replay", "kept", "--set", "streams.0.name=x"), 2, "are what they were"),
        (("replay", "kept", "--set", "events.nonsense=1"), 2, "unknown key"),
        (("replay", "kept", "--assert-identical", "--set", "events.speech_on=.9"), 2, "leave out"),
        (("record", "kept", "session"), 2, "is there already"),
    ],
)
def test_what_cannot_be_is_one_line(recorded, session, tmp_path, capsys, arguments, code, says):
    noise = tmp_path / "noise"
    noise.write_bytes(bytes(range(256)) * 40)
    places = {"kept": recorded, "noise": noise, "session": session}
    assert attune_here(*(places.get(a, a) for a in arguments)) == code
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("attune: ") and says in said


def test_passwords_are_not_recorded():
    from attune.record import about
    from streaming.settings import AttuneSettings, StreamSettings
    from streaming.source_settings import MediaSettings

    source = MediaSettings(url="rtsp://user:secret@camera.example/1")
    settings = AttuneSettings(streams=(StreamSettings(sources=(source,)),))
    told = about(settings, "m", keep_media=False)["settings"]
    assert "secret" not in told and "rtsp://***@camera.example/1" in told
