"""Senders of one clip, each a process of its own that can be killed and begun again.

The clip has a white picture and a beep at the beginning of each second, and black and silence
otherwise. RTMP, MPEG-TS over UDP and HTTP and the pieces of HLS are made by ffmpeg, RTSP by
GStreamer's server, both from Debian.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from streaming.source_settings import MediaSettings

FLASH_S = 0.12
ESTABLISHED, LISTEN = "01", "0A"  # as /proc/net/tcp has them
SYSTEM_PYTHON = "/usr/bin/python3"  # which Debian's GStreamer bindings belong to
RTSP = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    f"( filesrc location={sys.argv[2]} ! qtdemux name=d "
    "d.video_0 ! queue ! rtph264pay name=pay0 pt=96 config-interval=-1 "
    "d.audio_0 ! queue ! rtpmp4gpay name=pay1 pt=97 )"
)
server.get_mount_points().add_factory("/card", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


def has_ffmpeg() -> bool:
    return shutil.which("ffmpeg") is not None


def has_rtsp_server() -> bool:
    probe = [SYSTEM_PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"]
    return (
        Path(SYSTEM_PYTHON).exists()
        and not subprocess.run(probe, capture_output=True, check=False).returncode
    )


def make_card(path: Path, seconds: int) -> Path:
    """The clip: H.264 at 25 pictures a second, a key picture twice a second, and AAC."""
    on = f"lt(mod(t,1),{FLASH_S})"
    box = f"color=black:s=320x180:r=25:d={seconds},drawbox=color=white:t=fill:enable='{on}'"
    beep = f"aevalsrc='0.5*sin(2*PI*1000*t)*{on}':s=48000:d={seconds}"
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", box]
    command += ["-f", "lavfi", "-i", beep, "-c:v", "libx264", "-preset", "ultrafast"]
    command += ["-tune", "zerolatency", "-g", "12", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True)
    return path


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A sender at `url`; `start` returns once it sends or takes connections."""

    def __init__(
        self, url: str, command: list[str], is_ready: Callable[[], bool], *, delay_ms: float = 0
    ) -> None:
        self.url, self._command, self._is_ready = url, command, is_ready
        self.settings = MediaSettings(url=url, live=True, delay_ms=delay_ms)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        pipe = subprocess.DEVNULL
        self._process = subprocess.Popen(
            self._command, stdout=pipe, stderr=pipe, stdin=pipe, start_new_session=True
        )
        deadline = time.monotonic() + 20
        while not self._is_ready():
            assert time.monotonic() < deadline, f"{self.url} was not served"
            time.sleep(0.02)

    def hang(self) -> None:
        """From now on it takes connections and says nothing."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def kill_sender(self) -> None:
        """Only what makes the stream; a web server that gives it out goes on."""
        assert self._process is not None
        self._process.kill()

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def udp(card: Path) -> Server:
    url = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    return Server(url, [*_sent(card), "-f", "mpegts", f"{url}?pkt_size=1316"], lambda: True)


def late_sound(card: Path, after_s: float) -> Server:
    """As `udp`, but without its sound at first, which then is in the same running stream."""
    url = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    to = ["-f", "mpegts", f"{url}?pkt_size=1316"]
    silent = [*_sent(card), "-map", "0:v", "-t", str(after_s), *to]
    whole = [*_sent(card), "-map", "0:v", "-map", "0:a", "-output_ts_offset", str(after_s), *to]
    script = f"{shlex.join(silent)}; exec {shlex.join(whole)}"
    return Server(url, ["sh", "-c", script], lambda: True)


def rtmp(card: Path) -> Server:
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/card"
    return Server(url, [*_sent(card), "-f", "flv", "-listen", "1", url], lambda: _listens(port))


def http(card: Path) -> Server:
    port = free_port()
    url = f"http://127.0.0.1:{port}/card.ts"
    return Server(url, [*_sent(card), "-f", "mpegts", "-listen", "1", url], lambda: _listens(port))


def hls(card: Path) -> Server:
    """Pieces of one second, in a folder that a web server gives out."""
    port = free_port()
    folder = card.parent / f"hls-{port}"
    playlist = folder / "card.m3u8"
    serve = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory"]
    pieces = ["-f", "hls", "-hls_time", "1", "-hls_flags", "delete_segments", str(playlist)]
    script = (
        f"rm -rf {shlex.quote(str(folder))}; mkdir {shlex.quote(str(folder))}; "
        f"{shlex.join([*serve, str(folder), str(port)])} & "
        f"exec {shlex.join([*_sent(card), *pieces])}"
    )
    return Server(
        f"http://127.0.0.1:{port}/{playlist.name}",
        ["sh", "-c", script],
        lambda: _listens(port) and playlist.exists(),
        delay_ms=3000,
    )


def rtsp(card: Path) -> Server:
    port = free_port()
    command = [SYSTEM_PYTHON, "-c", RTSP, str(port), str(card)]
    return Server(f"rtsp://127.0.0.1:{port}/card", command, lambda: _listens(port))


def _sent(card: Path) -> list[str]:
    """ffmpeg, which sends the clip at its own pace, over and over."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1"]
    return [*command, "-i", str(card), "-c", "copy"]


def _listens(port: int) -> bool:
    """Whether a TCP port is listened on, or has its one guest already; nobody connects to find out,
    for some servers take one guest only."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(s[1].endswith(f":{port:04X}") and s[3] in (ESTABLISHED, LISTEN) for s in sockets)


SERVERS = {"udp": udp, "rtmp": rtmp, "http": http, "hls": hls, "rtsp": rtsp}
