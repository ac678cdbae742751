"""`attune ping`: what a health check of a container hears from a publisher, and from none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from attune.ping import ping
from streaming.clock import NS_PER_MS, SystemClock
from streaming.errors import SourceError
from streaming.health import Health, HealthKind
from streaming.keys import make_client_keys, make_server_keys, read_server_keys
from streaming.sinks import Publisher, ZmqPublisher
from tests.integration.conftest import attune


@pytest.fixture
def beating(tmp_path) -> Iterator[str]:
    """A publisher with keys, beating ten times a second; its address."""
    make_server_keys(tmp_path / "server")
    make_client_keys(tmp_path / "server", tmp_path / "friend", "friend")
    make_server_keys(tmp_path / "other")
    make_client_keys(tmp_path / "other", tmp_path / "stranger", "stranger")
    sink = ZmqPublisher("tcp://127.0.0.1:*", read_server_keys(tmp_path / "server"))
    publisher, stop, clock = Publisher([sink], heartbeat_ms=100), threading.Event(), SystemClock()
    publisher.publish(Health(stream="cam", kind=HealthKind.GAP, t_ns=0))

    def beat() -> None:
        while clock.wait_until(clock.now_ns() + 20 * NS_PER_MS, stop):
            publisher.beat(clock.now_ns())

    thread = threading.Thread(target=beat)
    thread.start()
    yield sink.address
    stop.set()
    thread.join()
    publisher.close()


def test_a_publisher_that_beats_is_alive_for_those_whom_it_lets_in(beating, tmp_path, capsys):
    ping(beating, within_s=20, keys=tmp_path / "friend")
    assert capsys.readouterr().out == f"{beating}: alive; streams heard of: 1\n"
    for keys in (tmp_path / "stranger", None):
        with pytest.raises(SourceError, match=r"expected a heartbeat within 0\.5 s, none came"):
            ping(beating, within_s=0.5, keys=keys)


def test_where_nobody_publishes_the_exit_code_is_1_and_the_reason_one_line():
    with socket.socket() as taken:  # bound, but not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        done = attune("ping", f"tcp://127.0.0.1:{taken.getsockname()[1]}", "--within", "0.3")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "expected a heartbeat within 0.3 s" in done.stderr
