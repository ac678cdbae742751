"""What `align_arrays` says of a recording is what the aligner says of it live."""

from __future__ import annotations

import numpy as np
from aligner_strategies import STREAM, packet, recordings, window_specs
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.aligner import Aligner
from streaming.aligner_arrays import ModalityAlignment, align_arrays
from streaming.packets import PacketBatch
from streaming.windows import ClosedBy, View, ViewState, Window

STATES = [ViewState.ABSENT, ViewState.EMPTY, ViewState.GAPPY, ViewState.COMPLETE]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_equals_the_live_aligner(data: st.DataObject) -> None:
    spec = data.draw(window_specs(deadlines=False))
    recording = data.draw(recordings(spec))
    strays = [(0, -3, 4), (0, 5, -1), (0, 7, 3)] if data.draw(st.booleans()) else []
    aligner, headers, ends = Aligner(STREAM, spec), [], []
    for modality, packets in recording.packets.items():
        packets = [packet(modality, *stray, 99) for stray in strays] + packets
        packets = data.draw(st.permutations(packets))
        end = recording.ended_ns[modality]
        batch = PacketBatch.of(STREAM, modality, packets, progress_ns=end, ended=True)
        aligner.push(batch)
        headers.append(batch.header)
        ends.append(end)
    windows = aligner.poll()
    aligned = align_arrays(spec, headers, ends)
    assert aligned.start_ns.tolist() == [w.start_ns for w in windows]
    assert aligned.has_end == (bool(windows) and windows[-1].closed_by is ClosedBy.END)
    for m, modality in enumerate(aligned.modalities):
        assert np.array_equal(headers[m][modality.source_rows], modality.header)
        for window in windows:
            assert_same(modality, window, window.views[m])


def assert_same(modality: ModalityAlignment, window: Window, view: View) -> None:
    k = window.index
    members = modality.members(k, window.start_ns)
    assert np.array_equal(modality.header[members], view.header)
    assert modality.coverage[k] == view.coverage
    assert STATES[modality.state[k]] == view.state
    if view.grid is None:
        assert modality.left.shape[1] == 0
        return
    for mine, theirs in ((modality.left, view.grid.left), (modality.right, view.grid.right)):
        assert np.array_equal(mine[k] >= 0, view.grid.mask)
        hits = view.grid.mask
        assert np.array_equal(mine[k][hits], members[theirs[hits]])
    assert modality.weight[k].tobytes() == view.grid.weight.tobytes()
