"""The control desk, with readers that do as the test says and a clock moved by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from actors.admission import Load
from actors.desk import PATIENCE_NS, Desk
from actors.messages import Assigned, Beginning
from actors.pulse import Sign
from actors.roster import Roster
from streaming.clock import NS_PER_S, HandClock
from streaming.control import (
    AddRequest,
    Done,
    ListRequest,
    PauseRequest,
    Refused,
    RemoveRequest,
    Reply,
    Request,
    ResumeRequest,
    State,
)
from streaming.health import HealthKind
from streaming.settings import StreamSettings
from streaming.source_settings import SyntheticSettings, TextSettings


def stream(name: str) -> StreamSettings:
    return StreamSettings(name=name, sources=(SyntheticSettings(),))


@dataclass
class Opening:
    answer: tuple[bool, str | None] = (True, None)

    def complaint(self) -> tuple[bool, str | None]:
        return self.answer


@dataclass
class Reader:
    name: str
    opening: Opening = field(default_factory=Opening)
    opened: list[Assigned] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def open(self, assigned: Assigned) -> Opening:
        self.opened.append(assigned)
        return self.opening

    def start_one(self, name: str) -> None:
        self.log.append(f"start {name}")

    def stop_one(self, name: str) -> None:
        self.log.append(f"stop {name}")


class Room:
    """A desk, its two readers, and what it told and answered."""

    def __init__(self) -> None:
        self.roster = Roster({"a": [stream("one")], "b": []})
        self.readers = [Reader("a"), Reader("b")]
        self.clock = HandClock()
        self.told: list[tuple[str, HealthKind]] = []
        self.full: str | None = None
        self.desk = Desk(
            self.roster,
            lambda: self.readers,
            lambda name, kind, detail: self.told.append((name, kind)),
            self.clock,
            lambda: self.full,
        )
        self.replies: list[Reply] = []

    def ask(self, request: Request) -> Reply | None:
        """The reply, if it came at once (within two steps)."""
        count = len(self.replies)
        self.desk.take(request, self.replies.append)
        self.desk.step()
        return self.replies[-1] if len(self.replies) > count else None

    def end(self, name: str) -> None:
        """The publisher tells that the stream's present segment is over."""
        over = {name: self.roster.entries[name].segment + 1}
        self.roster.note(Sign(name="publish", turn=0, ended=over))
        self.desk.step()

    def state(self, name: str) -> State:
        return self.roster.state(name)


def refused(reply: Reply | None) -> str:
    assert isinstance(reply, Refused)
    return reply.reason


def test_a_stream_goes_to_the_idlest_reader_and_is_told_of_before_it_begins() -> None:
    room = Room()
    reply = room.ask(AddRequest(stream=stream("two"), id=7))
    assert isinstance(reply, Done)
    assert reply.id == 7
    assert room.readers[1].log == ["start two"]
    assert room.told == [("two", HealthKind.STREAM_ADDED)]
    assert room.state("two") is State.RUNNING


def test_what_cannot_be_opened_leaves_no_trace() -> None:
    room = Room()
    room.readers[1].opening.answer = (True, "no such file")
    assert refused(room.ask(AddRequest(stream=stream("two")))) == "no such file"
    assert list(room.roster.entries) == ["one"]
    assert room.told == []
    assert room.readers[1].log == []


def test_the_reply_to_a_pause_waits_until_subscribers_know_the_end() -> None:
    # one   running | pause asked: ending | its end is published: paused
    room = Room()
    assert room.ask(PauseRequest(stream="one")) is None
    assert room.state("one") is State.ENDING
    assert refused(room.ask(ResumeRequest(stream="one"))).endswith("under way; ask again")
    room.end("one")
    assert isinstance(room.replies[-1], Done)
    assert room.state("one") is State.PAUSED
    assert room.readers[0].log == ["stop one"]


def test_a_stream_whose_end_does_not_come_is_said_to_be_ending() -> None:
    room = Room()
    room.ask(RemoveRequest(stream="one"))
    room.clock.advance(PATIENCE_NS + 1)
    room.desk.step()
    reply = room.replies[-1]
    assert isinstance(reply, Done)
    assert reply.streams[0].state is State.ENDING


def test_a_resumed_stream_goes_on_in_its_own_time_and_one_added_again_has_new_sources() -> None:
    room = Room()
    since = Beginning(origin_ns=5 * NS_PER_S)
    room.roster.note(Sign(name="a", turn=0, beginnings={"one": since}))
    room.ask(PauseRequest(stream="one"))
    room.end("one")
    room.ask(ResumeRequest(stream="one"))
    resumed = room.readers[0].opened[-1]
    assert (resumed.segment, resumed.beginning, resumed.anew) == (1, since, False)
    room.ask(RemoveRequest(stream="one"))
    room.end("one")
    room.ask(AddRequest(stream=stream("one")))
    added = room.readers[0].opened[-1]
    assert (added.segment, added.beginning, added.anew) == (2, since, True)


def test_a_resume_that_fails_leaves_the_stream_paused() -> None:
    room = Room()
    room.ask(PauseRequest(stream="one"))
    room.end("one")
    room.readers[0].opening.answer = (True, "camera 0 is in use")
    assert refused(room.ask(ResumeRequest(stream="one"))) == "camera 0 is in use"
    assert room.state("one") is State.PAUSED


