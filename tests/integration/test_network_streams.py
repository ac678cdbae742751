"""Real servers that are killed in the middle and begun again."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.network_servers import (
    SERVERS,
    Server,
    has_ffmpeg,
    has_rtsp_server,
    late_sound,
    make_card,
)
from streaming.clock import NS_PER_MS, NS_PER_S, SystemClock
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet
from streaming.settings import VisionSettings
from streaming.source_settings import MediaSettings
from streaming.sources.base import Item
from streaming.sources.network import NetworkSource
from streaming.sources.network_port import Arrived, Connected, Gone, NetworkPort
from tests.integration.conftest import ANY_PORT, attune, messages, start
from tests.integration.test_trouble import kill_actor, wait_for_restarts

WAIT_S = 20.0
BOTH = {Modality.VIDEO, Modality.AUDIO}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not has_ffmpeg():
        pytest.skip("needs the program ffmpeg")
    return make_card(tmp_path_factory.mktemp("card") / "card.mp4", 60)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, card: Path) -> Iterator[Server]:
    if request.param == "rtsp" and not has_rtsp_server():
        pytest.skip("needs gir1.2-gst-rtsp-server-1.0 and GStreamer's good plugins")
    server = SERVERS[request.param](card)
    yield server
    server.kill()


class Reader:
    """A source that is read by a thread of its own, as ingest does."""

    def __init__(self, settings: MediaSettings) -> None:
        vision = VisionSettings(rate_hz=25.0)
        self.source = NetworkSource(settings, stream="s", vision=vision, hop_ns=NS_PER_S // 2)
        self.items: list[Item] = []
        self._came: queue.Queue[Item] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for item in self.source.items():
            self._came.put(item)

    def until(self, done: Callable[[Item], bool]) -> Item:
        """The next item that is asked for."""
        deadline = time.monotonic() + WAIT_S
        while True:
            item = self._came.get(timeout=max(deadline - time.monotonic(), 0.01))
            self.items.append(item)
            if done(item):
                return item

    def until_both(self, kind: HealthKind) -> None:
        """News of this kind of both modalities."""
        waiting = set(BOTH)
        while waiting:
            waiting.discard(self.until(lambda i: told(i, kind)).modality)

    def close(self) -> None:
        self.source.close()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


def told(item: Item, kind: HealthKind) -> bool:
    return isinstance(item, Health) and item.kind is kind


def seconds_of_both(reader: Reader, seconds: float) -> None:
    """Read until so much of sound and pictures has come."""
    start_ns = time.monotonic_ns()
    for modality in BOTH:
        reader.until(
            lambda i, m=modality: (
                isinstance(i, Packet) and i.modality is m and i.t_ns > start_ns + seconds * NS_PER_S
            )
        )


def onsets(items: list[Item], modality: Modality) -> np.ndarray:
    """When it begins to be light, or loud, in nanoseconds of session time (N,)."""
    times, levels = [], []
    for packet in (i for i in items if isinstance(i, Packet) and i.modality is modality):
        if modality is Modality.VIDEO:
            times.append(packet.t_ns)
            levels.append(float(packet.payload.pixels.mean()) / 255)
        else:
            samples = np.abs(packet.payload.samples[:, 0])
            for at in range(0, len(samples) - 79, 80):  # 5 ms
                times.append(packet.t_ns + at * NS_PER_S // 16_000)
                levels.append(float(samples[at : at + 80].max()))
    light = np.asarray(levels) > 0.25
    rises = np.flatnonzero(light[1:] & ~light[:-1]) + 1
    return np.asarray(times, np.int64)[rises]


def offsets_ms(items: list[Item]) -> np.ndarray:
    """From each flash to the nearest beep (N,)."""
    flashes, beeps = onsets(items, Modality.VIDEO), onsets(items, Modality.AUDIO)
    apart = beeps[None, :] - flashes[:, None]
    nearest = np.abs(apart).argmin(axis=1)
    return apart[np.arange(len(flashes)), nearest] / NS_PER_MS


def test_a_server_that_is_killed_and_begun_again(server: Server):
    server.start()
    reader = Reader(server.settings)
    assert set(reader.source.modalities) == BOTH
    seconds_of_both(reader, 4.0)

    server.kill()
    killed_ns = time.monotonic_ns()
    reader.until_both(HealthKind.SOURCE_LOST)
    noticed_s = (time.monotonic_ns() - killed_ns) / NS_PER_S
    first, reader.items = reader.items, []

    server.start()
    begun_ns = time.monotonic_ns()
    reader.until_both(HealthKind.RECOVERED)
    back_s = (time.monotonic_ns() - begun_ns) / NS_PER_S
    seconds_of_both(reader, 3.0)
    reader.close()

    #  flash and beep |1 |2 |3 |4 killed      lost       begun   recovered |1 |2 |3
    #  0 ms apart      x  x  x  x |-- < 2 s --|           |---- < 4 s -----| x  x  x
    #  of one that sends in pieces, which count later than they come, news does not wait for them
    assert noticed_s < 2.2
    assert back_s < 4.0
    for items in (first, reader.items):
        apart = offsets_ms(items)
        assert len(apart) >= 3
        assert np.abs(np.median(apart)) <= 45
    for modality in BOTH:
        seqs = [
            i.seq for i in first + reader.items if isinstance(i, Packet) and i.modality is modality
        ]
        assert seqs == list(range(len(seqs)))


@pytest.mark.parametrize("fault", [Server.hang, Server.kill_sender])
def test_a_web_server_that_gives_nothing_new_is_lost_and_comes_back(
    card: Path, fault: Callable[[Server], None]
):
    server = SERVERS["hls"](card)
    server.start()
    reader = Reader(server.settings)
    try:
        seconds_of_both(reader, 4.0)
        fault(server)
        fault_ns = time.monotonic_ns()
        #  pieces  |1 |2 |3 |4 fault  |6 lost: one and a half pauses and 0.5 s after the last
        reader.until_both(HealthKind.SOURCE_LOST)
        assert time.monotonic_ns() - fault_ns < 4 * NS_PER_S  # 2 s, but for pauses under load
        # what makes the stream begins anew with piece 0: the connection has to be made anew too
        server.kill()
        server.start()
        reader.until_both(HealthKind.RECOVERED)
    finally:
        reader.close()
        server.kill()


def test_a_playlist_without_news_ends_its_connection_at_the_time_limit(card: Path):
    server = SERVERS["hls"](card)
    server.start()
    port = NetworkPort(msgspec.structs.replace(server.settings, delay_ms=1300.0), SystemClock())
    port.start()
    try:
        assert isinstance(port.read(WAIT_S), Connected)
        for _ in range(100):
            assert isinstance(port.read(WAIT_S), Arrived)
        server.kill_sender()
        came_ns = []
        while isinstance(event := port.read(WAIT_S), Arrived):
            came_ns.append(event.arrival_ns)
        waited_ns = time.monotonic_ns() - came_ns[0]
    finally:
        port.close()
        server.kill()
    #  pieces  |1 |2 |the last .......... 2.5 s |gone; FFmpeg gives what it held, then another 2.5 s
    assert isinstance(event, Gone) and event.reason == "it has given nothing for 2.5 s"
    assert waited_ns < 4.5 * NS_PER_S


def test_sound_that_begins_later_is_taken(card: Path):
    server = late_sound(card, 4.0)
    threading.Timer(0.3, server.start).start()  # its first packets are not to be missed
    reader = Reader(msgspec.structs.replace(server.settings, late_tracks=True))
    try:
        assert set(reader.source.modalities) == BOTH
        #  pictures  0 ......... 4 s ................
        #  sound                 4 s |told, made anew |1 |2 |3 |4
        told_s = time.monotonic()
        news = reader.until(lambda i: told(i, HealthKind.FORMAT))
        assert news.modality is Modality.AUDIO
        assert time.monotonic() - told_s < 7.5
        reader.items = []
        seconds_of_both(reader, 4.5)
    finally:
        reader.close()
        server.kill()
    apart = offsets_ms(reader.items)
    assert len(apart) >= 3
    assert np.abs(np.median(apart)) <= 45


def test_the_command_line_takes_a_network_stream(card: Path, tmp_path: Path):
    server = SERVERS["udp"](card)
    server.start()
    out = tmp_path / "out.jsonl"
    six_s = "streams.0.sources.0.duration_s=6"
    options = ("--consent", "--publish", ANY_PORT, "--output", out, "--set", six_s)
    try:
        run = attune("run", "--inline", "--media", server.url, *options)
    finally:
        server.kill()
    assert run.returncode == 0, run.stderr
    results = messages(out, "result")
    whole = [
        r for r in results if min(r["modalities"][m]["coverage"] for m in ("video", "audio")) > 0.9
    ]
    assert len(whole) >= 6


def test_a_stream_whose_reader_dies_while_its_server_is_away_comes_back(
    card: Path, tmp_path: Path, running: list
):
    server = SERVERS["udp"](card)
    config, out = tmp_path / "run.yaml", tmp_path / "out.jsonl"
    source = f"{{kind: media, url: '{server.url}'}}"
    config.write_text(
        f"streams: [{{name: door, consent: true, sources: [{source}]}}]\n"
        f"output: {{publish: '{ANY_PORT}', file: '{out}'}}\n"
    )
    server.start()
    try:
        run = start("run", config)
        running.append(run)
        whole_windows(out, 2)
        #  server   ......|killed        begun again|.........
        #  ingest   .........|killed, anew ..................
        #  told              lost         restarted   recovered
        server.kill()
        kill_actor(run.pid, "IngestNode")
        wait_for_restarts(out, 1)
        wait_for_losses(out)
        seen = len(whole_windows(out, 2))
        server.start()
        whole_windows(out, seen + 3)
    finally:
        server.kill()
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=90)
    assert run.returncode == 128 + signal.SIGTERM, said
    told = [(m["kind"], m["modality"]) for m in messages(out, "health")]
    for modality in ("video", "audio"):
        lost, back = (told.index((kind, modality)) for kind in ("source_lost", "recovered"))
        assert told.index(("restarted", None)) < lost < back
    assert told[-1][0] == "stream_ended"


def wait_for_losses(path: Path) -> None:
    """Poll until both modalities are told to be lost."""
    deadline = time.monotonic() + 30
    while path.read_text().count('"kind":"source_lost"') < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)  # another process writes the file: there is no event to wait for


def whole_windows(path: Path, count: int) -> list[dict]:
    """Wait until there are so many windows full of both."""
    deadline = time.monotonic() + 90
    while True:
        results = messages(path, "result") if path.exists() else []
        whole = [r for r in results if min(r["modalities"][m]["coverage"] for m in BOTH) > 0.9]
        if len(whole) >= count:
            return whole
        assert time.monotonic() < deadline, f"{len(whole)} of {count}"
        time.sleep(0.2)  # another process writes the file: there is no event to wait for
