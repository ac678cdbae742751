"""No event stays open: over all epochs, wherever publishers are killed and whatever is missed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from plain_result import plain_result

from actors.messages import Cargo, Scored, StreamEnded
from actors.publish import PublishStage
from actors.pulse import Sign
from actors.roster import Roster
from streaming.clock import HandClock
from streaming.health import Health
from streaming.open_events import OpenEvents
from streaming.results import (
    Event,
    FaceCount,
    Message,
    Phase,
    Prediction,
    SpeechTrack,
)
from streaming.settings import AttuneSettings
from streaming.sinks import MemorySink

FRAME_NS = 32_000_000
HOP_NS = 16 * FRAME_NS

hops = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=3, max_size=20)


class KilledError(BaseException):
    """Nothing in a process outlives it."""


class Life:
    """Of one publisher, which is killed before its `last`-th deed (a message or a sign)."""

    def __init__(self, last: int | None) -> None:
        self._left = count() if last is None else iter(range(last))

    def act(self) -> None:
        if next(self._left, None) is None:
            raise KilledError


class Wire(MemorySink):
    """What a publisher sends while it lives."""

    def __init__(self, life: Life) -> None:
        super().__init__(live=False)
        self._life = life

    def send(self, topic: bytes, payload: bytes) -> None:
        self._life.act()
        super().send(topic, payload)


def cargo(stream: str, scene: Sequence[tuple[bool, bool]]) -> list[Cargo]:
    """For each hop whether somebody speaks, and whether a face is seen."""
    out: list[Cargo] = []
    for i, (speaks, seen) in enumerate(scene):
        result = plain_result(i * HOP_NS, (i + 1) * HOP_NS, stream=stream, index=i)
        looks = tuple(FaceCount(t_ns=(2 * i + k) * HOP_NS // 2, faces=int(seen)) for k in (0, 1))
        track = SpeechTrack(start_ns=i * HOP_NS, probability=(float(speaks),) * 16)
        out.append(Scored(Prediction(result=result, speech=track, faces=looks)))
    return [*out, StreamEnded(stream=stream, end_ns=len(scene) * HOP_NS)]


def publish(cargoes: Sequence[Cargo], roster: Roster, life: Life, epoch: int) -> list[Message]:
    """What one publisher says, from when it takes over until it is killed or all is said."""
    sink = Wire(life)

    def sign(**said: object) -> None:
        life.act()
        roster.note(Sign(name="publish", turn=0, **said))

    try:
        stage = PublishStage(
            AttuneSettings(),
            [sink],
            HandClock(),
            roster.published,
            roster.ended,
            roster.left_open,
            testify=lambda: sign(will=stage.will()),
        )
        for each in cargoes:
            stage.handle(each)
            sign(published=dict(stage.published), ended=dict(stage.ended), will=stage.will())
        stage.close()
    except KilledError:
        pass
    return [msgspec.structs.replace(m, epoch=epoch) for m in sink.messages()]


def open_at_any_time(messages: Iterable[Message]) -> tuple[set[tuple[str, str]], int]:
    """What is open at the end; how many ends were of nothing. No event may begin within another."""
    begun: set[tuple[str, str]] = set()
    of_nothing = 0
    for message in messages:
        if isinstance(message, Event) and message.phase is not Phase.UPDATE:
            key = message.stream, message.id
            if message.phase is Phase.START:
                assert not any(s == message.stream and i.split("-")[0] == message.kind
                               for s, i in begun)  # fmt: skip
                begun.add(key)
            else:
                of_nothing += key not in begun
                begun.discard(key)
    return begun, of_nothing


def said(scenes: Sequence[Sequence[tuple[bool, bool]]], kills: Sequence[int]) -> list[Message]:
    """What goes out over all epochs. Each publisher gets all that was sent."""
    streams = [cargo(f"s{i}", scene) for i, scene in enumerate(scenes)]
    turns = [c for k in range(max(map(len, streams))) for each in streams for c in each[k : k + 1]]
    roster = Roster({})
    out: list[Message] = []
    for epoch, last in enumerate([*kills, None], 1):
        out += publish(turns, roster, Life(last), epoch)
    return out


@given(
    scenes=st.lists(hops, min_size=1, max_size=2), kills=st.lists(st.integers(0, 60), max_size=3)
)
def test_every_event_ends_over_all_epochs_wherever_the_publisher_is_killed(scenes, kills):
    # epoch 1   start ------- ✝            the kill may fall before or after any message or sign
    # epoch 2                   end, start again ---- end
    left, of_nothing = open_at_any_time(said(scenes, kills))
    assert left == set()
    # a kill may have the ends of its last instant told twice: of face and speech in each stream
    assert of_nothing <= 2 * len(scenes) * len(kills)


@given(
    scenes=st.lists(hops, min_size=1, max_size=2),
    kills=st.lists(st.integers(0, 60), max_size=3),
    data=st.data(),
)
def test_a_subscriber_is_told_every_end_whatever_it_misses(scenes, kills, data):
    # sent     start1 end1 start2 ✝ end2 start1 ... stream_ended
    # heard    start1  --  start2 ✝  --    --        stream_ended
    messages = said(scenes, kills)
    lost = data.draw(st.sets(st.integers(0, len(messages) - 1), max_size=len(messages) // 2))
    tracked = OpenEvents()
    told: list[Message] = []
    for i, message in enumerate(messages):
        if i not in lost or isinstance(message, Health):  # which tells of the end of a stream
            told += [*tracked.take(message), message]
    left, _ = open_at_any_time(told)
    assert left == set()
    assert tracked.ends() == ()
