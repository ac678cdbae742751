"""What cannot be opened says so in one line that names it and tells what to do."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from media_factory import ENCRYPTION, write_clip
from source_items import open_media, take_media

from streaming.clock import HandClock
from streaming.errors import SourceError
from streaming.packets import Modality
from streaming.results import HealthKind
from streaming.source_settings import MediaSettings
from streaming.sources.network_port import NetworkPort


def refusal(path, **tracks) -> str:
    with pytest.raises(SourceError) as caught:
        open_media(path, **tracks)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_file_and_its_neighbour(tmp_path):
    write_clip(tmp_path / "meeting.mp4", seconds=1)
    message = refusal(tmp_path / "meting.mp4")
    assert "meting.mp4: no such file" in message
    assert f"did you mean {tmp_path / 'meeting.mp4'}?" in message


def test_a_missing_folder(tmp_path):
    assert f"nor the folder {tmp_path / 'none'}" in refusal(tmp_path / "none" / "a.mp4")


def test_an_empty_file(tmp_path):
    (tmp_path / "e.mp4").touch()
    assert "empty (0 bytes)" in refusal(tmp_path / "e.mp4")


def test_a_directory(tmp_path):
    assert "is a directory" in refusal(tmp_path)


def test_something_else_than_media(tmp_path):
    (tmp_path / "letter.mp4").write_text("Dear Sir or Madam, " * 200)
    assert "letter.mp4: not a media file" in refusal(tmp_path / "letter.mp4")


def test_an_mp4_without_its_index(tmp_path):
    path = write_clip(tmp_path / "c.mp4", seconds=3)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut short or still being written" in refusal(path)


@pytest.mark.parametrize("tracks", [{}, {"audio": False}, {"video": False}])
def test_encrypted_media(tmp_path, tracks):
    path = write_clip(tmp_path / "drm.mp4", seconds=1, options=ENCRYPTION)
    assert "encrypted (DRM)" in refusal(path, **tracks)


def unreadable_pictures(path, **tracks):
    """A clip whose every picture has lost its head."""
    write_clip(path, codec="png", pix_fmt="rgb24", seconds=1, **tracks)
    path.write_bytes(path.read_bytes().replace(b"\x89PNG", b"\0\0\0\0"))
    return path


def test_media_in_which_nothing_decodes(tmp_path):
    message = refusal(unreadable_pictures(tmp_path / "c.mov", audio=False))
    assert "none of the first 25 packets could be decoded" in message
    assert "encrypted" in message


def test_one_track_that_never_decodes_is_lost_and_the_other_goes_on(tmp_path):
    taken = take_media(unreadable_pictures(tmp_path / "c.mov"))
    (lost,) = taken.health(HealthKind.SOURCE_LOST)
    assert (lost.modality, lost.count) == (Modality.VIDEO, 25)
    assert taken.video == []
    assert len(taken.samples) > 15_000
    assert set(taken.ends) == {Modality.VIDEO, Modality.AUDIO}


def test_the_wanted_track_is_not_there(tmp_path):
    path = write_clip(tmp_path / "a.wav", video=False, audio_codec="pcm_s16le", seconds=1)
    assert "expected a video track, found only audio" in refusal(path, audio=False)


def test_nothing_asked_for(tmp_path):
    path = write_clip(tmp_path / "c.mp4", seconds=1)
    assert "set at least one of them to true" in refusal(path, video=False, audio=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.mp4", "rtsp://user:secret@127.0.0.1:9/a"])
def test_an_address_nobody_answers_at(url):
    message = refusal(url)
    assert "127.0.0.1:9" in message
    assert "cannot be reached" in message
    assert "secret" not in message


def test_an_unsupported_codec(tmp_path):
    path = write_clip(tmp_path / "c.avi", codec="mjpeg", pix_fmt="yuvj420p", audio=False, seconds=1)
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"ZQZQ"))
    message = refusal(path)
    assert "unsupported codec" in message
    assert "Convert the file" in message


@pytest.mark.parametrize("url", ["rtsp://u:secret@127.0.0.1:1/x", "tcp://127.0.0.1:1"])
def test_an_address_where_nobody_listens(url):
    with pytest.raises(SourceError, match=r"cannot be reached.*Connection refused") as caught:
        NetworkPort(MediaSettings(url=url), HandClock())
    assert "secret" not in str(caught.value)


def test_a_protocol_that_is_not_spoken():
    settings = MediaSettings(url="srt://127.0.0.1:1")
    assert settings.is_live
    with pytest.raises(SourceError, match=r"does not speak srt; expected .* send it on"):
        NetworkPort(settings, HandClock())


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_credentials(status):
    class Guard(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Guard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://me:secret@127.0.0.1:{server.server_port}/x.ts"
        message = refusal(url)
        server.shutdown()
    assert "user and password" in message
    assert "secret" not in message
