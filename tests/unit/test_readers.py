"""The short form of `make fuzz`: every reader, with good input and the same broken at random."""

from __future__ import annotations

import random
import time

import pytest

from benchmarks.fuzz import file_readers, text_readers, wire_readers
from benchmarks.fuzz.mutate import bytewise, mutated
from benchmarks.fuzz.reader import HARD, Reader, read

READERS = [
    reader for m in (wire_readers, text_readers, file_readers) for reader in m.READERS.values()
]
TRIES = 150
HANG_S = 5.0  # leaves room for a busy machine


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_whatever_comes_is_read_or_refused_in_one_line(reader: Reader) -> None:
    rng = random.Random(reader.name)
    seeds = list(reader.seeds())
    change = bytewise(rng)
    broken = [mutated(rng.choice(seeds), reader.form, n, change) for n in range(TRIES)]
    read(reader, seeds[0])  # compiles what it needs, in a fresh checkout
    for data in (*seeds, *HARD, *broken):
        began_s = time.monotonic()
        read(reader, data)
        assert time.monotonic() - began_s < HANG_S, data[:200]


def test_good_input_is_mutated_into_much_that_is_still_a_tree() -> None:
    rng = random.Random(1)
    seed = b'{"type": "replay", "stream": "cam", "epoch": 7, "first": [1, 2.5, {"a": null}]}'
    found = {mutated(seed, "json", number, bytewise(rng)) for number in range(200)}
    assert len(found) > 120
    assert sum(data.startswith(b'{"') and data.endswith(b"}") for data in found) > 80
