"""Overload: nothing is served late, sound and words are carried, all that is given up is counted.

Time is driven by hand: the model's step moves the clock by what it would have taken.
"""

from __future__ import annotations

import math
from collections import defaultdict

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.backlog import Limits
from actors.carried import Carry, joined
from actors.infer import InferStage
from actors.messages import HopData, Scored, StreamEnded, TextSpan, WindowReady
from models.types import Scores
from streaming.clock import NS_PER_MS, HandClock
from streaming.health import Health, HealthKind
from streaming.packets import Modality
from streaming.results import FaceCount, LoudnessTrack, Signals
from streaming.windows import ClosedBy, Status

MS = NS_PER_MS
HOP_MS, LENGTH_MS, MAX_AGE_MS = 500, 2000, 500
LIMITS = Limits(max_age_ns=MAX_AGE_MS * MS, most_bytes=4 * 32_000)
HOP_N = 8_000


def scores() -> Scores:
    return Scores.without_evidence(
        unimodal={},
        sounds={},
        speech_start_ns=0,
        speech_step_ns=32 * MS,
        speech=np.zeros(0, np.float32),
    )


class SlowModel:
    """Takes `ms_a_hop` for each hop, and writes down the hops it was shown."""

    revision = "slow"

    def __init__(self, clock: HandClock, ms_a_hop: float) -> None:
        self.clock, self.ms_a_hop = clock, ms_a_hop
        self.hops = defaultdict(list)
        self.batches: list[int] = []

    def step(self, windows):
        shown = [(w.stream, hop) for w in windows for hop in w.new_hops]
        for stream, hop in shown:
            self.hops[stream].append(hop)
        self.clock.advance(round(self.ms_a_hop * len(shown) * MS))
        self.batches.append(len(windows))
        return [scores()] * len(windows)

    def forget(self, stream: str) -> None:
        pass

    def fork(self, stream: str, to: str) -> None:
        pass


def hop(index: int) -> HopData:
    start = index * HOP_MS * MS
    return HopData(
        start_ns=start,
        end_ns=start + HOP_MS * MS,
        faces=np.zeros((2, 48, 48), np.uint8),
        audio=np.zeros(HOP_N, np.float32),
        audio_coverage=1.0,
        texts=(TextSpan(start_ns=start, end_ns=start + MS, text=f"word {index}"),),
    )


def window(stream: str, index: int, *, closed_ms: float = 0, **changes) -> WindowReady:
    """Window `index` of a stream whose windows are one hop of news each, as the first is here."""
    start = index * HOP_MS * MS
    end = start + HOP_MS * MS
    closed_ns = round(closed_ms * MS) or end + 20 * MS
    ready = WindowReady(
        stream=stream,
        index=index,
        start_ns=end - LENGTH_MS * MS,
        end_ns=end,
        closed_by=ClosedBy.WATERMARK,
        revision=0,
        hops=(hop(index),),
        receipts={},
        loudness=LoudnessTrack(start_ns=start, dbfs=(-20.0,) * 10),
        faces=(FaceCount(t_ns=start, faces=1),),
        signals=Signals(),
        health=(),
        closed_at_ns=closed_ns,
        origin_ns=0,
        paced=True,
    )
    return msgspec.structs.replace(ready, **changes)


class Run:
    """`streams` side by side for `hops`, spread over a hop; what came out, and how old it was."""

    def __init__(self, streams: int, hops: int, ms_a_hop: float, limits: Limits = LIMITS) -> None:
        self.clock = HandClock()
        self.model = SlowModel(self.clock, ms_a_hop)
        self.stage = InferStage(self.model, self.clock, limits=limits)
        self.names = [f"s{i}" for i in range(streams)]
        self.out = defaultdict(list)
        self.ages_ms: list[float] = []
        self.most_waiting = 0
        due = []
        for i, name in enumerate(self.names):
            origin_ns = i * HOP_MS * MS // streams
            for index in range(hops):
                closed_ns = origin_ns + (index + 1) * HOP_MS * MS + 20 * MS
                ready = window(name, index, closed_ms=closed_ns / MS, origin_ns=origin_ns)
                due.append((closed_ns, ready))
            end_ns = origin_ns + hops * HOP_MS * MS
            due.append((end_ns + 21 * MS, StreamEnded(stream=name, end_ns=end_ns)))
        self._play(sorted(due, key=lambda entry: entry[0]))

    def _play(self, due) -> None:
        while due or not self.stage.idle:
            if self.stage.idle and due:
                self.clock.advance(max(due[0][0] - self.clock.now_ns(), 0))
            ripe = [c for at_ns, c in due if at_ns <= self.clock.now_ns()]
            due = due[len(ripe) :]
            self.stage.take(ripe)
            waiting = sum(len(line.waiting) for line in self.stage._backlog._lines.values())
            self.most_waiting = max(self.most_waiting, waiting)
            for cargo in self.stage.step():
                self._served(cargo)

    def _served(self, cargo) -> None:
        if isinstance(cargo, StreamEnded):
            self.out[cargo.stream].append(cargo)
            return
        assert isinstance(cargo, Scored)
        result = cargo.prediction.result
        self.out[result.stream].append(cargo.prediction)
        age_ns = self.clock.now_ns() - cargo.prediction.origin_ns - result.end_ns
        self.ages_ms.append(age_ns / MS)

    def told(self, name: str, modality: Modality | None) -> int:
        health = [h for c in self.out[name] for h in c.health if h.kind is HealthKind.OVERLOAD]
        return sum(h.count for h in health if h.modality is modality)


