"""A sink that keeps everything: for tests, and for programs that embed Attune."""

from __future__ import annotations

from streaming.results import Message
from streaming.sinks.base import require_open
from streaming.wire import decode


class MemorySink:
    """`sent`: every `(topic, payload)` in order."""

    def __init__(self, *, live: bool = True) -> None:
        self.live = live
        self.sent: list[tuple[bytes, bytes]] = []
        self.closed = False

    def send(self, topic: bytes, payload: bytes) -> None:
        """Keep one message."""
        require_open(self.closed, "the memory sink")
        self.sent.append((topic, payload))

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Take no more."""
        self.closed = True

    def messages(self) -> list[Message]:
        """What was sent, decoded."""
        return [decode(topic, payload) for topic, payload in self.sent]
