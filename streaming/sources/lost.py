"""A source that could not be opened again: it says so and ends, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from streaming.errors import SourceError
from streaming.modality import Modality
from streaming.sources.base import Item


class LostSource:
    """Stands for the sources of a stream that had `modalities`; `why` they cannot be opened."""

    live = False
    ordered = True

    def __init__(self, modalities: tuple[Modality, ...], why: str) -> None:
        self.modalities, self._why = modalities, why

    def items(self) -> Iterator[Item]:
        """Fails at once, as a source does that breaks."""
        raise SourceError(self._why)

    def close(self) -> None:
        """Nothing is open."""
