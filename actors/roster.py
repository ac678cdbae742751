"""Which streams there are, who reads them, and what they do. Pure: no Ray, no sockets.

Invariant: a stream's segments are numbered from 0, and one begins only when the one before it has
ended for the subscribers, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from actors.messages import Assigned, Beginning
from actors.pulse import Sign
from streaming.control import State, StreamState
from streaming.results import Event
from streaming.settings import StreamSettings

AT = "@"


def reader_name(number: int, node: str = "") -> str:
    """What a reader is called that is tied to `node`, or to none."""
    return f"ingest-{number}{AT}{node}" if node else f"ingest-{number}"


def reader_node(reader: str) -> str:
    """The node that a reader is tied to; empty for none."""
    return reader.partition(AT)[2]


def is_free_reader(name: str) -> bool:
    """Whether a part of this name reads streams that may be read anywhere."""
    return name.startswith("ingest") and not reader_node(name)


class Entry(msgspec.Struct):
    """One stream. `state` is what was asked for last; whether it has ended, `Roster` knows."""

    settings: StreamSettings
    reader: str
    state: State = State.RUNNING
    segment: int = 0
    anew: bool = False


class Roster:
    """All streams of a run, those that have ended included. `shares`: by reader, at the start."""

    def __init__(self, shares: Mapping[str, Sequence[StreamSettings]]) -> None:
        self.entries = {
            stream.name: Entry(stream, reader)
            for reader, streams in shares.items()
            for stream in streams
        }
        self.published: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self._wills: dict[str, tuple[Event, ...]] = {}
        self._beginnings: dict[str, Beginning] = {}

    def note(self, sign: Sign) -> None:
        """Take in what a part tells of the streams."""
        self.published.update(sign.published or {})
        self.ended.update(sign.ended or {})
        self._wills.update(sign.will or {})
        self._beginnings.update(sign.beginnings or {})

    @property
    def left_open(self) -> tuple[Event, ...]:
        """The ends of all events that are open, for the next publisher to say."""
        return tuple(event for ends in self._wills.values() for event in ends)

    def over(self, name: str) -> bool:
        """Whether the stream's present segment has come to its end."""
        return self.ended.get(name, 0) > self.entries[name].segment

    def all_over(self, away: Collection[str] = ()) -> bool:
        """Whether nothing is to be expected of any stream, but for those of readers that are
        `away`."""
        return all(
            self.over(name) or entry.state is State.OPENING or entry.reader in away
            for name, entry in self.entries.items()
        )

    def unended(self, reader: str | None = None) -> list[str]:
        """The streams that have begun and not ended, of one reader or of all."""
        return [
            name
            for name, entry in self.entries.items()
            if reader in (None, entry.reader)
            and entry.state is not State.OPENING
            and not self.over(name)
        ]

    def assigned(self, name: str) -> Assigned:
        """The stream as its reader is to open it."""
        entry = self.entries[name]
        return Assigned(
            stream=entry.settings,
            segment=entry.segment,
            beginning=self._beginnings.get(name),
            anew=entry.anew,
        )

    def share(self, reader: str) -> list[Assigned]:
        """What a reader that takes another's place has to open."""
        return [self.assigned(name) for name in self.unended(reader)]

    def time_ns(self, name: str, now_ns: int) -> int:
        """Stream time now; 0 before the stream has begun."""
        beginning = self._beginnings.get(name)
        return 0 if beginning is None else max(now_ns - beginning.origin_ns, 0)

    def state(self, name: str) -> State:
        """What the stream does."""
        entry = self.entries[name]
        if entry.state is State.OPENING:
            return State.OPENING
        if not self.over(name):
            return State.RUNNING if entry.state is State.RUNNING else State.ENDING
        return State.PAUSED if entry.state is State.PAUSED else State.ENDED

    def states(self) -> tuple[StreamState, ...]:
        """All streams, in the order of their coming."""
        return tuple(
            StreamState(
                name=name,
                state=self.state(name),
                sources=tuple(str(s.__struct_config__.tag) for s in entry.settings.sources),
                last_index=self.published.get(name),
            )
            for name, entry in self.entries.items()
        )