def test_what_the_model_carries_is_all_served() -> None:
    run = Run(streams=4, hops=20, ms_a_hop=110)  # 440 ms of work in each 500 ms
    assert all(len(run.out[name]) == 20 + 1 for name in run.names)
    assert max(run.ages_ms) <= MAX_AGE_MS


@pytest.mark.parametrize("load", [2, 4])
def test_at_twice_the_load_what_is_served_is_fresh_and_the_rest_is_told(load: int) -> None:
    # hop      |----|----|----|----|----|    each stream brings one window a hop
    # model    |s0-------|s1-------|s0---    and takes two hops for one of each stream
    # s0       0    1    2    3    4         0, then 2 with the sound and words of 1, ...
    streams, hops = 16, 60
    run = Run(streams, hops, ms_a_hop=HOP_MS / streams * load)
    assert max(run.ages_ms) <= MAX_AGE_MS
    assert run.most_waiting <= 3 * streams
    for name in run.names:
        *served, ended = run.out[name]
        assert isinstance(ended, StreamEnded)
        skipped = sum(p.skipped for p in served) + ended.skipped
        assert len(served) + skipped == hops == len(served) + run.told(name, None)
        indices = [p.result.index for p in served]
        assert indices == sorted(indices)
        shown = run.model.hops[name]
        assert sum(len(h.audio) for h in shown) + run.told(name, Modality.AUDIO) == hops * HOP_N
        crops = sum(len(h.faces) for h in shown)
        assert crops + run.told(name, Modality.VIDEO) == 2 * hops
        starts = [h.start_ns for h in shown]
        assert starts == sorted(set(starts))
        said = [t.text for h in shown for t in h.texts]
        assert len(said) + run.told(name, Modality.TEXT) == hops
        assert said == sorted(said, key=lambda s: int(s.split()[1]))
    counts = [len(run.out[name]) for name in run.names]
    assert max(counts) - min(counts) <= 2, counts  # no stream is favoured


def test_without_a_limit_the_age_grows_with_the_run() -> None:
    """The same load, with nothing given up: why there is a limit."""
    run = Run(streams=8, hops=60, ms_a_hop=2 * HOP_MS / 8, limits=Limits())
    assert max(run.ages_ms) > 20_000
    assert all(len(run.out[name]) == 60 + 1 for name in run.names)


def test_one_stream_whose_model_takes_twice_its_hop() -> None:
    run = Run(streams=1, hops=20, ms_a_hop=2 * HOP_MS, limits=Limits(max_age_ns=1500 * MS))
    (name,) = run.names
    assert max(run.ages_ms) <= 1500
    assert run.told(name, None) == 20 - (len(run.out[name]) - 1) > 5


def test_after_a_stall_the_model_is_tried_again() -> None:
    clock = HandClock()
    model = SlowModel(clock, 10)
    stage = InferStage(model, clock, limits=LIMITS)
    served = []
    for index in range(20):
        model.ms_a_hop = 5_000 if index == 3 else 10
        clock.advance(max((index + 1) * HOP_MS * MS + 20 * MS - clock.now_ns(), 0))
        stage.take([window("a", index)])
        served += [c.prediction.result.index for c in stage.step()]
    # windows 4 to 12 came while the model stood still
    assert served == [0, 1, 2, 3, *range(13, 20)]


def test_a_model_that_was_too_slow_is_tried_again() -> None:
    clock = HandClock()
    model = SlowModel(clock, 2_000)
    stage = InferStage(model, clock, limits=LIMITS)
    served = []
    for index in range(12):
        clock.advance(max((index + 1) * HOP_MS * MS + 20 * MS - clock.now_ns(), 0))
        stage.take([window("a", index)])
        served += [c.prediction.result.index for c in stage.step()]
        model.ms_a_hop = 10
    # 1 to 4 came meanwhile, 5 while it was taken to be that slow
    assert served == [0, *range(6, 12)]


