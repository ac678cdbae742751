"""A session written as MCAP (mcap.dev): what went into the aligner, when, and what came out.

Topics: `opened/<stream>` and `packets/<stream>` (msgpack) and `tick` in the order in which the
aligner met them; then the messages of the wire under their own topics (JSON). `log_time` is the
session clock. Invariant: a disk that fails ends the recording and says so, never the run.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from mcap.writer import Writer

from streaming.clock import NS_PER_S
from streaming.errors import SinkError, UsageError
from streaming.health import SCHEMA
from streaming.sinks.base import require_open
from streaming.wire import message_schema

ABOUT = "attune"  # name of the metadata record
OPENED, PACKETS, TICK = "opened", "packets", "tick"
FLUSH_NS = NS_PER_S  # what a crash may cost


class RecordingWriter:
    """One recording, readable by its owner only. `about`: what is to be known before replaying."""

    live = False

    def __init__(self, path: Path, about: dict[str, str]) -> None:
        self._path = path
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise UsageError(f"recording {path} is there already; give another name") from None
        except OSError as error:
            raise SinkError(f"recording {path} cannot be written: {error.strerror}") from None
        self._file = os.fdopen(handle, "wb")
        self._writer = Writer(self._file, chunk_size=1 << 18)
        self._channels: dict[str, int] = {}
        self._now_ns = self._flushed_ns = 0
        self._failure = ""
        self._closed = False
        self._writer.start(profile="attune", library="attune")
        self._schema = self._writer.register_schema(
            SCHEMA, "jsonschema", json.dumps(message_schema()).encode()
        )
        self._writer.add_metadata(ABOUT, about)

    def admit(self, topic: str, data: bytes, now_ns: int) -> None:
        """Keep what the aligner is given at session time `now_ns`; nothing once it has failed."""
        if self._failure or self._closed:
            return
        self._now_ns = now_ns
        self._add(topic, "msgpack", 0, data)
        if now_ns - self._flushed_ns >= FLUSH_NS:
            self._flushed_ns = now_ns
            self._flush_quietly()

    def send(self, topic: bytes, payload: bytes) -> None:
        """Keep one message of the wire."""
        require_open(self._closed, f"recording {self._path}")
        if self._failure:
            raise SinkError(self._failure)
        self._add(topic.decode(), "json", self._schema, payload)

    def flush(self) -> None:
        """Have what was taken on the disk's way, so that a crash does not cost it."""
        try:
            self._writer.flush()
            self._file.flush()
        except OSError as error:
            raise SinkError(self._complaint(error)) from None

    def close(self) -> None:
        """Write the index and close; a recording without one can still be replayed."""
        if self._closed:
            return
        self._closed = True
        try:
            self._writer.finish()
            self._file.close()
        except OSError as error:
            with suppress(OSError):
                self._file.close()
            raise SinkError(self._complaint(error)) from None

    def _add(self, topic: str, encoding: str, schema: int, data: bytes) -> None:
        channel = self._channels.get(topic)
        try:
            if channel is None:
                channel = self._writer.register_channel(topic, encoding, schema)
                self._channels[topic] = channel
            self._writer.add_message(channel, self._now_ns, data, self._now_ns)
        except OSError as error:
            self._failure = self._complaint(error)

    def _flush_quietly(self) -> None:
        """A failure is told at the next message, where the publisher hears it."""
        try:
            self.flush()
        except SinkError as error:
            self._failure = str(error)

    def _complaint(self, error: OSError) -> str:
        return f"recording {self._path} ends here: {error.strerror or error}"
