"""The connection behind a network stream, with a file in the place of a server."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import av
import pytest
from media_factory import write_clip
from network_script import MPEG

from streaming.clock import NS_PER_MS, NS_PER_S, HandClock
from streaming.errors import SourceError
from streaming.source_settings import MediaSettings
from streaming.sources.late_tracks import late_kinds
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


class SteppingClock(HandClock):
    """Each look at it takes 20 ms."""

    def now_ns(self) -> int:
        self.advance(20 * NS_PER_MS)
        return super().now_ns()


def serve(path: Path, *streams: bytes) -> None:
    """Let who opens `path` first read the first of `streams`, and so on."""
    os.mkfifo(path)

    def write() -> None:
        for stream in streams:
            with suppress(BrokenPipeError), path.open("wb") as file:
                path.unlink()  # its reader has it; the next one finds another
                os.mkfifo(path)
                file.write(stream)

    threading.Thread(target=write, daemon=True).start()


def test_a_connection_is_made_anew_once_for_a_track_that_comes_later(tmp_path: Path):
    silent = write_clip(tmp_path / "a.ts", seconds=6, audio=False, **MPEG).read_bytes()
    whole = write_clip(tmp_path / "b.ts", seconds=4, **MPEG).read_bytes()
    late = silent + whole
    serve(tmp_path / "pipe", late, late, whole, late)
    settings = MediaSettings(url=str(tmp_path / "pipe"), live=True, late_tracks=True)
    port = NetworkPort(settings, SteppingClock())
    port.start()
    #  pictures ... |and sound: made anew, pictures ... |and sound: not once more; both;
    #  pictures ... |and sound: once more, for it had been there in between
    found = []
    for _ in range(4):
        connected = port.read(WAIT_S)
        assert isinstance(connected, Connected)
        while isinstance(event := port.read(WAIT_S), Arrived):
            pass
        assert isinstance(event, Gone)
        found.append((connected.audio is not None, event.reason))
        port.release()
    port.close()
    assert found == [
        (False, "it has a new track"),
        (False, "the sender ended it"),
        (True, "the sender ended it"),
        (False, "it has a new track"),
    ]


def test_tracks_that_were_there_at_first_are_not_late(tmp_path: Path):
    with av.open(str(write_clip(tmp_path / "a.ts", seconds=1, **MPEG))) as container:
        assert len(container.streams) == 2
        assert late_kinds(container) == set()


class PausingClock(HandClock):
    """Knows until when it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_ns: list[int] = []

    def wait_until(self, t_ns: int, stop: threading.Event | None = None) -> bool:
        self.waited_ns.append(t_ns)
        return super().wait_until(t_ns, stop)


def test_a_playlist_that_is_complete_is_no_live_stream(tmp_path: Path):
    playlist = write_clip(tmp_path / "a.m3u8", seconds=2)
    assert "ENDLIST" in playlist.read_text()
    with pytest.raises(SourceError, match="the playlist is complete; expected one that goes on"):
        NetworkPort(MediaSettings(url=str(playlist), live=True), HandClock())
    #  it goes on          |it is complete: nothing of it comes once more
    whole = playlist.read_text()
    playlist.write_text(whole.replace("#EXT-X-ENDLIST\n", ""))
    clock = PausingClock()
    port = NetworkPort(MediaSettings(url=str(playlist), live=True), clock)
    playlist.write_text(whole)
    port.start()
    _, came = to_the_end(port)
    port.release()
    again = [port.read(WAIT_S) for _ in range(3)]
    port.close()
    assert came == {"video", "audio"}
    assert all(isinstance(event, Gone) and "complete" in event.reason for event in again)
    #  0.1 s |each looks at a piece of it: 2 s |2 s
    assert clock.waited_ns[:3] == [NS_PER_S // 10, 21 * NS_PER_S // 10, 41 * NS_PER_S // 10]
