"""JSON lines: every message on one line of a file, with the bytes that go over the wire.

Invariant: a line is written whole by one call and is in the hands of the operating system before
`send` returns. When the disk fills, the torn part of the last line is cut off again, so the lines
before it stay whole. Heartbeats are left out: they tell the time, not what happened.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

from streaming.errors import SinkError
from streaming.sinks.base import require_open
from streaming.wire import json_line

_ADVICE = {
    errno.ENOENT: "the folder does not exist: create it, or give another path",
    errno.ENOTDIR: "a part of the path is not a folder: give another path",
    errno.EISDIR: "this is a folder: give the path of a file",
    errno.EACCES: "no permission to write here: give another path",
    errno.EPERM: "no permission to write here: give another path",
    errno.EROFS: "the disk is read-only: give another path",
    errno.ENOSPC: "the disk is full: free some space or give another path",
    errno.EDQUOT: "the disk quota is used up: free some space or give another path",
    errno.EFBIG: "the file may not grow any further: give another path",
    errno.EPIPE: "the reader has closed the pipe",
}
_TO_TERMINAL = "-"


class JsonlSink:
    """Writes to `path`, in place of what is there or (`append`) after it; `-`: standard output."""

    live = False

    def __init__(self, path: str, *, append: bool = False) -> None:
        self._name = "standard output" if path == _TO_TERMINAL else path
        self._owned = path != _TO_TERMINAL
        self._closed = False
        self._fd = self._open(path, os.O_APPEND if append else os.O_TRUNC)

    def send(self, topic: bytes, payload: bytes) -> None:
        """Write one line."""
        require_open(self._closed, self._name)
        self._write(json_line(topic, payload))

    def flush(self) -> None:
        """Nothing waits: each line is written at once."""

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._closed:
            return
        self._closed = True
        if self._owned:
            try:
                os.close(self._fd)
            except OSError as error:
                raise self._error(error) from error

    def _open(self, path: str, mode: int) -> int:
        if not self._owned:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            return 1
        try:
            return os.open(Path(path), os.O_WRONLY | os.O_CREAT | mode | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._error(error) from error

    def _write(self, line: bytes) -> None:
        done = 0
        try:
            while done < len(line):
                done += os.write(self._fd, line[done:])
        except OSError as error:
            self._cut_off(done)
            raise self._error(error) from error

    def _cut_off(self, torn_bytes: int) -> None:
        if torn_bytes and self._owned:
            with suppress(OSError):
                end = os.lseek(self._fd, 0, os.SEEK_CUR)
                os.ftruncate(self._fd, end - torn_bytes)
                os.lseek(self._fd, end - torn_bytes, os.SEEK_SET)

    def _error(self, error: OSError) -> SinkError:
        advice = _ADVICE.get(error.errno or 0, f"{error.strerror}: give another path")
        return SinkError(f"cannot write results to {self._name}: {advice}")
