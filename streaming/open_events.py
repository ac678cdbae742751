"""Which events have begun and not ended, by what was published.

Pure. A publisher's successor reads off it what it has to end, and a subscriber what is over without
its having been told. Messages go in in the order of publication. Invariant: of a stream and kind at
most one event is open, as intervals of a kind do not overlap; and whatever was open in one epoch is
over as soon as the stream is heard of in the next, which begins with the ends that it knows.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET
from msgspec.structs import replace

from streaming.health import Health, HealthKind
from streaming.results import Event, Message, Phase, Result

PUBLISHER_LOST = "publisher lost"
NOT_HEARD = "end not heard"


class OpenEvents:
    """Feed it every message."""

    def __init__(self) -> None:
        self._open: dict[str, dict[str, Event]] = {}  # by stream, then kind
        self._until_ns: dict[str, int] = {}

    def take(self, message: Message) -> list[Event]:
        """Note `message`; the ends of what it shows to be over although no end came."""
        if isinstance(message, Result | Event | Health):
            over = self._over_by(message)
        else:
            over = [e for name in list(self._open) for e in self._turn(name, message.epoch)]
        if isinstance(message, Result):
            self._until_ns[message.stream] = message.end_ns
        elif isinstance(message, Event):
            self._note(message)
        return over

    def ends(self, stream: str | None = None) -> tuple[Event, ...]:
        """The ends of all that is open (in `stream`), if the publisher is lost now."""
        streams = self._open if stream is None else [stream]
        return tuple(
            self._ended(event, PUBLISHER_LOST)
            for name in streams
            for event in self._open.get(name, {}).values()
        )

    def _over_by(self, message: Result | Event | Health) -> list[Event]:
        known = self._open.get(message.stream)
        if not known or (isinstance(message, Event) and message.phase is Phase.END):
            return []
        over = self._turn(message.stream, message.epoch)
        if isinstance(message, Event) and message.kind in known:
            if known[message.kind].id != message.id:
                over += self._drop(message.stream, [message.kind], NOT_HEARD)
        elif isinstance(message, Health) and message.kind is HealthKind.STREAM_ENDED:
            over += self._drop(message.stream, list(known), NOT_HEARD)
        return over

    def _turn(self, stream: str, epoch: int) -> list[Event]:
        """What was open in another epoch is over."""
        kinds = [kind for kind, e in self._open[stream].items() if e.epoch != epoch]
        return self._drop(stream, kinds, PUBLISHER_LOST)

    def _drop(self, stream: str, kinds: Iterable[str], ended_by: str) -> list[Event]:
        return [self._ended(self._open[stream].pop(kind), ended_by) for kind in kinds]

    def _note(self, event: Event) -> None:
        known = self._open.setdefault(event.stream, {})
        if event.phase is not Phase.END:
            known[event.kind] = event
        elif event.kind in known and known[event.kind].id == event.id:
            del known[event.kind]

    def _ended(self, event: Event, ended_by: str) -> Event:
        """Its end, at the time up to which its stream had come."""
        return replace(
            event,
            seq=0,
            phase=Phase.END,
            end_ns=max(event.start_ns, self._until_ns.get(event.stream, 0)),
            evidence={**event.evidence, "ended_by": ended_by},
            forwarded=UNSET,
        )
