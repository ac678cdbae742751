"""Readers of words: lines that come in, captions and JSON lines of a file, messages of programs."""

from __future__ import annotations

import os
from collections.abc import Iterable

from benchmarks.fuzz.reader import Reader, folder
from streaming.clock import NS_PER_S, HandClock
from streaming.errors import PortLostError
from streaming.packets import Packet, Progress
from streaming.source_settings import TextSettings
from streaming.sources.base import Item
from streaming.sources.scripted_devices import ScriptedWords
from streaming.sources.text import TextSource
from streaming.sources.text_feed import TextFeed
from streaming.sources.text_port import Arrival

YEAR_NS = 366 * 86_400 * NS_PER_S
SRT = (
    b"1\n00:00:01,000 --> 00:00:02,500\nEve: I am <b>here</b>\n\n"
    b"2\n00:00:03,000 --> 00:00:04,000\nyes\n"
)
VTT = (
    b"WEBVTT\n\n00:01.000 --> 00:02.500 line:0\n<v Eve>I am here\n\nNOTE no cue\n\n"
    b"1:00:03.000 --> 1:00:04.000\nyes &amp; no\n"
)
JSONL = (
    b'{"text": "here", "t": 1.5, "duration": 2, "speaker": "Eve", "is_final": false}\n'
    b'{"text": "there", "t_ms": 1500, "end": 2.5, "language": "en"}\n{"text": "x", "t_ns": 1}\n'
)
MESSAGES = (
    b'{"text": "I am here", "speaker": "Eve", "language": "en", "is_final": true,'
    b' "start": "2026-05-03T10:00:00.250+02:00", "end": "2026-05-03T10:00:01+02:00"}',
    b'{"text": "here", "start_ns": 5000000000, "end_ns": 6000000000, "is_final": false}',
    b'{"text": "here"}',
)


def _require_sound(items: Iterable[Item]) -> None:
    """Every item has a time that can be, and the end comes last."""
    items = list(items)
    for item in items:
        if isinstance(item, Packet) and not 0 <= item.t_ns <= YEAR_NS:
            raise AssertionError(f"words at {item.t_ns}")
    if not (isinstance(items[-1], Progress) and items[-1].ended):
        raise AssertionError("the end does not come last")


def _lines(data: bytes) -> None:
    """As typed or piped."""
    fd = os.memfd_create("words")
    try:
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        _require_sound(TextSource(TextSettings(path="-"), stream="s", fd=fd).items())
    finally:
        os.close(fd)


def _captions(data: bytes) -> None:
    """As a file: its first byte chooses which kind."""
    suffix = (".srt", ".vtt", ".jsonl")[data[0] % 3 if data else 0]
    path = folder() / f"words{suffix}"
    path.write_bytes(data[1:])
    _require_sound(TextSource(TextSettings(path=str(path)), stream="s").items())


def _words(data: bytes) -> None:
    """As sent by a program, dated on arrival and by itself."""
    for late_ms in (0.0, 2000.0):
        clock = HandClock(10 * NS_PER_S)
        port = ScriptedWords(clock, [Arrival(data=data, arrival_ns=10 * NS_PER_S)])
        ports = iter([port])
        feed = TextFeed(
            TextSettings(path="zmq+pull://127.0.0.1:7200", late_ms=late_ms),
            stream="s",
            clock=clock,
            unix_ns=lambda: 1_777_795_200 * NS_PER_S,
            open_port=lambda ports=ports: next(ports, None) or _no_port(),  # type: ignore[misc]
        )
        items: list[Item] = []
        told = False
        for item in feed.items():
            items.append(item)
            told = told or not isinstance(item, Progress)
            if told or len(items) > 20:
                feed.close()
        _require_sound(items)
        if not told:
            raise AssertionError("a message is neither words nor told of")


def _no_port() -> ScriptedWords:
    raise PortLostError("the script is over")


MARKS = ("-->", "WEBVTT", "NOTE", "<v ", "text", "t_ns", "t_ms", "duration", "00:00:01", "start")
READERS = {
    reader.name: reader
    for reader in (
        Reader("lines", _lines, lambda: [b"hello\nworld\n", JSONL, b"{}\n"], words=MARKS),
        Reader("captions", _captions, lambda: [b"0" + SRT, b"1" + VTT, b"2" + JSONL], words=MARKS),
        Reader("words", _words, lambda: MESSAGES, "json", MARKS),
    )
}
