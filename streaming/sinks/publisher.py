"""The publisher: numbers each message, encodes it once, and gives the same bytes to every sink.

Invariant: a message has one number and one encoding, wherever it goes. A sink that fails does not
keep the message from the others: its error is raised once, after they have been served, and from
then on it is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from streaming.clock import NS_PER_MS
from streaming.errors import SinkError
from streaming.results import Event, Health, Result
from streaming.sinks.base import Sink
from streaming.sinks.replay import ReplayServer
from streaming.wire import Sequencer, encode


class Publisher:
    """One run of publishing. `unix_ns` is the wall clock; its first reading is the epoch."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        heartbeat_ms: float = 1000.0,
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._sinks = list(sinks)
        self._replay = next((sink for sink in sinks if isinstance(sink, ReplayServer)), None)
        self._unix_ns = unix_ns
        address = self._replay.address if self._replay is not None else ""
        self._sequencer = Sequencer(unix_ns(), address)
        self._every_ns = round(heartbeat_ms * NS_PER_MS)
        self._next_beat_ns: int | None = None
        self._closed = False

    @property
    def epoch(self) -> int:
        """When this run began, in unix nanoseconds."""
        return self._sequencer.epoch

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """The sinks that still take messages."""
        return tuple(self._sinks)

    def publish(self, message: Result | Event | Health) -> Result | Event | Health:
        """Number `message` and send it everywhere; returns it as it was sent."""
        stamped = self._sequencer.stamp(message, self._unix_ns())
        topic, payload = encode(stamped)
        self._each(self.sinks, lambda sink: sink.send(topic, payload))
        return stamped

    def beat(self, now_ns: int) -> bool:
        """Send a heartbeat to the live sinks if one is due at session time `now_ns`."""
        if self._next_beat_ns is not None and now_ns < self._next_beat_ns:
            return False
        self._next_beat_ns = now_ns + self._every_ns
        self._send_heartbeat()
        return True

    def news(self) -> list[tuple[bool, str]]:
        """Whether the journal works again or no longer does, and why; told once."""
        return self._replay.news() if self._replay is not None else []

    def left_open(self) -> tuple[Event, ...]:
        """The ends of events that earlier publishers left open, as far as a journal knows."""
        return self._replay.left_open if self._replay is not None else ()

    def flush(self) -> None:
        """Have every sink hand on what it took."""
        self._each(self.sinks, lambda sink: sink.flush())

    def close(self) -> None:
        """Tell the live sinks the last numbers, so that a hole at the end shows, and close all."""
        if self._closed:
            return
        self._closed = True
        everyone = self.sinks[::-1]  # the replay port last: the final heartbeat may show a hole
        try:
            self._send_heartbeat(final=True)
        finally:
            self._each(everyone, lambda sink: sink.close())

    def _send_heartbeat(self, *, final: bool = False) -> None:
        topic, payload = encode(self._sequencer.heartbeat(self._unix_ns(), final=final))
        live = [sink for sink in self._sinks if sink.live]
        self._each(live, lambda sink: sink.send(topic, payload))

    def _each(self, sinks: Sequence[Sink], act: Callable[[Sink], None]) -> None:
        """Do `act` to all of `sinks`, leave out those that fail, then raise the first error."""
        errors: list[SinkError] = []
        for sink in sinks:
            try:
                act(sink)
            except SinkError as error:
                errors.append(error)
                self._leave_out(sink)
        if errors:
            raise errors[0]

    def _leave_out(self, sink: Sink) -> None:
        if sink in self._sinks:
            self._sinks.remove(sink)
            with suppress(SinkError):
                sink.close()