def test_sound_and_words_are_carried_to_the_next_window() -> None:
    carry = Carry().after(window("a", 0), 4 * 32_000).after(window("a", 1), 4 * 32_000)
    whole = carry.into(window("a", 2))
    assert [h.start_ns // (HOP_MS * MS) for h in whole.hops] == [0, 1, 2]
    assert [len(h.faces) for h in whole.hops] == [0, 0, 2]  # pictures: the freshest
    assert [t.text for h in whole.hops for t in h.texts] == ["word 0", "word 1", "word 2"]
    assert len(whole.loudness.dbfs) == 30
    assert len(whole.faces) == 3
    assert whole.skipped == 2
    assert {(h.modality, h.count) for h in whole.health} == {(None, 2), (Modality.VIDEO, 4)}


def test_over_the_limit_the_oldest_sound_goes_first_and_words_last() -> None:
    carry = Carry()
    for index in range(5):
        carry = carry.after(window("a", index), 70_000)  # two hops of sound and a little
    whole = carry.into(window("a", 5))
    assert [h.start_ns // (HOP_MS * MS) for h in whole.hops] == [3, 4, 5]
    assert [t.text for h in whole.hops for t in h.texts] == [f"word {i}" for i in range(6)]
    assert carry.samples == 3 * HOP_N
    nothing = Carry().after(window("a", 0), 0)
    assert (nothing.hops, nothing.words, nothing.samples, nothing.texts) == ((), (), HOP_N, 1)


def test_what_windows_told_is_told_with_the_next() -> None:
    lost = Health(stream="a", kind=HealthKind.SOURCE_LOST, t_ns=0)
    carry = Carry().after(window("a", 0, health=(lost,)), 0)
    assert carry.into(window("a", 1)).health[0] is lost
    assert carry.into_end(StreamEnded(stream="a", end_ns=1)).health[0] is lost


def test_a_provisional_window_is_shown_with_the_carried_sound_and_leaves_it_there() -> None:
    clock = HandClock()
    model = SlowModel(clock, 10)
    stage = InferStage(model, clock, limits=LIMITS)
    clock.advance(5_000 * MS)
    stage.take([window("a", 0)])  # 4.5 s old: given up
    assert stage.step() == []
    for status in (Status.PROVISIONAL, Status.FINAL):
        stage.take([window("a", 1, closed_ms=5_000, status=status)])
        (scored,) = stage.step()
        assert scored.prediction.result.status is status
        assert scored.prediction.skipped == (status is Status.FINAL)
    starts = {stream: [h.start_ns for h in hops] for stream, hops in model.hops.items()}
    assert list(starts.values()) == [[0, 500 * MS], [0, 500 * MS]]


def test_a_provisional_window_that_is_given_up_leaves_its_news_to_the_settled_one() -> None:
    given = Carry().after(window("a", 1, status=Status.PROVISIONAL), 10**6)
    whole = given.into(window("a", 1))
    assert (len(whole.hops), whole.skipped) == (1, 0)
    assert [h.count for h in whole.health] == [1]


def test_windows_that_waited_for_a_lost_model_are_all_served() -> None:
    clock = HandClock(60_000 * MS)  # it is back after 60 s, and finds windows of the last 30
    stage = InferStage(SlowModel(clock, 10), clock, {"a": 59}, LIMITS)
    stage.take([window("a", index) for index in range(60, 119)])
    out = [cargo for _ in range(59) for cargo in stage.step()]
    assert [c.prediction.result.index for c in out] == list(range(60, 119))


@pytest.mark.parametrize(("deadline_ms", "served"), [(1_500, False), (4_000, True), (0, True)])
def test_a_window_that_was_closed_too_late_is_given_up(deadline_ms: int, served: bool) -> None:
    # window 0 ends at 500, is closed at 3600: the deadline of 1500 is long over, with 500 on top
    clock = HandClock(3_600 * MS)
    stage = InferStage(SlowModel(clock, 10), clock, limits=LIMITS)
    stage.take([window("a", 0, closed_ms=3_600, deadline_ns=deadline_ms * MS)])
    assert len(stage.step()) == served


def test_unpaced_windows_are_never_given_up() -> None:
    clock = HandClock(10**15)
    stage = InferStage(SlowModel(clock, 1_000), clock, limits=LIMITS)
    out = stage.handle([window(s, i, paced=False) for i in range(5) for s in "ab"])
    assert len(out) == 10


def test_the_loudness_track_has_no_hole() -> None:
    # frames   0 1 2 . . 5 6      two frames were never measured
    older = LoudnessTrack(start_ns=0, dbfs=(-1.0, -2.0, -3.0))
    newer = LoudnessTrack(start_ns=5 * older.step_ns, dbfs=(-5.0, -6.0))
    assert joined(older, newer).dbfs == (-1.0, -2.0, -3.0, None, None, -5.0, -6.0)
    assert joined(LoudnessTrack(), newer) == newer
    assert joined(older, LoudnessTrack()) == older


@given(
    st.lists(st.sampled_from([0, 1, 32_000, 100_000, 10**6]), min_size=1, max_size=12),
    st.integers(0, 3),
)
def test_every_sample_and_word_is_shown_or_counted(limits: list[int], previews: int) -> None:
    carry = Carry()
    for index, most in enumerate(limits):
        carry = carry.after(window("a", index), most)
        assert sum(h.audio.nbytes for h in carry.hops) <= most
    for _ in range(previews):
        carry = carry.after(window("a", len(limits), status=Status.PROVISIONAL), limits[-1])
    whole = carry.into(window("a", len(limits)))
    every = len(limits) + 1
    assert sum(len(h.audio) for h in whole.hops) + carry.samples == every * HOP_N
    assert sum(len(h.texts) for h in whole.hops) + carry.texts == every
    assert whole.skipped == len(limits)
    assert math.isclose(len(whole.loudness.dbfs), 10 * every)
