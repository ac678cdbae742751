"""What is left of a part that was lost: its place, its patience, and what was sent to it."""

from __future__ import annotations

import threading
from pathlib import Path

from plain_result import plain_result

from actors.link import PullLink, PushLink
from actors.messages import Notice, Scored, StreamEnded, encode
from actors.publish import PublishStage
from actors.vitals import SPAN_NS, Vitals
from streaming.clock import NS_PER_S, HandClock
from streaming.health import Health, HealthKind
from streaming.journal import Journal
from streaming.keys import ClientKeys, run_keys
from streaming.open_events import PUBLISHER_LOST, OpenEvents
from streaming.results import Event, Phase, Prediction, Result
from streaming.settings import AttuneSettings
from streaming.sinks import MemorySink, ReplayServer
from streaming.wire import encode as encode_message

NEVER = threading.Event()


def test_a_part_may_be_started_anew_so_often_a_minute_and_no_more():
    vitals = Vitals(2, 5 * NS_PER_S)
    assert [vitals.may_restart(t) for t in (0, 1, 2)] == [True, True, False]
    assert vitals.may_restart(SPAN_NS + 1)


def test_silence_is_taken_for_death_only_once_it_has_begun_and_lasts():
    vitals = Vitals(2, 5 * NS_PER_S)
    assert not vitals.hangs(100 * NS_PER_S)  # it has not been told to run yet
    vitals.heard(100 * NS_PER_S)
    assert not vitals.hangs(105 * NS_PER_S)
    assert vitals.hangs(105 * NS_PER_S + 1)


def scored(index: int) -> Scored:
    result = plain_result(index, index + 1, stream="s", index=index)
    return Scored(Prediction(result=result))


class Desk:
    """A publication stage that takes another's place after window 4."""

    def __init__(self) -> None:
        self.sink = MemorySink(live=False)
        self.stage = PublishStage(AttuneSettings(), [self.sink], HandClock(), {"s": 4})

    def said(self) -> list[tuple[str, int]]:
        return [
            (m.kind, m.count) if isinstance(m, Health) else ("result", m.index)
            for m in self.sink.messages()
            if isinstance(m, Health | Result)
        ]


def test_what_was_published_before_is_not_published_again():
    # published ... 3  4 ✝        sent again: 3 4 5
    desk = Desk()
    for index in (3, 4, 5):
        desk.stage.handle(scored(index))
    assert desk.said() == [("result", 5)]


def left(number: int) -> Event:
    """The start of an event, as it was published."""
    return Event(stream="s", epoch=1, seq=number, id=f"face-{number}", kind="face", label="face",
                 phase=Phase.START, start_ns=3, end_ns=None, score=1.0, evidence={})  # fmt: skip


def test_the_events_that_the_last_publisher_left_open_end_before_all_else():
    # epoch 1   face-1 |------ ✝
    # epoch 2                    end of face-1, result 5
    known = OpenEvents()
    known.take(left(1))
    sink = MemorySink(live=False)
    stage = PublishStage(AttuneSettings(), [sink], HandClock(), {"s": 4}, left_open=known.ends("s"))
    stage.handle(scored(5))
    end, result = sink.messages()
    assert isinstance(end, Event)
    assert (end.id, end.phase, end.seq, end.end_ns) == ("face-1", Phase.END, 1, 3)
    assert end.evidence == {"ended_by": PUBLISHER_LOST}
    assert isinstance(result, Result)
    assert stage.will() == {"s": ()}
    assert stage.will() == {}


def test_a_run_ends_what_its_journal_says_the_last_run_left_open(tmp_path: Path):
    def opened() -> ReplayServer:
        journal = Journal(f"{tmp_path}/journal", span_ns=600 * NS_PER_S, max_bytes=10**6)
        return ReplayServer(f"ipc://{tmp_path}/replay", journal=journal)

    first = opened()
    for number in (1, 2):  # the second begins where nobody heard the first end
        first.send(*encode_message(left(number)))
    first.close()
    second, sink = opened(), MemorySink(live=False)
    PublishStage(AttuneSettings(), [second, sink], HandClock()).close()
    third = opened()
    assert third.left_open == ()
    third.close()
    (end,) = (m for m in sink.messages() if isinstance(m, Event))
    assert (end.id, end.phase, end.evidence["ended_by"]) == ("face-2", Phase.END, PUBLISHER_LOST)


def test_windows_that_nobody_delivered_are_told_of_before_the_next():
    # published ... 4 ✝        then 7: windows 5 and 6 are gone
    desk = Desk()
    desk.stage.handle(scored(7))
    assert desk.said() == [("gap", 2), ("result", 7)]


