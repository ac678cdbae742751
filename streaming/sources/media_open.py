"""Opening a container, and saying in one line why it cannot be opened.

Invariant: whatever is wrong with a file or URL before its first packet comes out as one
`SourceError` that names it, says what was expected, what came and what to do.
"""

from __future__ import annotations

import difflib
import struct
from pathlib import Path

import av
import av.logging
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from streaming.errors import SourceError
from streaming.redact import redacted
from streaming.source_settings import MediaSettings

OPEN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 10.0
MOOV_LIMIT_BYTES = 16 << 20

# FFmpeg's own chatter would land on stderr; what matters comes back as errors and `Health`.
av.logging.set_level(av.logging.PANIC)


def is_url(url: str) -> bool:
    """Whether `url` is something else than a local path."""
    return "://" in url and not url.startswith("file://")


def open_container(
    url: str, *, read_timeout_s: float = READ_TIMEOUT_S, options: dict[str, str] | None = None
) -> InputContainer:
    """Open `url` for reading, with time limits if it is not a local file.

    `options`: of FFmpeg's protocols and demuxers; those they do not know are passed over.
    """
    if not is_url(url):
        check_file(Path(url.removeprefix("file://")))
    timeout = (OPEN_TIMEOUT_S, read_timeout_s) if is_url(url) else None
    try:
        container = av.open(url, timeout=timeout, options=options or {})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(_why_not(url, error)) from error
    if not is_url(url) and is_encrypted(Path(url.removeprefix("file://"))):
        container.close()
        raise SourceError(
            f"{url}: the media is encrypted (DRM); expected a file in the clear. "
            "Decrypt it first, or record the screen or line output instead."
        )
    return container


def check_file(path: Path) -> None:
    """Refuse what cannot be a media file, before FFmpeg is asked."""
    if not path.exists():
        raise SourceError(f"{path}: no such file{_close_match(path)}. Check the path.")
    if path.is_dir():
        raise SourceError(f"{path}: is a directory; expected a media file. Name a file inside it.")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{path}: the file is empty (0 bytes); expected media. Copy it again.")


def choose_tracks(
    container: InputContainer, settings: MediaSettings
) -> tuple[VideoStream | None, AudioStream | None]:
    """The first usable picture and sound track that `settings` asks for."""
    name = redacted(settings.url)
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    audios = list(container.streams.audio)
    wanted = (videos if settings.video else []) + (audios if settings.audio else [])
    if not wanted:
        raise SourceError(f"{name}: {_nothing_wanted(container, settings)}")
    usable = [track for track in wanted if _decodable(track)]
    if not usable:
        raise SourceError(
            f"{name}: unsupported codec ({', '.join(_codec(t) for t in wanted)}); expected one "
            "that FFmpeg decodes. Convert the file, for example to H.264 and AAC."
        )
    video = next((t for t in usable if isinstance(t, VideoStream)), None)
    audio = next((t for t in usable if isinstance(t, AudioStream)), None)
    return video, audio


def is_encrypted(path: Path) -> bool:
    """Whether an MP4 file's header declares encrypted sample entries (common encryption)."""
    moov = _moov(path) if path.is_file() else b""
    return any(mark in moov for mark in (b"encv", b"enca")) and b"sinf" in moov


def _moov(path: Path) -> bytes:
    """The `moov` box of an MP4 file; empty where there is none."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if not kind.isalnum():
                return b""
            header = 8
            if size == 1:
                size, header = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))[0], 16
            if kind == b"moov":
                return file.read(min(size, MOOV_LIMIT_BYTES))
            if size < header:
                return b""
            file.seek(size - header, 1)
    return b""


def _decodable(track: VideoStream | AudioStream) -> bool:
    # PyAV leaves the context out where FFmpeg has no decoder, whatever its stubs say.
    return getattr(track, "codec_context", None) is not None


def _codec(track: VideoStream | AudioStream) -> str:
    if _decodable(track):
        return track.codec_context.name
    tag = getattr(track, "codec_tag", "") or "unknown"
    return f"{track.type} codec {tag!r}"


def _nothing_wanted(container: InputContainer, settings: MediaSettings) -> str:
    if not settings.video and not settings.audio:
        return "neither video nor audio is asked for; set at least one of them to true."
    asked = {(True, True): "video or audio", (True, False): "video", (False, True): "audio"}
    kinds = sorted({s.type for s in container.streams})
    found = f"only {', '.join(kinds)}" if kinds else "no track at all"
    expected = asked[(settings.video, settings.audio)]
    return f"expected a {expected} track, found {found}. Check that it is the right file."


def _close_match(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f" (nor the folder {path.parent})"
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f"; did you mean {path.parent / close[0]}?" if close else ""


def _why_not(url: str, error: Exception) -> str:
    name = redacted(url)
    reason = str(getattr(error, "strerror", None) or error).strip().rstrip(".")
    reason = reason.replace(url, name)
    if is_url(url):
        return f"{name}: {_why_not_reached(url, error, reason)}"
    if isinstance(error, PermissionError):
        return f"{name}: may not be read (permission denied). Change its permissions."
    if _has_mp4_head(Path(url.removeprefix("file://"))):
        return (
            f"{name}: the file is cut short or still being written (its index is missing); "
            "expected a complete MP4. Copy or record it again."
        )
    return f"{name}: not a media file that FFmpeg can read ({reason}). Expected video or audio."


def _why_not_reached(url: str, error: Exception, reason: str) -> str:
    scheme = url.partition("://")[0]
    if isinstance(error, av.ProtocolNotFoundError):
        return (
            f"this build of FFmpeg does not speak {scheme}; expected an address it reads, such as "
            "rtsp, rtmp, udp or http. Have another program receive it and send it on, for example "
            f"ffmpeg -i {scheme}://... -c copy -f mpegts udp://127.0.0.1:5000"
        )
    if isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return (
            f"the server lets nobody in with these credentials ({reason}); expected the user and "
            f"password of the stream. Give them in the address: {scheme}://USER:PASSWORD@HOST/..."
        )
    limit = f" within {OPEN_TIMEOUT_S:.0f} s" if _timed_out(error) else ""
    return (
        f"cannot be reached{limit} ({reason}); expected a stream that FFmpeg reads. "
        "Check the address, the network and that the sender runs."
    )


def _timed_out(error: Exception) -> bool:
    return isinstance(error, av.ExitError | TimeoutError)


def _has_mp4_head(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(12)[4:8] == b"ftyp"
