"""A reader that breaks in three ways, to see that the fuzzer finds them."""

from __future__ import annotations

import time

from benchmarks.fuzz.reader import Reader
from streaming.errors import WireError


def _take(data: bytes) -> None:
    if data[:2] == b"na":
        raise KeyError("a finding")
    if data[:2] == b"ok":
        raise WireError("not a finding: as every reader may")


def _hang(data: bytes) -> None:
    while data[:2] == b"na":
        time.sleep(0.1)


def _grow(data: bytes) -> None:
    if data[:2] == b"na":
        held = [bytearray(1 << 20) for _ in range(2000)]
        time.sleep(3)
        assert held


READERS = {
    reader.name: reader
    for reader in (
        Reader("raises", _take, lambda: [b"nb"]),
        Reader("hangs", _hang, lambda: [b"nb"]),
        Reader("grows", _grow, lambda: [b"nb"]),
        Reader("sound", lambda data: _take(data.replace(b"na", b"ok")), lambda: [b"nb", b"ok"]),
    )
}
