"""What was given up under overload stands in the messages and in the account, once."""

from __future__ import annotations

from actors.infer import InferStage
from actors.messages import StreamEnded
from actors.publish import PublishStage
from streaming.clock import HandClock
from streaming.health import HealthKind
from streaming.modality import Modality
from streaming.results import Health, Result
from streaming.settings import AttuneSettings
from streaming.sinks import MemorySink
from tests.unit.actors.test_backlog import LIMITS, MS, SlowModel, window


def test_windows_given_up_are_told_of_and_are_no_gap() -> None:
    # window   0       1       2       3       4        5     end
    # closed   520     1020    1520    2020    2520     3020  ms
    # model    |0|     |1|     |2-------------------------|5|   and is back at 3100
    clock = HandClock()
    model = SlowModel(clock, 10)
    infer = InferStage(model, clock, limits=LIMITS)
    sink = MemorySink(live=False)
    publish = PublishStage(AttuneSettings(), [sink], clock)
    for index in (0, 1, 2):
        clock.advance((520 + 500 * index) * MS - clock.now_ns())
        model.ms_a_hop = 1580 if index == 2 else 10
        infer.take([window("a", index)])
        for cargo in infer.step():
            publish.handle(cargo)
    model.ms_a_hop = 10
    infer.take([window("a", index) for index in (3, 4, 5)])
    infer.take([StreamEnded(stream="a", end_ns=3000 * MS, pushed=9, windowed=9)])
    while not infer.idle:
        for cargo in infer.step():
            publish.handle(cargo)

    said = sink.messages()
    assert [m.index for m in said if isinstance(m, Result)] == [0, 1, 2, 5]
    health = [m for m in said if isinstance(m, Health)]
    assert not [m for m in health if m.kind is HealthKind.GAP]
    told = {m.modality: m.count for m in health if m.kind is HealthKind.OVERLOAD}
    assert told[None] == 2
    assert told[Modality.VIDEO] == 4
    totals = publish.totals["a"]
    assert (totals.windows, totals.skipped) == (4, 2)
    assert totals.given_up["windows"] == 2
    assert health[-1].kind is HealthKind.STREAM_ENDED
    assert "given up under overload: 2 windows, 4 pictures" in health[-1].detail


def test_windows_at_the_end_are_told_of_too() -> None:
    clock = HandClock(10_000 * MS)
    infer = InferStage(SlowModel(clock, 10), clock, limits=LIMITS)
    ended = StreamEnded(stream="a", end_ns=1000 * MS)
    (said,) = infer.handle([window("a", 0), window("a", 1), ended])
    assert isinstance(said, StreamEnded)
    assert said.skipped == 2
    counts = {h.modality: h.count for h in said.health}
    assert counts == {None: 2, Modality.VIDEO: 4, Modality.AUDIO: 16_000, Modality.TEXT: 2}
