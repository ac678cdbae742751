"""Sound on hop boundaries: no sample lost, none invented, times exact to one sample."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streaming.packets import Packet
from streaming.results import Health, HealthKind
from streaming.sources.audio_framing import AudioFramer

S = 1_000_000_000
MS = 1_000_000
RATE = 16_000

pieces = st.lists(st.integers(1, 5000), min_size=1, max_size=30)


def frame(framer: AudioFramer, *pushes: tuple[int, np.ndarray]) -> list[Packet | Health]:
    items = [item for t_ns, samples in pushes for item in framer.push(t_ns, samples)]
    return items + framer.flush()


def sound_of(items: list[Packet | Health]) -> np.ndarray:
    chunks = [i.payload.samples[:, 0] for i in items if isinstance(i, Packet)]
    return np.concatenate(chunks) if chunks else np.empty(0)


@given(
    sizes=pieces,
    start_ns=st.integers(0, 3 * S),
    hop_ms=st.integers(100, 2000),
    rate=st.sampled_from([8000, 11_025, 16_000, 44_100, 48_000]),
)
def test_a_run_is_cut_on_boundaries_without_loss(sizes, start_ns, hop_ms, rate):
    hop_ns = hop_ms * MS
    sound = np.arange(sum(sizes), dtype=np.float32)
    cuts = np.cumsum([0, *sizes])
    pushes = [(start_ns + int(a) * S // rate, sound[a:b]) for a, b in pairwise(cuts)]
    items = frame(AudioFramer(hop_ns, rate), *pushes)

    assert all(isinstance(i, Packet) for i in items)
    np.testing.assert_array_equal(sound_of(items), sound)
    assert [p.seq for p in items] == list(range(len(items)))
    first = 0
    for p in items:
        assert abs(p.t_ns - (start_ns + first * S / rate)) <= 1  # exact, not summed up
        assert p.t_ns // hop_ns == (p.end_ns - 1) // hop_ns  # inside one hop
        first += len(p.payload.samples)
        assert abs(p.end_ns - (start_ns + first * S / rate)) <= S / rate
    hops = [p.t_ns // hop_ns for p in items]
    assert len(set(hops)) == len(hops)  # at most one chunk for each hop


@given(sizes=pieces, jitter=st.lists(st.integers(-19, 19), min_size=30, max_size=30))
def test_rounded_timestamps_do_not_disturb_a_run(sizes, jitter):
    sound = np.arange(sum(sizes), dtype=np.float32)
    cuts = np.cumsum([0, *sizes])
    exact = [int(a) * S // RATE for a in cuts[:-1]]
    pushes = [
        (exact[i] + (jitter[i] * MS if i else 0), sound[cuts[i] : cuts[i + 1]])
        for i in range(len(sizes))
    ]
    clean = [(t, s) for t, (_, s) in zip(exact, pushes, strict=True)]
    a, b = frame(AudioFramer(S // 2), *pushes), frame(AudioFramer(S // 2), *clean)
    assert [(p.t_ns, p.end_ns) for p in a] == [(p.t_ns, p.end_ns) for p in b]
    np.testing.assert_array_equal(sound_of(a), sound_of(b))


def test_a_hole_is_told_of_and_starts_a_new_run():
    # 0      0.4   0.7      1.1 s
    # |######|.....|########|
    one = np.ones(6400, np.float32)
    items = frame(AudioFramer(S // 2), (0, one), (700 * MS, one))
    kinds = [i.kind if isinstance(i, Health) else (i.t_ns // MS, i.end_ns // MS) for i in items]
    assert kinds == [(0, 400), HealthKind.GAP, (700, 1000), (1000, 1100)]
    gap = items[1]
    assert (gap.t_ns, gap.count) == (400 * MS, 4800)


def test_a_repeated_span_is_left_out_to_the_sample():
    ramp = np.arange(16_000, dtype=np.float32)
    again = [(500 * MS + i * 20 * MS, ramp[8000 + i * 320 : 8320 + i * 320]) for i in range(25)]
    items = frame(AudioFramer(S // 2), (0, ramp[:12_000]), *again)
    drops = [i for i in items if isinstance(i, Health)]
    assert [(d.kind, d.count) for d in drops] == [(HealthKind.DROP, 4000)]
    np.testing.assert_array_equal(sound_of(items), ramp)


def test_a_chunk_may_have_several_channels():
    stereo = np.stack([np.zeros(800), np.ones(800)], axis=1).astype(np.float32)
    (chunk,) = frame(AudioFramer(S // 2), (0, stereo))
    assert chunk.payload.samples.shape == (800, 2)
    assert not chunk.payload.samples.flags.writeable


def test_flush_of_nothing_is_nothing():
    assert AudioFramer(S).flush() == []
