"""Tracks as frames: each with the span of time it speaks for.

Invariant: frames come out in time order, and none twice. A track that begins before the last one
ended (a window revised, or sent again) gives only what is new.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class FrameReader(Generic[V]):
    """Lays the tracks of one kind end to end."""

    def __init__(self) -> None:
        self.until_ns = 0

    def read(
        self, start_ns: int, step_ns: int, values: tuple[V, ...]
    ) -> Iterator[tuple[int, int, V]]:
        """The frames `(start_ns, end_ns, value)` of one track that were not read before."""
        for i, value in enumerate(values):
            at_ns = start_ns + i * step_ns
            if at_ns >= self.until_ns:
                self.until_ns = at_ns + step_ns
                yield at_ns, self.until_ns, value
