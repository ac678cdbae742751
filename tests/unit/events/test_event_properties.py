"""What holds for every time line: events are well formed, and hops do not matter to the tracks."""

from __future__ import annotations

from collections import defaultdict

from events_timeline import MS, predictions, result, run
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.modality import Modality
from streaming.results import FaceCount, Phase, Prediction
from streaming.settings import EventSettings
from streaming.wire import decode, encode

UNIT_MS = 800  # whole in speech frames (25) and level frames (16)
TRACK_KINDS = {"speech", "silence", "loudness_spike", "face"}

probabilities = st.sampled_from([0.0, 0.3, 0.4, 0.6, 1.0])
levels_dbfs = st.sampled_from([None, -80.0, -42.0, -30.0, -20.0, 0.0])


def runs_of(values, n):
    """`n` values in stretches, for real tracks do not leap at every frame."""
    stretches = st.lists(st.tuples(values, st.integers(1, 30)), min_size=1, max_size=12)
    return stretches.map(lambda parts: _filled([v for v, k in parts for _ in range(k)], n))


def _filled(values, n):
    return (values * (n // len(values) + 1))[:n]


@st.composite
def segments(draw):
    """Up to three stretches of input with holes between: (start_ns, speech, levels, looks)."""
    out, at_ms = [], 0
    for _ in range(draw(st.integers(1, 3))):
        at_ms += draw(st.sampled_from([0, 40, 99, 250, 1000, 1999, 2000, 6000])) if out else 0
        units = draw(st.integers(1, 10))
        length_ms = units * UNIT_MS
        faces = draw(runs_of(st.integers(0, 2), length_ms // 250))
        looks = [
            FaceCount(t_ns=(at_ms + i * 250) * MS, faces=n, track_id=n) for i, n in enumerate(faces)
        ]
        speech = draw(runs_of(probabilities, units * 25))
        levels = draw(runs_of(levels_dbfs, units * 16))
        out.append((at_ms * MS, at_ms * MS + length_ms * MS, speech, levels, looks))
        at_ms += length_ms
    return out


def steps_of(parts, extra_cuts_ms):
    """Predictions cut at the parts' edges and at `extra_cuts_ms`."""
    steps, before_ns = [], 0
    for start_ns, end_ns, speech, levels, looks in parts:
        inner = [c * MS for c in extra_cuts_ms if start_ns < c * MS < end_ns]
        hole = [c * MS for c in extra_cuts_ms if before_ns < c * MS <= start_ns]
        steps += [Prediction(result=result(t)) for t in sorted(hole)]
        steps += predictions(
            speech=speech,
            levels=levels,
            looks=looks,
            cuts_ns={*inner, end_ns},
            start_ns=start_ns,
        )
        before_ns = end_ns
    return steps


@settings(max_examples=80, deadline=None)
@given(segments(), st.sets(st.integers(1, 40_000), max_size=60))
def test_other_hops_same_events(parts, cuts_ms):
    end_ns = parts[-1][1]
    whole = run(steps_of(parts, ()), end_ns)
    in_hops = run(steps_of(parts, sorted(cuts_ms)), end_ns)
    for kind in TRACK_KINDS:
        assert [e for e in in_hops if e.kind == kind] == [e for e in whole if e.kind == kind]


@settings(max_examples=60, deadline=None)
@given(
    segments(),
    st.lists(st.tuples(*[st.sampled_from([None, -0.9, -0.3, 0.0, 0.5, 1.0])] * 3), max_size=80),
    st.integers(0, 500),
)
def test_every_start_has_one_end_and_intervals_do_not_overlap(parts, moods, early_ms):
    steps = steps_of(parts, range(500, 40_000, 500))
    steps = [_with_opinion(step, moods[i % len(moods)]) if moods else step
             for i, step in enumerate(steps)]  # fmt: skip
    end_ns = parts[-1][1]
    events = run(steps, end_ns - early_ms * MS, EventSettings(face_confirm=1, sentiment_shift=0.2))
    stories = defaultdict(list)
    for event in events:
        stories[event.id].append(event)
        assert decode(*encode(event)) == event
    free_from_ns = defaultdict(int)
    for story in stories.values():
        kind, start_ns = story[0].kind, story[0].start_ns
        phases = [e.phase for e in story]
        assert phases == [Phase.START, *[Phase.UPDATE] * (len(story) - 2), Phase.END]
        assert {(e.kind, e.start_ns, e.label) for e in story} == {(kind, start_ns, story[0].label)}
        assert [e.end_ns is None for e in story] == [True] * (len(story) - 1) + [False]
        assert free_from_ns[kind] <= start_ns <= story[-1].end_ns <= end_ns
        free_from_ns[kind] = story[-1].end_ns


def _with_opinion(step, scores):
    mood, video, audio = scores
    alone = {Modality.VIDEO: video, Modality.AUDIO: audio}
    said = {m: s for m, s in alone.items() if s is not None}
    opinion = result(step.result.end_ns, score=mood, alone=said)
    return Prediction(result=opinion, speech=step.speech, loudness=step.loudness, faces=step.faces)
