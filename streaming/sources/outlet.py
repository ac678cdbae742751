"""What leaves a live source that begins again and again: one row of packets for each modality.

Invariant: numbers rise by one, times never fall below what was given or promised before, and
what would break this is counted. What is older than the source itself is nobody's loss.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, Progress
from streaming.sources.base import Item


class Outlet:
    """Begins at `start_ns` of session time."""

    def __init__(self, stream: str, modalities: Iterable[Modality], start_ns: int) -> None:
        self._stream, self._start_ns = stream, start_ns
        self._floor_ns = dict.fromkeys(modalities, start_ns)
        self._seq = dict.fromkeys(self._floor_ns, 0)
        self._older = dict.fromkeys(self._floor_ns, 0)

    def put(self, item: Item) -> list[Item]:
        """`item` as it may leave, after news of those before it that may not."""
        if isinstance(item, Progress):
            return self.promise(item.modality, item.t_ns)
        if not isinstance(item, Packet):
            return [msgspec.structs.replace(item, t_ns=max(item.t_ns, self._start_ns))]
        floor_ns = self._floor_ns[item.modality]
        if item.t_ns < floor_ns:
            self._older[item.modality] += item.t_ns >= self._start_ns
            return []
        self._floor_ns[item.modality] = item.t_ns
        seq, self._seq[item.modality] = self._seq[item.modality], self._seq[item.modality] + 1
        return [*self._told(item.modality), msgspec.structs.replace(item, seq=seq)]

    def promise(self, modality: Modality, t_ns: int) -> list[Item]:
        """That nothing older than `t_ns` comes any more."""
        self._floor_ns[modality] = max(t_ns, self._floor_ns[modality])
        return [Progress(stream=self._stream, modality=modality, t_ns=self._floor_ns[modality])]

    def end(self) -> list[Item]:
        """The end of all modalities."""
        return [
            item
            for modality, t_ns in self._floor_ns.items()
            for item in (
                *self._told(modality),
                Progress(stream=self._stream, modality=modality, t_ns=t_ns, ended=True),
            )
        ]

    def _told(self, modality: Modality) -> list[Item]:
        count, self._older[modality] = self._older[modality], 0
        if not count:
            return []
        return [
            Health(
                stream=self._stream,
                kind=HealthKind.DROP,
                modality=modality,
                t_ns=self._floor_ns[modality],
                count=count,
                detail="older than what was already given or promised",
            )
        ]
