"""What a subscriber gets and is told over the change from one publisher to the next."""

from __future__ import annotations

import pytest

from attune.mending import Answer, Mending
from attune.reception import Delivery
from benchmarks.chaos.log import Log
from streaming.holes import Hole, LostEnd, NewEpoch
from streaming.journal import Journal
from streaming.replay import ReplayReply, ReplayRequest
from streaming.results import Heartbeat
from tests.publisher_lives import Life, Request, Step, World, run


def life(text: str, *, clean: bool = False, moved: bool = False, answers: bool = True) -> Life:
    """`a` is published and heard, `A` is published and lost, `.` a heartbeat, `,` a lost one."""
    steps = [
        Step("" if one in ".," else one.lower(), heard=one in "abc.", answers=answers)
        for one in text
    ]
    return Life(steps, clean, moved)


def told(world: World) -> list[object]:
    """Short: `1a2` is number 2 of a in epoch 1, `1a2+` mended, `1a3?` an end not known, `|2` a new
    epoch. Heartbeats are left out."""
    found: list[object] = []
    for item in world.items:
        match item:
            case Delivery(message=Heartbeat()):
                pass
            case Delivery(message=m, origin=origin):
                found.append(f"{m.epoch}{m.stream}{m.seq}{'+' if origin == 'mended' else ''}")
            case Hole(epoch=epoch, stream=stream, first=first, last=last):
                found.append(f"{epoch}{stream}{first}-{last}")
            case LostEnd(epoch=epoch, stream=stream, first=first):
                found.append(f"{epoch}{stream}{first}?")
            case NewEpoch(epoch=epoch):
                found.append(f"|{epoch}")
    return found


def told_of(*story: Life, journals: bool = False, streams: frozenset[str] | None = None):
    return told(run(list(story), journals=journals, streams=streams))


def test_the_end_of_a_killed_publisher_without_a_journal_is_not_known():
    # epoch 1   a1 a2 b1(lost) ✝      2: its heartbeat
    assert told_of(life(".aaB")) == ["1a1", "1a2", "1a3?", "11?", "|2"]


def test_of_streams_that_were_asked_for_each_is_named():
    found = told_of(life(".aaB"), streams=frozenset({"a", "b"}))
    assert found == ["1a1", "1a2", "1a3?", "1b1?", "|2"]


def test_a_publisher_that_said_that_it_ends_leaves_no_doubt():
    # epoch 1   a1, final heartbeat   2: a1 (in another run without a journal)
    assert told_of(life(".a", clean=True)) == ["1a1", "|2"]
    # the last heartbeat of the epoch after it does not count for that one
    assert told_of(life(".a", clean=True), life("a")) == ["1a1", "|2", "2a1", "2a2?", "21?", "|3"]


def test_a_journal_knows_the_end_and_the_epochs_between():
    # epoch 1   a1 a2(lost) ✝   2: b1(lost) b2(lost) ✝   3: nothing ✝   4: heartbeat
    found = told_of(life(".aA"), life("BB"), life(""), journals=True)
    assert found == ["1a1", "1a2+", "|2", "2b1+", "2b2+", "|4"]


def test_what_lies_after_the_held_message_is_not_taken_for_what_came_before_it():
    # epoch 1   a1 ✝   2: a1 ✝ (its port cannot be reached)   3: B1 ✝   4: heartbeat, port
    # told      a1     held ..................................................  a1, B1
    found = told_of(life(".a"), life("a", answers=False), life("B"), journals=True)
    assert found == ["1a1", "|2", "2a1", "|3", "3b1+", "|4"]


def test_a_port_that_has_moved_is_waited_for_until_a_heartbeat_names_it():
    # epoch 1   a1 a2(lost) ✝   2: (at another port) a1 a2 heartbeat
    found = told_of(life(".aA"), life("aa.", moved=True, clean=True), journals=True)
    assert found == ["1a1", "1a2+", "|2", "2a1", "2a2", "|3"]
    # at the same port it is there at once
    world = run([life(".aA"), life("a")], journals=True)
    came = [i.message for i in world.items if isinstance(i, Delivery)]
    assert [(m.epoch, type(m).__name__) for m in came[3:5]] == [(2, "Health"), (3, "Heartbeat")]


def test_no_more_is_held_than_may_wait(tmp_path):
    # epoch 2, at a port that no heartbeat ever names: a1 a2 a3 wait, and with b1 all come
    def after(text: str) -> World:
        world = World(tmp_path, journals=False, waiting=3)
        world.live(1, life(".a"))
        world.live(2, life(text, moved=True))
        return world

    assert (told(after("aaa")), after("aaa").subscriber.held) == (["1a1"], 3)
    assert told(after("aaab")) == ["1a1", "1a2?", "11?", "|2", "2a1", "2a2", "2a3", "2b1"]
    assert after("aaab").subscriber.held == 0


def test_an_end_that_is_known_but_cannot_be_fetched_is_a_hole():
    # the port says how the epoch ended, and then nothing any more
    class Failing(World):
        def reach(self, request: Request) -> bool:
            return not isinstance(request, ReplayRequest)

    world = run([life(".abAABB")], journals=True, world=Failing)
    assert told(world) == ["1a1", "1b1", "1a2-3", "1b2-3", "|2"]
    asked = [r.stream for r in world.asked if isinstance(r, ReplayRequest)]
    assert asked == ["a", "a"]  # once more over a new connection, and b not at all


def test_a_journal_that_has_left_messages_out_leaves_a_doubt():
    # epoch 1   a1 .. a200 (lost), and from some number on the disk is full ✝     2: heartbeat
    class Full(World):
        def opened(self) -> Journal:
            journal = super().opened()
            if not self.published:
                journal._database.execute("PRAGMA max_page_count = 12")
            return journal

    world = run([life(".a" + 200 * "A")], journals=True, world=Full)
    *mended, last, others, turn = told(world)
    assert 2 < len(mended) < 200
    assert (last, others, turn) == (f"1a{len(mended) + 1}?", "11?", "|2")


class Once(Mending):
    """Answers the second time only, or with too few messages."""

    def __init__(self, silent: int, frames: int) -> None:
        super().__init__("nowhere")
        self.silent, self.frames, self.asked = silent, frames, 0

    def ask(self, request) -> Answer:
        self.asked += 1
        if self.asked <= self.silent:
            return None, []
        reply = ReplayReply(stream="a", epoch=1, first=request.first, last=request.last)
        return reply, [(b"t", b"p")] * self.frames

    def close(self) -> None:
        pass


HOLE = Hole(stream="a", epoch=1, first=1, last=3)


def test_a_port_that_gives_no_answer_is_asked_once_more_and_then_only_once_each():
    hiccup = Once(silent=1, frames=3)
    assert list(hiccup.mend(HOLE)) == [(b"t", b"p")] * 3
    dead = Once(silent=9, frames=3)
    assert list(dead.mend(HOLE)) == [HOLE]
    assert (dead.asked, dead.answers) == (2, False)
    assert list(dead.mend(HOLE)) == [HOLE]
    assert dead.asked == 3


@pytest.mark.parametrize("frames", [0, 2, 4])
def test_a_port_that_says_it_gives_more_than_it_does_has_given_nothing(frames):
    assert list(Once(silent=0, frames=frames).mend(HOLE)) == [HOLE]


def test_the_chaos_run_counts_an_end_that_is_not_known_as_told():
    world = run([life(".aAA")], journals=False)
    log = Log()
    for item in world.items:
        log.take(item)
    assert log.undetected(world.published) == 0
    log.ends_lost.clear()
    assert log.undetected(world.published) == 2
