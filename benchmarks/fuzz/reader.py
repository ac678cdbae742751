"""What is fuzzed: one reader, by what it takes and what good input looks like.

Invariant of every reader: whatever the bytes, it gives a value or raises one of Attune's own
errors, whose message is one line.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from streaming.errors import AttuneError

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # where files of one input lie
Form = Literal["bytes", "json", "msgpack"]

# What breaks careless readers: depth, size, numbers beyond 64 bits, halves of characters.
HARD = (
    b"",
    b"\x00",
    b"[" * 3000,
    b'{"a":' * 2000,
    b"9" * 5000,
    b'{"id": 99999999999999999999999999}',
    b'{"text": "\\ud800"}',
    b"\xff\xfe\x00",
    b"\xc3\x28",
)


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="attune-fuzz-", dir=MEMORY)


def folder() -> Path:
    """Where files of this process lie; it goes with it."""
    return Path(_kept().name)


@dataclass(frozen=True)
class Reader:
    """`take` reads one input; `seeds`: good inputs; `form`: how they are mutated, beside bytewise;
    `words`: what may stand in them."""

    name: str
    take: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    form: Form = "bytes"
    words: tuple[str, ...] = ()


def read(reader: Reader, data: bytes) -> None:
    """Have one input read. What escapes from here is a finding."""
    try:
        reader.take(data)
    except AttuneError as error:
        message = str(error)
        if "\n" in message or not message:
            raise AssertionError(f"the message of an error is not one line: {message!r}") from error
