"""`attune watch`: a running publisher seen from outside, as a live view or as JSON lines.

Invariants: on standard output there is nothing but the view or the publisher's own bytes, each line
whole; everything said about them (waiting, holes, garbled messages) goes to standard error. It ends
without a traceback on Ctrl-C, on SIGTERM, when the pipe it writes to closes, and when asked to.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from rich.console import Console
from rich.live import Live

from attune.client import Delivery, Garbled, Item, Subscription
from attune.view import LiveView
from streaming.health import Health, HealthKind
from streaming.holes import Hole, LostEnd, NewEpoch
from streaming.open_events import PUBLISHER_LOST
from streaming.results import Event, Heartbeat
from streaming.wire import json_line

WAIT_NOTICE_S = 2.0
REFRESH_HZ = 8


class Watcher(Protocol):
    """Where items go."""

    def show(self, item: Item) -> None:
        """Take one thing that came."""
        ...

    def say(self, notice: str) -> None:
        """Tell the user about the connection."""
        ...

    def tick(self) -> None:
        """Called several times a second."""
        ...


def watch(
    address: str,
    stream: str | None = None,
    *,
    as_json: bool = False,
    until_ended: bool = False,
    count: int | None = None,
    keys: Path | None = None,
    console: Console | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Watch until told to stop; returns the exit code.

    `count`: end after so many data messages (None: no limit). `until_ended`: end once every stream
    that was seen has ended.
    """
    stop = stop or threading.Event()
    streams = None if stream is None else [stream]
    with (
        Subscription(address, streams, latest=not as_json, keys=keys) as subscription,
        _signals_set(stop),
    ):
        try:
            with _watcher(address, as_json, console, stop) as watcher:
                _pump(subscription, address, watcher, _Goal(until_ended, count), stop)
        except BrokenPipeError:
            _forget_stdout()
    return 0


def _pump(
    subscription: Subscription, address: str, watcher: Watcher, goal: _Goal, stop: threading.Event
) -> None:
    """Hand on what comes until `stop` or `goal`; say so when nothing comes."""
    quiet_since, waiting = time.monotonic(), False
    while not stop.is_set() and not goal.reached:
        watcher.tick()
        items = subscription.receive()
        for item in items:
            watcher.show(item)
            goal.take(item)
        if items:
            quiet_since = time.monotonic()
            if waiting:
                watcher.say("")
                waiting = False
        elif not waiting and time.monotonic() - quiet_since > WAIT_NOTICE_S:
            watcher.say(f"waiting for a publisher at {address}")
            waiting = True


class _Goal:
    """Knows when enough was seen."""

    def __init__(self, until_ended: bool, count: int | None) -> None:
        self._until_ended, self._left = until_ended, count or 0
        self._counting = count is not None
        self._running: set[str] = set()
        self._ended: set[str] = set()

    @property
    def reached(self) -> bool:
        """Whether to stop."""
        done = self._until_ended and bool(self._ended) and not self._running
        return done or (self._counting and self._left <= 0)

    def take(self, item: Item) -> None:
        """Count one item."""
        if not isinstance(item, Delivery) or isinstance(item.message, Heartbeat):
            return
        self._left -= 1
        message = item.message
        if isinstance(message, Event) and message.evidence.get("ended_by") == PUBLISHER_LOST:
            return  # of a stream that may never be heard of again
        if isinstance(message, Health) and message.kind is HealthKind.STREAM_ENDED:
            self._running.discard(message.stream)
            self._ended.add(message.stream)
        else:
            self._ended.discard(message.stream)
            self._running.add(message.stream)


class JsonLines:
    """Data messages to `out`, byte for byte; everything else to standard error."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def show(self, item: Item) -> None:
        """Write one line, or one notice."""
        if isinstance(item, Delivery):
            if not isinstance(item.message, Heartbeat):
                self._out.write(json_line(item.topic, item.payload))
                self._out.flush()
        else:
            self.say(_notice(item))

    def tick(self) -> None:
        """Lines are out already."""

    def say(self, notice: str) -> None:
        """On standard error."""
        _aside(notice)


class OnScreen:
    """The live view, redrawn from here and not from a thread."""

    def __init__(self, view: LiveView, live: Live) -> None:
        self._view, self._live = view, live
        self._aside = not live.console.is_terminal
        self._drawn_s = 0.0

    def show(self, item: Item) -> None:
        """Feed the view."""
        if isinstance(item, Delivery):
            self._view.feed(item.message)
        elif isinstance(item, Hole | LostEnd | NewEpoch):
            self._view.feed(item)
        else:
            self._view.status = _notice(item)

    def say(self, notice: str) -> None:
        """In the last line; on standard error when nobody looks at a terminal."""
        self._view.status = notice
        if self._aside:
            _aside(notice)

    def tick(self) -> None:
        """Redraw, if the last time is long enough ago."""
        now_s = time.monotonic()
        if now_s - self._drawn_s >= 1 / REFRESH_HZ:
            self._drawn_s = now_s
            self._live.update(self._view.render(), refresh=True)


@contextmanager
def _watcher(
    address: str, as_json: bool, console: Console | None, stop: threading.Event
) -> Iterator[Watcher]:
    if as_json:
        with _pipe_watched(sys.stdout.fileno(), stop):
            yield JsonLines(sys.stdout.buffer)
        return
    view = LiveView(address)
    console = console or Console()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        yield OnScreen(view, live)
        live.update(view.render())


@contextmanager
def _pipe_watched(fd: int, stop: threading.Event) -> Iterator[None]:
    """Set `stop` when the reader of `fd` goes away, even while there is nothing to write."""
    done = threading.Event()

    def look() -> None:
        poll = select.poll()
        poll.register(fd, 0)  # hang-up and error are always reported
        while not done.is_set():
            if any(state & (select.POLLERR | select.POLLNVAL) for _, state in poll.poll(200)):
                stop.set()
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set `stop`; outside the main thread signals are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _notice(item: Hole | LostEnd | NewEpoch | Garbled) -> str:
    if isinstance(item, Hole):
        span = str(item.first) if item.count == 1 else f"{item.first} to {item.last}"
        return f"stream {item.stream}: {item.count} missing (seq {span})"
    if isinstance(item, LostEnd):
        return f"{_whose(item)}: not known what came from seq {item.first} on (epoch {item.epoch})"
    if isinstance(item, NewEpoch):
        return f"the publisher was started anew (epoch {item.epoch})"
    return item.reason


def _whose(end: LostEnd) -> str:
    return f"stream {end.stream}" if end.stream else "all other streams"


def _aside(notice: str) -> None:
    if notice:
        print(f"attune watch: {notice}", file=sys.stderr, flush=True)  # noqa: T201 - its voice


def _forget_stdout() -> None:
    """Keep the interpreter from flushing into the closed pipe at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
