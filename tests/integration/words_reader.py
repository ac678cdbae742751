"""A source of words that is read by a thread of its own, as ingest does."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streaming.health import Health
from streaming.packets import Packet
from streaming.source_settings import TextSettings
from streaming.sources.base import Item
from streaming.sources.text_feed import TextFeed

WAIT_S = 20.0


class Reader:
    """Everything that comes, one after another."""

    def __init__(self, path: str, **settings: Any) -> None:
        self.feed = TextFeed(TextSettings(path=path, **settings), stream="s")
        self.came: queue.Queue[Item] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for item in self.feed.items():
            self.came.put(item)

    def next_item(self) -> Item:
        return self.came.get(timeout=WAIT_S)

    def rest(self) -> list[Item]:
        """What has come and was not taken."""
        return [self.came.get() for _ in range(self.came.qsize())]

    def next(self) -> str:
        """The next words, or what health says."""
        item = self.next_item()
        if isinstance(item, Packet):
            return item.payload.text
        return item.kind.value if isinstance(item, Health) else "ended"

    def close(self) -> None:
        self.feed.close()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


@contextmanager
def reading(path: str, **settings: Any) -> Iterator[Reader]:
    reader = Reader(path, **settings)
    try:
        yield reader
    finally:
        reader.close()


def words(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
