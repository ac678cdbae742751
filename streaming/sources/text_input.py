"""Bytes of text as they arrive: from standard input, or appended to a file by another program.

Invariant: `read` gives every byte once, in order; `close`, from any thread, ends a read that waits.
"""

from __future__ import annotations

import os
import selectors
import sys
import threading
from pathlib import Path
from typing import BinaryIO, Protocol

READ_BYTES = 65536
POLL_S = 0.1  # how often a followed file is looked at; a result comes every half second


class TextInput(Protocol):
    """Where bytes of text come from."""

    name: str

    def read(self) -> bytes | None:
        """What there is, waiting until there is some; b"" at the end, None when closed."""
        ...

    def close(self) -> None:
        """End a read that waits, and all later ones."""
        ...

    def release(self) -> None:
        """Let go of descriptors; the reader's last act."""
        ...

    def news(self) -> tuple[bool, str] | None:
        """Whether the input is there again, or gone, if that has changed since asked last."""
        ...


class StandardInput:
    """A descriptor, by default that of standard input."""

    name = "standard input"

    def __init__(self, fd: int | None = None) -> None:
        self._fd = sys.stdin.fileno() if fd is None else fd
        self._wake_read, self._wake_write = os.pipe()
        self._closed = self._released = False

    def read(self) -> bytes | None:
        """See `TextInput`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            try:
                selector.register(self._fd, selectors.EVENT_READ)
                selector.select()
            except PermissionError:  # a regular file: always ready, and epoll refuses it
                pass
        return None if self._closed else os.read(self._fd, READ_BYTES)

    def close(self) -> None:
        """See `TextInput`."""
        if not self._closed:
            self._closed = True  # before the wake-up: the reader asks for it as soon as it wakes
            if not self._released:
                os.write(self._wake_write, b"\0")

    def release(self) -> None:
        """See `TextInput`."""
        self._released = True
        os.close(self._wake_read)
        os.close(self._wake_write)

    def news(self) -> tuple[bool, str] | None:
        """A descriptor does not come and go."""
        return None


class GrowingFile:
    """What is appended to a file from now on, as `tail -F` has it.

    A file that appears later, or in the place of one that was renamed or removed, is read from its
    beginning; one that became shorter as well. Only what is overwritten in place is not seen.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        self._path = Path(path)
        self._file: BinaryIO | None = None
        self._offset = 0
        self._there: bool | None = None
        self._told: bool | None = None
        self._stop = threading.Event()
        if self._open():
            assert self._file is not None
            self._offset = self._file.seek(0, os.SEEK_END)

    def read(self) -> bytes | None:
        """See `TextInput`; a growing file has no end."""
        while not self._stop.is_set():
            data = self.poll()
            if data or self._there is not self._told:
                return data or b"\n"  # an empty line is nothing: it only lets news be asked for
            self._stop.wait(POLL_S)
        return None

    def poll(self) -> bytes:
        """What has been appended since; where another file begins, a line ends."""
        data = self._rest()
        if data:
            return data
        if self._file is not None and (not self._is_other() or (data := self._rest())):
            return data  # what was written before it was renamed comes first
        ended = b"\n" if self._file is not None else b""
        return ended + self._rest() if self._open() else ended

    def close(self) -> None:
        """See `TextInput`."""
        self._stop.set()

    def release(self) -> None:
        """See `TextInput`."""
        self._let_go()

    def news(self) -> tuple[bool, str] | None:
        """See `TextInput`."""
        before, self._told = self._told, self._there
        if self._there is None or before is self._there or (before is None and self._there):
            return None
        if self._there:
            return True, f"{self.name} is there again"
        return False, f"{self.name} is not there; waiting for it"

    def _rest(self) -> bytes:
        if self._file is None:
            return b""
        self._file.seek(self._offset)
        data = self._file.read(READ_BYTES)
        self._offset += len(data)
        return data

    def _is_other(self) -> bool:
        """Whether what has the name now is not the file that is open, or has lost its content."""
        assert self._file is not None
        own = os.fstat(self._file.fileno())
        if own.st_size < self._offset:
            return True
        try:
            named = self._path.stat()
        except OSError:
            return True
        return (named.st_dev, named.st_ino) != (own.st_dev, own.st_ino)

    def _open(self) -> bool:
        self._let_go()
        self._offset = 0
        try:
            self._file = self._path.open("rb")
        except OSError:
            self._file = None
        self._there = self._file is not None
        return self._there

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
