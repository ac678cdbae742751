"""`attune forward`: several publishers published at one address, by one light process.

A thread listens to each upstream, so that one which is slow, or whose holes are being mended,
delays no other; what they hear goes one by one, under a lock, through `attune.forwarding`. Neither
Ray nor any model is loaded. On Ctrl-C or SIGTERM what has come is still published.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

from actors.sinks import BYTES_PER_MB, open_sinks
from attune import config as configuration
from attune.client import POLL_MS, Subscription
from attune.forward_places import Places, read_places, write_places
from attune.forwarding import Forwarder, Place
from attune.run import Signals
from streaming.clock import NS_PER_MS, NS_PER_S, Clock, SystemClock
from streaming.errors import SinkError, UsageError, on_one_line
from streaming.forward_settings import ForwardSettings, UpstreamSettings
from streaming.settings import AttuneSettings
from streaming.sinks import MetricsSink, Publisher
from streaming.sinks.forward_metrics import ForwardMetrics

TICK_NS = 50 * NS_PER_MS
WAITING = 1000  # messages of one upstream that are kept while it is busy being mended
DRAIN_S = 2.0


def from_arguments(
    given: list[str], *, publish: str | None, keys: Path | None, assignments: list[str]
) -> ForwardSettings:
    """The settings: of a YAML file, or of upstreams as `[NAME=]ADDRESS`."""
    files = [text for text in given if text.endswith((".yaml", ".yml"))]
    if files and (len(given) > 1 or keys is not None):
        raise UsageError(
            f"{files[0]}: expected either a configuration alone or addresses of publishers;"
            " upstreams and their keys stand in the configuration"
        )
    tree: dict[str, Any] = configuration.load(Path(files[0])) if files else {}
    if not files:
        tree["upstreams"] = [_upstream(text, keys) for text in given]
    if publish is not None:
        configuration.assign(tree, f"output.publish={publish}")
    for assignment in assignments:
        configuration.assign(tree, assignment)
    settings = configuration.convert(tree, ForwardSettings, files[0] if files else "settings")
    _require_distinct(settings)
    return settings


def run_forward(settings: ForwardSettings, clock: Clock | None = None) -> int:
    """Forward until Ctrl-C or SIGTERM; the exit code."""
    clock = clock or SystemClock()
    signals = Signals()
    signals.take()
    places = _remembered(settings)
    subscriptions = [_subscribed(one, places) for one in settings.upstreams]
    sinks = open_sinks(AttuneSettings(output=settings.output, metrics=settings.metrics))
    publisher = Publisher(sinks, heartbeat_ms=settings.output.heartbeat_ms)
    forwarder = Forwarder(settings, publisher, clock.now_ns(), places=places, say=_say)
    for sink in sinks:
        if isinstance(sink, MetricsSink):
            sink.metrics.registry.register(ForwardMetrics(forwarder.figures))
    labels = ", ".join(one.label for one in settings.upstreams)
    _say(f"forwarding at {settings.output.publish}: {labels}")
    failures = _Joint(forwarder, clock, settings.output.journal).run(subscriptions, signals.stop)
    return 1 if failures else signals.exit_code


class _Joint:
    """The threads: one for each upstream, and the caller's, which minds the time."""

    def __init__(self, forwarder: Forwarder, clock: Clock, journal: str) -> None:
        self._forwarder, self._clock, self._journal = forwarder, clock, journal
        self._lock = threading.Lock()
        self._closed = False
        self._failures: list[str] = []
        self._written: Places = {}
        self._next_write_ns = 0

    def run(self, subscriptions: list[Subscription], stop: threading.Event) -> list[str]:
        """Forward until `stop`, then drain and close; what went wrong."""
        threads = [
            threading.Thread(target=self._listen, args=(index, one, stop), daemon=True)
            for index, one in enumerate(subscriptions)
        ]
        for thread in threads:
            thread.start()
        while self._clock.wait_until(self._clock.now_ns() + TICK_NS, stop):
            with self._lock:
                self._forwarder.tick(self._clock.now_ns())
            self._write_places()
        until_s = time.monotonic() + DRAIN_S
        for thread in threads:
            thread.join(max(until_s - time.monotonic(), 0))
        with self._lock:
            self._closed = True
            self._forwarder.close()
        self._next_write_ns = 0
        self._write_places()
        return [*self._failures, *self._forwarder.failures]

    def _listen(self, index: int, subscription: Subscription, stop: threading.Event) -> None:
        try:
            with subscription:
                while self._read(index, subscription, stop) or not stop.is_set():
                    pass
        except Exception as error:  # the others must not go on as if nothing had happened
            self._failures.append(f"upstream {index}: {type(error).__name__}: {error}")
            _say(self._failures[-1])
            stop.set()

    def _read(self, index: int, subscription: Subscription, stop: threading.Event) -> bool:
        """Whether there was anything to forward, and still time for it."""
        found = False
        for item in subscription.read(0 if stop.is_set() else POLL_MS):
            with self._lock:
                if self._closed:
                    return False
                self._forwarder.take(index, item, self._clock.now_ns())
            found = True
        return found

    def _write_places(self) -> None:
        now_ns = self._clock.now_ns()
        if not self._journal or now_ns < self._next_write_ns:
            return
        self._next_write_ns = now_ns + NS_PER_S
        with self._lock:
            places = self._forwarder.places()
        if places == self._written:
            return
        try:
            write_places(self._journal, places)
            self._written = places
        except SinkError as error:
            _say(str(error))


def _remembered(settings: ForwardSettings) -> Places:
    output = settings.output
    if not output.journal:
        return {}
    span_ns, max_bytes = round(output.replay_s * NS_PER_S), round(output.replay_mb * BYTES_PER_MB)
    return read_places(output.journal, span_ns=span_ns, max_bytes=max_bytes)


def _subscribed(upstream: UpstreamSettings, places: Places) -> Subscription:
    place = places.get(upstream.label)
    return Subscription(
        upstream.address,
        latest=True,
        keys=upstream.keys or None,
        since=(place or Place()).standing,
        waiting=WAITING,
    )


def _upstream(text: str, keys: Path | None) -> dict[str, str]:
    name, found, address = text.partition("=")
    named = bool(found) and "://" not in name
    upstream = {"address": address if named else text, "name": name if named else ""}
    return upstream | ({"keys": str(keys)} if keys is not None else {})


def _require_distinct(settings: ForwardSettings) -> None:
    if not settings.output.publish:
        raise UsageError("nowhere to publish: give --publish ADDRESS (output.publish)")
    for what in ("address", "name"):
        found = [value for one in settings.upstreams if (value := getattr(one, what))]
        twice = {value for value in found if found.count(value) > 1}
        if twice:
            raise UsageError(f"two upstreams have the {what} {twice.pop()!r}; each needs its own")
    if settings.output.publish in {one.address for one in settings.upstreams}:
        raise UsageError(
            f"{settings.output.publish} is an upstream and the address to publish on:"
            " choose another one for --publish"
        )


def _say(line: str) -> None:
    line = f"attune forward: {on_one_line(line)}"
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - its voice
