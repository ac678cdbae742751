"""Memory that is free goes back to the system, also from between what is still needed."""

from __future__ import annotations

from pathlib import Path

from actors.memory import give_back

PAGE = 4096


def anonymous_mb() -> float:
    """Memory of this process that no file backs."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1e3


def test_what_lies_between_is_given_back() -> None:
    #  |kept|  freed  |kept|  freed  |kept| ... |kept|      the last one holds the heap's top
    blocks = [bytes(PAGE) for _ in range(20_000)]  # 80 MB, of malloc: small objects are below 512
    kept = blocks[::50] + blocks[-1:]
    del blocks
    before = anonymous_mb()

    give_back()

    assert anonymous_mb() < before - 60
    assert len(kept) == 401
