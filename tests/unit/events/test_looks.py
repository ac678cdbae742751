"""Rules over looks keep none of the looks that contradict them, and judge as if they did."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from streaming.events.base import Ended
from streaming.events.engine import rules_of
from streaming.events.expressions import Values
from streaming.events.rules import Rule
from streaming.events.trackers import HALF_LOOK_NS, LookTracker
from streaming.results import Event
from streaming.settings import EventSettings, RuleSettings

MS = 10**6


def rule(confirm: int, cooldown_s: float = 0.0) -> Rule:
    told = RuleSettings(
        name="pair", every="look", when="faces == 2", until="faces < 2", confirm=confirm,
        lost_after_s=2, cooldown_s=cooldown_s, score="mean faces",
        evidence={"most": "max faces", "looks": "count", "first": "first track_id",
                  "last": "last track_id", "now": "now faces"},
    )  # fmt: skip
    return rules_of(EventSettings(rules=(told,)))[-1]


class Remembering(LookTracker):
    """The same, in the plain way: every look in doubt is kept until the doubt is settled."""

    def __init__(self, stream: str, rule: Rule) -> None:
        super().__init__(stream, rule)
        self._kept: list[Sequence[Values]] = []

    def _settle(self, at: Sequence[Values]) -> None:
        for seen in (*self._kept, at) if self.open else ():
            self._tally.add(seen)
        self._kept.clear()
        self._doubts = 0

    def _doubt(self, t_ns: int, at: Sequence[Values]) -> Iterator[Event]:
        if not self._kept:
            before_ns = t_ns if self._last_ns is None else self._last_ns
            self._edge_ns = t_ns - min((t_ns - before_ns) // 2, HALF_LOOK_NS)
        self._kept.append(at)
        self._doubts = len(self._kept)
        if len(self._kept) < self._rule.confirm:
            return
        if self.open:
            yield from self._close(self._edge_ns, Ended.OVER)
        else:
            self._start_ns, self._tally = self._edge_ns, self._rule.tally()
            for seen in self._kept:
                self._tally.add(seen)
            self._kept.clear()
            self._doubts = 0
            yield self._begin(at, t_ns)

    def _close(self, end_ns: int, ended_by: str) -> Iterator[Event]:
        yield from super()._close(end_ns, ended_by)
        self._kept.clear()
        self._doubts = 0


def told(tracker: LookTracker, looks: list[tuple[int, int]]) -> list[Event]:
    events, t_ns = [], 0
    for number, (after_ms, faces) in enumerate(looks):
        t_ns += after_ms * MS
        values = {"faces": faces, "face_seen": int(faces > 0), "track_id": number}
        events += tracker.look(t_ns, [values])
    return [*events, *tracker.finish(t_ns)]


gaps_ms = st.sampled_from((100, 250, 400, 2500))


@given(
    st.lists(st.tuples(gaps_ms, st.integers(0, 3)), max_size=60),
    st.integers(1, 4),
    st.sampled_from((0.0, 0.6)),
)
def test_looks_in_doubt_count_for_what_they_were(looks, confirm, cooldown_s):
    #   look    1 2 2 2 1 2 0 0 0         confirm 3: the one between is a blink, and counts
    #   pair      |---------|
    judged = rule(confirm, cooldown_s)
    assert told(LookTracker("s", judged), looks) == told(Remembering("s", judged), looks)


def test_memory_does_not_grow_with_the_looks_that_are_asked_for():
    tracker = LookTracker("s", rule(10**9))
    list(tracker.look(0, [{"faces": 2, "face_seen": 1, "track_id": 1}]))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for i in range(1, 10_000):
        list(tracker.look(i * 250 * MS, [{"faces": 2, "face_seen": 1, "track_id": 1}]))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 10_000  # bytes; the looks would be 2 MB
