"""Packets gathered into one batch for each hop and modality.

Invariant: what goes in comes out once, in order; a batch's `progress_ns` never runs backwards.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streaming.health import Health
from streaming.packets import Modality, Packet, PacketBatch, Progress
from streaming.sources.base import Item


class HopBatcher:
    """Collects the items of one stream until `cut`."""

    def __init__(self, stream: str, modalities: Iterable[Modality]) -> None:
        self._stream = stream
        self._packets: dict[Modality, list[Packet]] = {m: [] for m in modalities}
        self._health: list[Health] = []
        self._ended: dict[Modality, int] = {}
        self._promised: dict[Modality, int] = {}
        self._open = set(self._packets)

    @property
    def finished(self) -> bool:
        """True once every modality has ended and its end was cut."""
        return not self._open

    def add(self, item: Item) -> None:
        """Take one item of the stream."""
        match item:
            case Packet():
                self._packets[item.modality].append(item)
            case Health():
                self._health.append(item)
            case Progress(ended=True):
                self._ended[item.modality] = item.t_ns
            case Progress():
                self._promise(item.modality, item.t_ns)

    def is_open(self, modality: Modality) -> bool:
        """Whether the end of `modality` is still to be cut."""
        return modality in self._open

    def end(self, modality: Modality, t_ns: int) -> None:
        """`modality` is over, unless it already was."""
        self._ended.setdefault(modality, t_ns)

    def promised_ns(self, modality: Modality) -> int:
        """Up to where its source has promised that nothing comes any more."""
        return self._promised.get(modality, 0)

    def cut_one(self, modality: Modality, progress_ns: int) -> PacketBatch:
        """The batch of one modality that is still open."""
        self._promise(modality, progress_ns)
        return self.cut_promised(modality)

    def cut_promised(self, modality: Modality) -> PacketBatch:
        """The same, promising what its source has promised."""
        return self._batch(modality, self.promised_ns(modality))

    def cut(self, progress_ns: int, unpromised: Iterable[Modality] = ()) -> list[PacketBatch]:
        """One batch for each modality still open, promising `progress_ns` where that is safe, and
        for the `unpromised` what their sources promise."""
        silent = set(unpromised)
        return [
            self._batch(modality, self.promised_ns(modality) if modality in silent else progress_ns)
            for modality in self._packets
            if modality in self._open
        ]

    def _promise(self, modality: Modality, t_ns: int) -> None:
        self._promised[modality] = max(t_ns, self.promised_ns(modality))

    def _batch(self, modality: Modality, progress_ns: int) -> PacketBatch:
        ended = modality in self._ended
        batch = PacketBatch.of(
            self._stream,
            modality,
            self._packets[modality],
            progress_ns=self._ended[modality] if ended else progress_ns,
            ended=ended,
            health=tuple(self._health),
        )
        self._packets[modality] = []
        self._health = []
        if ended:
            self._open.discard(modality)
        return batch


def shifted(item: Item, delta_ns: int) -> Item:
    """`item` on a time line whose zero lies `delta_ns` earlier."""
    return msgspec.structs.replace(item, t_ns=item.t_ns + delta_ns) if delta_ns else item
