"""Addresses of words: what is taken, and what is refused before anything is opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streaming.errors import SourceError
from streaming.source_settings import TextSettings
from streaming.sources.text_address import Way, parse_address
from streaming.sources.text_feed import TextFeed


@pytest.mark.parametrize(
    ("path", "way", "endpoint", "topic"),
    [
        ("zmq+sub://localhost:7200", Way.SUB, "tcp://localhost:7200", ""),
        ("zmq+sub://[::1]:7200/chat/en", Way.SUB, "tcp://[::1]:7200", "chat/en"),
        ("zmq+pull+ipc:///run/a", Way.PULL, "ipc:///run/a", ""),
        ("ws://127.0.0.1:80/a?token=b", Way.WEBSOCKET, "ws://127.0.0.1:80/a?token=b", ""),
        ("wss://chat.example/room", Way.WEBSOCKET, "wss://chat.example/room", ""),
        ("ws+listen://[::1]:8765", Way.LISTEN, "ws+listen://[::1]:8765", ""),
    ],
)
def test_addresses_of_words(path, way, endpoint, topic):
    found = parse_address(TextSettings(path=path))
    assert (found.way, found.endpoint, found.topic) == (way, endpoint, topic)
    assert "token=b" not in found.name
    assert found.local is ("example" not in path)


@pytest.mark.parametrize(
    ("path", "keys", "reason"),
    [
        ("zmq+sub://10.0.0.7:7200", "", "Make keys with attune keys, set keys: DIR"),
        ("zmq+pull://0.0.0.0:7200", "", "without keys only addresses of this machine"),
        ("zmq+pull://127.0.0.1:7200/topic", "", "only zmq[+]sub has topics; leave out /topic"),
        ("zmq+push://127.0.0.1:7200", "", "unknown address of words; expected zmq[+]sub"),
        ("zmq+sub://127.0.0.1:99999", "", "unknown address of words"),
        ("zmq+sub://127.0.0.1", "", "unknown address of words"),
        ("http://a/b?token=secret", "", "unknown address of words"),
        ("ws://chat.example/?token=secret", "", "use wss://"),
        ("ws://[nonsense", "", "unknown address of words"),
        ("wss://chat.example", "keys/a", "a WebSocket is encrypted as wss://"),
        ("ws+listen://127.0.0.1:8765", "keys/a", "encrypted as wss[+]listen://"),
        ("ws+listen://0.0.0.0:8765", "", "token_file: FILE and certificate: FILE"),
        ("wss+listen://127.0.0.1:8765", "", "certificate: FILE, a PEM file"),
        ("ws+listen://127.0.0.1:8765/?token=secret", "", "unknown address of words"),
        ("ws+listen://127.0.0.1", "", "unknown address of words"),
    ],
)
def test_addresses_that_are_refused(path, keys, reason):
    opened: list[Callable[[], Any]] = []
    with pytest.raises(SourceError, match=reason) as error:
        TextFeed(TextSettings(path=path, keys=keys), stream="s", open_port=opened.append)
    assert "secret" not in str(error.value)
    assert opened == []


@pytest.mark.parametrize(
    ("path", "settings", "reason"),
    [
        ("ws+listen://0.0.0.0:8765", {"token_file": "a", "certificate": "b"}, "anybody could"),
        ("wss+listen://[::]:8765", {"certificate": "b"}, "anybody could"),
        ("ws+listen://[::1]:8765", {"certificate": "b"}, "belongs to wss[+]listen:// and only"),
        ("ws://127.0.0.1:8765", {"token_file": "a"}, "are for WebSockets served here"),
        ("zmq+pull://127.0.0.1:7200", {"origins": ("null",)}, "are for WebSockets served here"),
    ],
)
def test_what_guards_a_served_websocket_stands_where_it_works(path, settings, reason):
    with pytest.raises(SourceError, match=reason):
        parse_address(TextSettings(path=path, **settings))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"clock": "tcp://127.0.0.1:7201"}, "expected late_ms"),
        ({"clock": "10.0.0.7:7201", "late_ms": 1}, "expected tcp://HOST:PORT"),
        ({"clock": "tcp://127.0.0.1:0", "late_ms": 1}, "expected tcp://HOST:PORT"),
        ({"clock": "tcp://10.0.0.7:7201", "late_ms": 1}, "set clock_keys: DIR"),
        ({"clock_keys": "keys"}, "set clock: tcp://HOST:PORT"),
    ],
)
def test_a_clock_that_cannot_be_asked_is_refused_in_one_line(wrong, reason):
    with pytest.raises(SourceError, match=reason) as told_of:
        parse_address(TextSettings(path="zmq+pull://127.0.0.1:7200", **wrong))
    assert "\n" not in str(told_of.value)