def test_the_supervisors_word_is_published_as_it_comes():
    desk = Desk()
    desk.stage.handle(Notice(Health(stream="s", kind=HealthKind.RESTARTED, t_ns=9, count=1)))
    assert desk.said() == [("restarted", 1)]


def test_a_journal_that_fails_and_works_again_is_told_of_on_every_stream(monkeypatch):
    desk = Desk()
    desk.stage.handle(scored(5))
    news = [[(False, "disk full")], [(True, "written again")], []]
    monkeypatch.setattr(desk.stage._publisher, "news", lambda: news.pop(0))
    for _ in range(3):
        desk.stage.tick()
    assert [kind for kind, _ in desk.said()] == ["result", "sink_failed", "recovered"]


def test_a_stream_that_has_ended_ends_once():
    desk = Desk()
    for _ in range(2):
        desk.stage.handle(StreamEnded(stream="s", end_ns=9))
    assert [kind for kind, _ in desk.said()] == ["stream_ended"]


def test_a_link_gives_a_receiver_in_anothers_place_what_it_kept(tmp_path: Path):
    # sender    1  2 |hold 3 |resend      4
    # receiver A: 1 2 ✝         B: 1 2 3  4
    address = f"ipc://{tmp_path}/link"
    first, push = PullLink(address), PushLink(address)
    cargo = [StreamEnded(stream="s", end_ns=i) for i in range(4)]
    push.send(cargo[0], NEVER)
    push.send(cargo[1], NEVER)
    assert first.drain(5000)
    while push._sent.unanswered:  # all has arrived, as far as the sender knows
        first.drain(0)
        push.attend()
    first.close()
    holder = threading.Thread(target=lambda: held.append(push.hold(5)))
    held: list[bool] = []
    holder.start()
    while holder.is_alive():
        push.attend()
    assert held == [True]
    push.send(cargo[2], NEVER)
    second = PullLink(address)
    assert second.drain(50) == []
    push.resend(address)
    push.send(cargo[3], NEVER)
    got = []
    while len(got) < 4:
        got += second.drain(5000)
    assert got == cargo
    push.close()
    second.close()


def test_a_link_over_tcp_moves_to_another_address_and_takes_nothing_from_strangers():
    # sender    1 |hold 2 |resend to B 3      stranger, and one without keys: 9
    # receiver A: 1 ✝         B: 1 2 3
    binding, connecting = run_keys()
    stranger = ClientKeys(run_keys()[1].pair, connecting.server)
    first, second = (PullLink("tcp://127.0.0.1:*", binding) for _ in range(2))
    cargo = [StreamEnded(stream="s", end_ns=i) for i in range(3)]
    bad = [PushLink(second.address, keys, keeps=False) for keys in (stranger, None)]
    for link in bad:
        assert link._socket is not None
        link._socket.send(encode(StreamEnded(stream="s", end_ns=9)))
    push = PushLink(first.address, connecting)
    push.send(cargo[0], NEVER)
    assert first.drain(5000) == cargo[:1]
    first.close()
    push._hold.set()
    push.attend()
    push.send(cargo[1], NEVER)
    push.resend(second.address)
    push.send(cargo[2], NEVER)
    got = []
    while len(got) < 3:
        got += second.drain(5000)
    assert got + second.drain(200) == cargo
    for link in (*bad, push):
        assert link._socket is not None
        link._socket.close(0)
    second.close()


def test_a_segment_that_is_over_ends_once_and_the_next_may_begin_anywhere():
    # published ... 4 | end of segment 0 | resumed | 9 | end of segment 1
    desk = Desk()
    desk.stage.handle(StreamEnded(stream="s", end_ns=9, pushed=3, windowed=2, dropped={"late": 1}))
    desk.stage.handle(Notice(Health(stream="s", kind=HealthKind.RESUMED, t_ns=9)))
    desk.stage.handle(scored(9))
    desk.stage.handle(StreamEnded(stream="s", end_ns=9))  # the first again, sent anew
    desk.stage.handle(scored(11))
    ended = StreamEnded(stream="s", end_ns=9, pushed=2, windowed=2, segment=1)
    desk.stage.handle(ended)
    assert desk.said() == [
        ("stream_ended", 0),
        ("resumed", 0),
        ("result", 9),
        ("gap", 1),
        ("result", 11),
        ("stream_ended", 2),
    ]
    totals = desk.stage.totals["s"]
    assert (totals.pushed, totals.windowed, totals.dropped) == (5, 4, {"late": 1})
    assert desk.stage.ended == {"s": 2}
