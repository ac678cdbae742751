"""What Python's own logging says in the processes of a run, for the log of the run.

Records of level warning and above, each as one line: no traceback, no secrets of addresses, and of
an argument that holds a picture, sound or bytes only its type. Invariant: logging never waits, and
what does not fit is counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

import msgspec
import numpy as np

from streaming.redact import redacted

MOST = 100  # that wait
LONGEST = 500  # characters


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One record. `unix_s`: when. `level`: as `logging` names it, in small letters."""

    unix_s: float
    level: str
    logger: str
    message: str


class RecordKeeper(logging.Handler):
    """Keeps what is said until it is taken."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: deque[Said] = deque()
        self._missed = 0
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, if there is room."""
        said = said_of(record)
        with self._guard:
            if len(self._said) < MOST:
                self._said.append(said)
            else:
                self._missed += 1

    def take(self) -> tuple[Said, ...]:
        """All that was said since the last time; the last tells of what was missed."""
        with self._guard:
            taken, missed = tuple(self._said), self._missed
            self._said.clear()
            self._missed = 0
        if not missed:
            return taken
        last = msgspec.structs.replace(taken[-1], message=f"{missed} more records were left out")
        return (*taken, last)


def said_of(record: logging.LogRecord) -> Said:
    """`record` as it may be told."""
    args = record.args
    if isinstance(args, tuple):
        args = tuple(_plain(value) for value in args)
    try:
        text = str(record.msg) % args if args else str(_plain(record.msg))
    except (TypeError, ValueError):
        text = str(record.msg)
    if record.exc_info and record.exc_info[0] is not None:
        text = f"{text}: {record.exc_info[0].__name__}: {record.exc_info[1]}"
    words = (redacted(word) for word in text.split())
    return Said(
        unix_s=record.created,
        level=record.levelname.lower(),
        logger=record.name,
        message=" ".join(words)[:LONGEST],
    )


@contextmanager
def listening(handler: logging.Handler) -> Iterator[None]:
    """Have `handler` hear everything in this process while the block runs."""
    listen(handler)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)


def listen(handler: logging.Handler) -> None:
    """Have `handler` hear everything in this process from now on, Python's warnings included."""
    logging.captureWarnings(True)
    logging.getLogger().addHandler(handler)


def _plain(value: object) -> object:
    """A value that holds nothing of a person."""
    if value is None or isinstance(value, str | int | float | PurePath):
        return value
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, np.ndarray):
        return f"<array {value.shape}>"
    return f"<{type(value).__name__}>"
