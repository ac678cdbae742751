"""A source that says what it is told: for tests, and for programs that make their own packets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streaming.packets import Modality
from streaming.sources.base import Item


class ScriptedSource:
    """Yields `script` in its order; an exception in it is raised in its place."""

    def __init__(
        self,
        modalities: tuple[Modality, ...],
        script: Sequence[Item | Exception],
        *,
        live: bool = False,
        ordered: bool = True,
    ) -> None:
        self.modalities = modalities
        self.live = live
        self.ordered = ordered
        self.closed = False
        self._script = script

    def items(self) -> Iterator[Item]:
        """The script, until closed."""
        for item in self._script:
            if self.closed:
                return
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        """End the iteration."""
        self.closed = True
