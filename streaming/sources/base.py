"""The seam between sources and the rest: one protocol, obeyed by every source alike.

A source opens in its constructor (raising `SourceError` with one clear line), says what it
delivers, and is then iterated once. It never sleeps and never looks at a clock unless it is
`live`; pacing is done outside. All its times start near 0 on the stream's own time line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from streaming.packets import Modality, Packet, Progress
from streaming.results import Health

Item = Packet | Progress | Health


class Source(Protocol):
    """Where packets come from.

    `items()` yields, for each modality of `modalities`: packets with `seq` 0, 1, 2, ... and
    finite times, then exactly one `Progress(ended=True)` as that modality's last item. Items
    come in order of `due_ns`, except where a source disorders them on purpose.
    `live`: iteration blocks until the world delivers, so no pacing is needed; times are then
    session-clock times. `ordered`: no packet is older than one before it of its modality.
    """

    modalities: tuple[Modality, ...]
    live: bool
    ordered: bool

    def items(self) -> Iterator[Item]:
        """Everything the source has to say, once."""
        ...

    def close(self) -> None:
        """Release what is held and make a blocked `items()` end. May be called twice."""
        ...


@runtime_checkable
class Sparing(Protocol):
    """A source that can do with less of the machine."""

    def spare(self, wanted: bool) -> None:
        """Do so from now on, or no more. What is left out meanwhile is told of as `overload`."""
        ...


def due_ns(item: Item) -> int:
    """When a live device could have delivered `item`: sound when its last sample is in,
    anything else at its own time. Stream time."""
    if isinstance(item, Packet) and item.modality is Modality.AUDIO:
        return item.end_ns
    return item.t_ns
