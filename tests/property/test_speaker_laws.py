"""Laws of the offset of mouth and voice: any camera, any order, the same answer."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from speaker_scene import speaking

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import Trace
from streaming.sync.speaker import SpeakerOffset


@given(
    fps=st.floats(14, 60) | st.sampled_from([23.976, 25.0, 29.97, 30.0]),
    phase_s=st.floats(0, 0.06),
    late_s=st.floats(-0.45, 0.45),
    begin_ns=st.integers(0, 10**15),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_the_offset_is_found_whatever_the_camera(fps, phase_s, late_s, begin_ns, seed):
    mouth, voice = speaking(12, late_s=late_s, fps=fps, phase_s=phase_s, seed=seed)
    meter = SpeakerOffset()
    meter.see(begin_ns, 0, mouth)
    meter.hear(begin_ns, 0, voice)
    found = meter.measure(begin_ns + 12 * NS_PER_S)
    assert found is not None
    assert abs(found.offset_ns - late_s * NS_PER_S) <= 12 * NS_PER_MS


@given(st.permutations(range(12)), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_the_order_of_arrival_changes_nothing(order, seed):
    mouth, voice = speaking(12, late_s=0.1, seed=seed)
    straight, shuffled = SpeakerOffset(), SpeakerOffset()
    for second in range(12):
        straight.see(0, 0, _second(mouth, second))
        straight.hear(0, 0, _second(voice, second))
    for second in order:
        shuffled.hear(0, 0, _second(voice, second))
        shuffled.see(0, 0, _second(mouth, second))
    assert straight.measure(12 * NS_PER_S) == shuffled.measure(12 * NS_PER_S) is not None


def _second(trace: Trace, second: int) -> Trace:
    among = np.flatnonzero(trace.at_ns // NS_PER_S == second)
    return Trace(at_ns=trace.at_ns[among], values=trace.values[among])
