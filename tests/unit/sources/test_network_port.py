"""The connection behind a network stream, with a file in the place of a server."""

from __future__ import annotations

from pathlib import Path

from media_factory import write_clip

from streaming.clock import HandClock
from streaming.source_settings import MediaSettings
from streaming.sources.network_port import Arrived, Connected, Gone, NetworkPort

WAIT_S = 10.0


def to_the_end(port: NetworkPort) -> tuple[Connected, set[str]]:
    """A connection, and of which tracks packets came until it was gone."""
    connected = port.read(WAIT_S)
    assert isinstance(connected, Connected)
    came = set()
    while isinstance(event := port.read(WAIT_S), Arrived):
        came.add(event.packet.stream.type)
    assert isinstance(event, Gone)
    return connected, came


def test_a_track_that_was_not_there_at_first_is_left_out_later(tmp_path: Path):
    path = write_clip(tmp_path / "a.mp4", seconds=1, audio=False)
    port = NetworkPort(MediaSettings(url=str(path), live=True), HandClock())
    port.start()
    first, came = to_the_end(port)
    assert first.audio is None
    assert came == {"video"}
    #  pictures |gone   pictures and sound: the stream has no place for sound
    write_clip(path, seconds=1)
    port.release()
    second, came = to_the_end(port)
    port.close()
    assert second.video is not None
    assert second.audio is None
    assert came == {"video"}
