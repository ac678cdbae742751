"""Publishers that live one after the other, and one subscriber to them all, without a socket."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from attune.mending import Answer, Mending
from attune.reception import Item, Reception
from streaming.clock import NS_PER_S, HandClock
from streaming.health import Health, HealthKind
from streaming.journal import Journal
from streaming.replay import LatestRequest, ReplayRequest, Ring, decode_reply
from streaming.results import Heartbeat
from streaming.wire import Sequencer, encode

Number = tuple[int, str, int]  # epoch, stream, seq
Request = ReplayRequest | LatestRequest


@dataclass
class Step:
    """Of a publisher's life. `stream`: what it publishes, empty: a heartbeat; `heard`: whether the
    subscriber gets it; `answers`: whether the replay port can be reached from then on."""

    stream: str
    heard: bool
    answers: bool


@dataclass
class Life:
    """From a publisher's start to its kill (or, `clean`, its end). `moved`: its replay port is
    another than its predecessor's."""

    steps: list[Step]
    clean: bool
    moved: bool


@dataclass
class World:
    """Publishers, one after the other, and one subscriber of `streams`."""

    folder: Path
    journals: bool
    streams: frozenset[str] | None = None
    answers: bool = True
    clock: HandClock = field(default_factory=HandClock)
    rings: dict[str, Ring] = field(default_factory=dict)
    published: set[Number] = field(default_factory=set)
    items: list[Item] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    waiting: int = 10_000

    def __post_init__(self) -> None:
        world = self

        class Port(Mending):
            def ask(self, request: Request) -> Answer:
                world.asked.append(request)
                ring = world.rings.get(self.address)
                if not world.reach(request) or ring is None:
                    return None, []
                header, *parts = ring.answer(msgspec.json.encode(request))
                return decode_reply(header), list(zip(parts[::2], parts[1::2], strict=True))

            def close(self) -> None:
                pass

        self.subscriber = Reception(Port, self.streams, waiting=self.waiting)

    def reach(self, request: Request) -> bool:
        """Whether the port gets `request`."""
        return self.answers

    def live(self, number: int, life: Life) -> None:
        """One publisher, until it is gone."""
        journal = self.opened() if self.journals else None
        ring = Ring(span_ns=600 * NS_PER_S, max_bytes=10**6, journal=journal)
        place = f"tcp://replay:{number if life.moved else 1}"
        self.rings = {place: ring}
        sequencer = Sequencer(number, place)
        for step in life.steps:
            self.clock.advance(NS_PER_S // 10)
            self.answers = step.answers
            if not step.stream:
                self.tell(sequencer.heartbeat(0), heard=step.heard)
                continue
            note = Health(stream=step.stream, kind=HealthKind.GAP, t_ns=0)
            said = sequencer.stamp(note, 0)
            ring.add(*encode(said), self.clock.now_ns())
            self.published.add((number, step.stream, said.seq))
            self.tell(said, heard=step.heard)
        if life.clean:
            heard = bool(life.steps) and life.steps[-1].heard
            self.tell(sequencer.heartbeat(0, final=True), heard=heard)
        if journal is not None:
            journal.close()

    def opened(self) -> Journal:
        """The journal that all publishers keep."""
        path = str(self.folder / "journal")
        return Journal(path, span_ns=600 * NS_PER_S, max_bytes=10**6, unix_ns=self.clock.now_ns)

    def tell(self, message: Health | Heartbeat, *, heard: bool) -> None:
        """Send one message, which comes if it is heard."""
        if heard:
            self.items += self.subscriber.items(list(encode(message)))


def run(
    story: list[Life],
    *,
    journals: bool,
    streams: frozenset[str] | None = None,
    at_last: bool = True,
    world: type[World] = World,
    waiting: int = 10_000,
) -> World:
    """The story, and a last publisher that is heard from its first heartbeat on; `at_last`: and
    whose port answers."""
    with tempfile.TemporaryDirectory() as folder:
        made = world(Path(folder), journals, streams, waiting=waiting)
        for number, life in enumerate(story, start=1):
            made.live(number, life)
        beat = Step("", heard=True, answers=at_last)
        made.live(len(story) + 1, Life([beat, beat], clean=True, moved=True))
    return made