def test_wrong_commands_say_what_there_is() -> None:
    room = Room()
    assert refused(room.ask(PauseRequest(stream="x"))) == "there is no stream 'x'; there are: one"
    assert "expected one that is paused" in refused(room.ask(ResumeRequest(stream="one")))
    assert "running already" in refused(room.ask(AddRequest(stream=stream("one"))))
    stdin = StreamSettings(name="in", sources=(TextSettings(path="-"),))
    assert "standard input belongs" in refused(room.ask(AddRequest(stream=stdin)))
    room.readers.clear()
    assert "no reader" in refused(room.ask(AddRequest(stream=stream("two"))))


def test_a_full_machine_takes_one_more_only_by_force() -> None:
    room = Room()
    room.full = "this machine is full"
    assert refused(room.ask(AddRequest(stream=stream("two")))) == "this machine is full"
    assert isinstance(room.ask(AddRequest(stream=stream("two"), force=True)), Done)


def test_the_end_of_the_run_refuses_what_is_not_done() -> None:
    room = Room()
    room.readers[1].opening.answer = (False, None)
    assert room.ask(AddRequest(stream=stream("two"))) is None
    assert room.roster.all_over() is False  # one still runs; two does not count
    room.desk.close()
    assert refused(room.replies[-1]) == "the pipeline is ending"
    assert list(room.roster.entries) == ["one"]


def test_a_reader_started_anew_gets_all_that_has_begun_and_not_ended() -> None:
    room = Room()
    room.ask(AddRequest(stream=stream("two")))
    room.readers[0].opening.answer = (False, None)
    room.ask(AddRequest(stream=stream("three")))  # is still opening
    room.ask(RemoveRequest(stream="two"))  # is ending
    assert [a.stream.name for a in room.roster.share("b")] == ["two"]
    assert [a.stream.name for a in room.roster.share("a")] == ["one"]


NAMES = st.sampled_from(["one", "two", "three"])
COMMANDS = st.one_of(
    NAMES.map(lambda n: AddRequest(stream=stream(n))),
    NAMES.map(lambda n: PauseRequest(stream=n)),
    NAMES.map(lambda n: ResumeRequest(stream=n)),
    NAMES.map(lambda n: RemoveRequest(stream=n)),
    st.just(ListRequest()),
)
STEPS = st.lists(st.one_of(COMMANDS, NAMES, st.booleans()), max_size=40)


@given(STEPS)
def test_every_request_has_one_reply_and_readers_are_told_in_order(steps: list) -> None:
    """Whatever is asked, ends and fails, and when."""
    room, asked = Room(), 0
    for step in steps:
        if isinstance(step, str):
            if step in room.roster.entries and room.roster.state(step) in ("running", "ending"):
                room.end(step)
        elif isinstance(step, bool):
            for reader in room.readers:
                reader.opening.answer = (True, None if step else "no")
        else:
            room.ask(step)
            asked += 1
    room.desk.close()
    assert len(room.replies) == asked
    for name in ("one", "two", "three"):
        calls = [c for r in room.readers for c in r.log if c.endswith(f" {name}")]
        starts = sum(c.startswith("start") for c in calls)
        opened = [a.segment for r in room.readers for a in r.opened if a.stream.name == name]
        assert room.roster.ended.get(name, 0) <= starts + (name == "one")
        assert starts <= len(opened)


def test_one_more_stream_is_refused_when_the_present_ones_leave_no_room() -> None:
    # infer uses 0.5 of a core with one stream: two would need all of it
    load = Load()
    for second in range(5):
        load.note("infer", 0, 0.5 * second, second * NS_PER_S)
    assert load.full(1, 8) is not None
    assert load.full(2, 8) is None  # a third needs a quarter more: 0.75
    assert load.full(0, 8) is None


def test_load_that_is_hardly_known_and_that_of_a_lost_part_say_nothing() -> None:
    load = Load()
    load.note("infer", 0, 0.0, 0)
    load.note("infer", 0, 1.0, NS_PER_S)
    assert load.full(1, 1) is None
    for second in range(9):
        load.note("infer", 0, second, second * NS_PER_S)
    assert "infer takes 100 of 100 % CPU" in (load.full(1, 8) or "")
    load.note("infer", 1, 0.0, 10 * NS_PER_S)
    assert load.full(1, 1) is None


def test_a_stream_that_names_a_node_goes_to_a_reader_there_or_is_refused() -> None:
    room = Room()
    room.readers.append(Reader("ingest-0@porch"))
    tied = StreamSettings(name="two", node="porch", sources=(SyntheticSettings(),))
    assert isinstance(room.ask(AddRequest(stream=tied)), Done)
    assert room.readers[2].log == ["start two"]
    room.ask(AddRequest(stream=stream("three")))
    assert room.readers[1].log == ["start three"]
    lost = StreamSettings(name="four", node="cellar", sources=(SyntheticSettings(),))
    assert "no reader is at work on node 'cellar'" in refused(room.ask(AddRequest(stream=lost)))


def test_streams_of_a_reader_that_is_away_are_not_waited_for() -> None:
    room = Room()
    assert not room.roster.all_over()
    assert room.roster.all_over({"a"})
    assert not room.roster.all_over({"b"})
