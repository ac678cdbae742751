"""Laws of a network stream's time line, for whatever packets come."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.sources.network_time import WRAP_NS, NetworkTime, Sighting

BEGIN_NS = 500 * NS_PER_S
FIRST = 12  # packets that lay the line
any_ns = st.integers(-(1 << 62), 1 << 62)


@given(
    sender_ns=st.integers(0, 1 << 60),
    jitter_ms=st.lists(st.floats(0, 80), min_size=40, max_size=120),
    kept=st.integers(0, 40),
    turns=st.integers(-2, 2),
)
@settings(max_examples=60, deadline=None)
def test_frames_are_never_dated_after_they_came_nor_long_before(sender_ns, jitter_ms, kept, turns):
    #  sender   0  20 ms  40 ms ...       the first `kept` packets come at once, with the next
    #  arrival  each 0 to 80 ms later, in order
    seen, last_ns = [], 0
    for i, late_ms in enumerate(jitter_ms):
        made_ns = BEGIN_NS + max(i, kept) * 20 * NS_PER_MS
        last_ns = max(last_ns, made_ns + round(late_ms * NS_PER_MS))
        at_ns = sender_ns + i * 20 * NS_PER_MS
        seen.append(Sighting("video" if i % 3 else "audio", at_ns, at_ns, last_ns))
    first = seen[: max(FIRST, kept + 1)]
    line = NetworkTime()
    line.begin(first)
    for sighting in seen:
        wrapped_ns = turns * WRAP_NS if sighting not in first else 0
        at_ns = sighting.end_ns + wrapped_ns
        line.observe(Sighting(sighting.track, at_ns, at_ns, sighting.arrival_ns))
        placed = line.place(sighting.track, at_ns, 0)
        true_ns = BEGIN_NS + (sighting.end_ns - sender_ns)
        assert placed.leapt_ns == 0
        late_ns = placed.t_ns - true_ns
        assert -placed.uncertainty_ns <= late_ns <= 80 * NS_PER_MS + placed.uncertainty_ns
        assert placed.t_ns <= sighting.arrival_ns + 1_000 or sighting in first


@given(st.lists(st.tuples(any_ns, any_ns, st.integers(1, 5 * NS_PER_S)), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_whatever_times_come_every_frame_gets_one_near_its_arrival(steps):
    now_ns, line = BEGIN_NS, NetworkTime()
    for n, (order_ns, end_ns, later_ns) in enumerate(steps):
        now_ns += later_ns
        sighting = Sighting("video", order_ns, end_ns, now_ns)
        if n == 0:
            line.begin([sighting])
        line.observe(sighting)
        placed = line.place("video", end_ns, 0)
        assert placed.uncertainty_ns >= 0
        assert abs(placed.t_ns - now_ns) <= 6 * NS_PER_S
