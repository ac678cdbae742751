"""Law of the offset: the truth lies within the stated uncertainty, whatever camera and room."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sync_scene import Camera, onsets, sound

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.sync.offset import measure

cameras = st.builds(
    Camera,
    fps=st.floats(15, 60) | st.sampled_from([23.976, 24.0, 25.0, 29.97, 30.0, 60.0]),
    phase_s=st.floats(0, 0.06),
    exposure=st.floats(0.05, 1),
    jitter_s=st.floats(0, 0.012),
    loss=st.floats(0, 0.15),
    bright=st.floats(120, 250),
    seed=st.integers(0, 1000),
)


@given(
    camera=cameras,
    offset_s=st.floats(-0.4, 0.4),
    wander_s=st.sampled_from([0.0, 0.04]),
    chunk=st.integers(100, 9000),
)
@settings(max_examples=100, deadline=None)
def test_the_stated_interval_holds_the_true_offset(camera, offset_s, wander_s, chunk):
    rng = np.random.default_rng(camera.seed)
    lit_s = [k + 1 + wander_s * rng.random() for k in range(8)]
    heard = onsets(sound([at + offset_s for at in lit_s], 10.0), chunk)
    found = measure(camera.flashes(lit_s, 10.0), heard)
    if found is None:  # jitter and loss may leave too little
        assert camera.jitter_s or camera.loss
        return
    error_ns = found.offset_ns - offset_s * NS_PER_S
    assert abs(error_ns) <= found.uncertainty_ns
    widest_ns = 2 * NS_PER_S / camera.fps + 2 * camera.jitter_s * NS_PER_S + 10 * NS_PER_MS
    assert found.uncertainty_ns <= widest_ns


def test_sounds_that_have_nothing_to_do_with_the_flashes_are_hardly_ever_believed():
    flashes = [(round(at * NS_PER_S), round((at + 0.04) * NS_PER_S)) for at in range(1, 13)]
    believed = 0
    for seed in range(2000):
        at_ns = np.sort(np.random.default_rng(seed).uniform(0, 13, 13)) * NS_PER_S
        found = measure(flashes, [(round(a), round(a) + 6 * NS_PER_MS) for a in at_ns])
        believed += found is not None
    assert believed <= 2
