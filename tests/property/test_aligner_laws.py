"""The aligner's laws, on streams that Hypothesis makes up."""

from __future__ import annotations

from collections import Counter

from aligner_strategies import (
    STREAM,
    Recording,
    Step,
    deliveries,
    exactly,
    lawless_steps,
    recordings,
    window_specs,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_aligner import ReferenceAligner, span_end

from streaming.aligner import Aligner
from streaming.packets import SEQ, T_NS, PacketBatch
from streaming.windows import Window


def take(aligner: Aligner | ReferenceAligner, step: Step) -> list[Window]:
    if isinstance(step, PacketBatch):
        aligner.push(step)
        return []
    return aligner.poll(step)


def assert_conserved(aligner: Aligner) -> None:
    ledger = aligner.ledger()
    for counts in (ledger, *ledger.modalities.values()):
        assert counts.pushed == counts.windowed + sum(counts.dropped.values()) + counts.pending


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_equals_the_reference_whatever_comes(data: st.DataObject) -> None:
    spec = data.draw(window_specs(deadlines=True))
    capacity = data.draw(st.sampled_from([1, 3, 1000]))
    aligner, reference = Aligner(STREAM, spec, capacity), ReferenceAligner(STREAM, spec, capacity)
    for step in data.draw(lawless_steps(spec)):
        assert exactly(take(aligner, step)) == exactly(take(reference, step))
        assert_conserved(aligner)
        assert aligner.finished == reference.finished
        for modality, counts in aligner.ledger().modalities.items():
            source = reference.sources[modality]
            assert counts.pushed == source.pushed
            assert counts.pending == reference.pending(source)
            assert counts.dropped == dict(source.dropped)
    if aligner.finished:
        assert sorted(map(repr, aligner.leftover_health())) == sorted(map(repr, reference.waiting))
        assert aligner.ledger().pending == 0


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_arrival_within_the_bound_changes_nothing(data: st.DataObject) -> None:
    spec = data.draw(window_specs(deadlines=False))
    recording = data.draw(recordings(spec))
    outcomes = []
    for _ in range(2):
        aligner, windows = Aligner(STREAM, spec), []
        for step in data.draw(deliveries(spec, recording)):
            windows += take(aligner, step)
            assert_conserved(aligner)
        assert aligner.finished
        outcomes.append(windows)
    assert exactly(outcomes[0]) == exactly(outcomes[1])
    assert_complete(recording, outcomes[0])


def assert_complete(recording: Recording, windows: list[Window]) -> None:
    """Nothing lost, nothing twice: new exactly once, and shown wherever it reaches."""
    for place, (modality, packets) in enumerate(recording.packets.items()):
        views = [w.views[place] for w in windows]
        new = Counter(seq for v in views for seq in v.header[v.new_from :, SEQ].tolist())
        assert new == Counter(p.seq for p in packets)
        for window, view in zip(windows, views, strict=True):
            assert view.modality == modality
            assert (view.header[view.new_from :, T_NS] >= window.new_from_ns).all()
            touching = {
                p.seq for p in packets if p.t_ns < window.end_ns and span_end(p) > window.start_ns
            }
            assert set(view.header[:, SEQ].tolist()) == touching
