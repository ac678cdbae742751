"""The aligner by example: one drawn time line for each rule of docs/time-and-windows.md."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from streaming.aligner import Aligner
from streaming.errors import UsageError
from streaming.packets import Modality, Packet, PacketBatch, TextMessage
from streaming.results import Health, HealthKind
from streaming.windows import ClosedBy, ModalitySpec, Resampling, ViewState, Window, WindowSpec

VIDEO, TEXT = Modality.VIDEO, Modality.TEXT


def spec(*modalities: ModalitySpec, **changes: Any) -> WindowSpec:
    """Windows of 20 ns, one every 10 ns."""
    modalities = modalities or (ModalitySpec(modality=VIDEO),)
    return WindowSpec(**{"length_ns": 20, "hop_ns": 10, "modalities": modalities, **changes})


def batch(*times: int | tuple[int, int], modality: Modality = VIDEO, **more: Any) -> PacketBatch:
    """Packets at `times`, or at (time, duration); `seq` is the time."""
    spans = [t if isinstance(t, tuple) else (t, 0) for t in times]
    packets = [
        Packet(
            stream="s",
            modality=modality,
            seq=t,
            t_ns=t,
            duration_ns=duration,
            payload=TextMessage(text=str(t)),
        )
        for t, duration in spans
    ]
    return PacketBatch.of("s", modality, packets, **more)


def times(window: Window, modality: Modality = VIDEO) -> list[int]:
    view = window.view(modality)
    assert view is not None
    return view.header[:, 1].tolist()


def closed(windows: list[Window]) -> list[tuple[int, ClosedBy]]:
    return [(w.index, w.closed_by) for w in windows]


def test_packets_belong_to_every_window_they_touch() -> None:
    #        0         10        20        30        40
    # video  .  5      .    15---.-----27  .
    # w0     [ 5            15---)
    # w1               [    15---.-----27  )
    # w2                         [-----27            )
    aligner = Aligner("s", spec())
    aligner.push(batch(5, (15, 12), progress_ns=40))
    windows = aligner.poll()
    assert [times(w) for w in windows] == [[5, 15], [15], [15]]
    assert [w.views[0].new_from for w in windows] == [0, 1, 1]
    assert [w.new_from_ns for w in windows] == [0, 20, 30]
    assert windows[0].views[0].payloads[1] == TextMessage(text="15")


def test_a_window_waits_for_the_slowest_modality() -> None:
    #        0         10        20
    # video  .  5      .         .  25      seen 25: passed 20
    # text   .         .  12 |              promised 12, then 20
    aligner = Aligner(
        "s", spec(ModalitySpec(modality=VIDEO), ModalitySpec(modality=TEXT, continuous=False))
    )
    aligner.push(batch(5, 25))
    aligner.push(batch(modality=TEXT, progress_ns=12))
    assert aligner.poll() == []
    aligner.push(batch(modality=TEXT, progress_ns=20))
    (window,) = aligner.poll()
    assert times(window) == [5]
    assert [v.state for v in window.views] == [ViewState.GAPPY, ViewState.EMPTY]


def test_lateness_holds_back_what_was_seen_but_not_what_was_promised() -> None:
    # video  .  5      .         20 24   26     lateness 5: seen 24 has passed 19, seen 26 has 21
    aligner = Aligner("s", spec(lateness_ns=5))
    aligner.push(batch(5, 24))
    assert aligner.poll() == []
    aligner.push(batch(21, 26))
    assert closed(aligner.poll()) == [(0, ClosedBy.WATERMARK)]
    aligner.push(batch(progress_ns=30))
    assert closed(aligner.poll()) == [(1, ClosedBy.WATERMARK)]


def test_the_deadline_closes_without_the_one_that_did_not_come() -> None:
    #        0         10        20        30
    # video  .  5      .         .  25
    # text   .    8 |                              now = 30 = end of w0 + 10
    text = ModalitySpec(modality=TEXT, continuous=False)
    aligner = Aligner("s", spec(ModalitySpec(modality=VIDEO), text, deadline_ns=10))
    aligner.push(batch(5, 25))
    aligner.push(batch(modality=TEXT, progress_ns=8))
    assert aligner.poll(29) == []
    (window,) = aligner.poll(30)
    assert window.closed_by is ClosedBy.DEADLINE
    assert window.views[1].coverage == 8 / 20


@pytest.mark.parametrize(
    ("duration_s", "full", "end"), [(24.28, 45, 1), (0.7, 0, 1), (2.0, 1, 0), (2.5, 2, 0)]
)
def test_a_clip_ends_with_at_most_one_partial_window(
    duration_s: float, full: int, end: int
) -> None:
    end_ns = round(duration_s * 1e9)
    aligner = Aligner("s", WindowSpec(modalities=(ModalitySpec(modality=VIDEO),)))
    aligner.push(batch((0, end_ns), ended=True))
    windows = aligner.poll()
    assert [w.closed_by for w in windows] == [ClosedBy.WATERMARK] * full + [ClosedBy.END] * end
    assert all(w.end_ns - w.start_ns == 2_000_000_000 for w in windows)
    assert aligner.finished
    assert aligner.ledger().pending == 0


def test_a_stream_without_packets_has_no_windows_but_keeps_its_health() -> None:
    lost = Health(stream="s", kind=HealthKind.SOURCE_LOST, t_ns=3, modality=VIDEO)
    aligner = Aligner("s", spec())
    aligner.push(batch(ended=True, progress_ns=500, health=(lost,)))
    assert aligner.poll() == []
    assert aligner.finished
    assert aligner.leftover_health() == (lost,)
    assert aligner.leftover_health() == ()


def test_every_refusal_is_counted_and_published() -> None:
    # w0 [0, 20) is closed, then: 7 late, 25 twice, -1 before the origin, a negative duration
    aligner = Aligner("s", spec(), capacity=2)
    aligner.push(batch(5, progress_ns=20))
    assert len(aligner.poll()) == 1
    aligner.push(batch(7, 25, 25, -1, (28, -1)))
    aligner.push(batch(26, 27, progress_ns=30))
    (window,) = aligner.poll()
    assert [(h.kind, h.t_ns, h.count, h.detail) for h in window.health] == [
        (HealthKind.DROP, 0, 1, "before_origin"),
        (HealthKind.LATE, 7, 1, "late"),
        (HealthKind.DROP, 25, 1, "duplicate"),
        (HealthKind.DROP, 25, 1, "invalid"),
        (HealthKind.DROP, 27, 1, "overflow"),
    ]
    ledger = aligner.ledger()
    assert (ledger.pushed, ledger.windowed, ledger.pending) == (8, 3, 0)
    assert sum(ledger.dropped.values()) == 5
    assert ledger.modalities[VIDEO].dropped == ledger.dropped


def test_packets_after_their_source_ended_are_late() -> None:
    aligner = Aligner("s", spec())
    aligner.push(batch(5, ended=True))
    aligner.push(batch(6))
    assert aligner.ledger().dropped == {"late": 1}


def test_coverage_joins_small_holes_and_counts_large_ones() -> None:
    #        0    3    6        13   16    20
    # video  [----)    [----)   [----)              max_gap 3: only 9..13 is a hole
    aligner = Aligner("s", spec(ModalitySpec(modality=VIDEO, max_gap_ns=3)))
    aligner.push(batch((0, 3), (6, 3), (13, 4), progress_ns=30))
    first, second = aligner.poll()
    assert (first.views[0].coverage, first.views[0].state) == (16 / 20, ViewState.GAPPY)
    # w1 [10, 30): the packet that ended at 9 is more than 3 before 13; nothing after 17.
    assert second.views[0].coverage == 4 / 20


def test_a_point_packet_holds_good_for_the_largest_gap() -> None:
    # video  0 (to 4)   6 (to 10)           6 - 0 > 4: 4..6 is a hole; 10..20 too
    aligner = Aligner("s", spec(ModalitySpec(modality=VIDEO, max_gap_ns=4)))
    aligner.push(batch(0, 6, progress_ns=20))
    assert aligner.poll()[0].views[0].coverage == 8 / 20


def test_nearest_grid_takes_the_earlier_of_two_and_masks_what_is_far() -> None:
    # instants 0 . . . . 5 . . . . 10 . . . . 15
    # video      .       4   6                        tolerance 2
    grid = ModalitySpec(modality=VIDEO, grid_hz=1e9 / 5, tolerance_ns=2)
    aligner = Aligner("s", spec(grid))
    aligner.push(batch(4, 6, progress_ns=20))
    result = aligner.poll()[0].views[0].grid
    assert result is not None
    assert result.left.tolist() == result.right.tolist() == [-1, 0, -1, -1]
    assert result.mask.tolist() == [False, True, False, False]


def test_linear_grid_weighs_both_sides() -> None:
    # instants 0 . . . . 5 . . . . 10 . . . . 15
    # video          3         8   10                tolerance 4
    grid = ModalitySpec(
        modality=VIDEO, grid_hz=1e9 / 5, tolerance_ns=4, resampling=Resampling.LINEAR
    )
    aligner = Aligner("s", spec(grid))
    aligner.push(batch(3, 8, 10, progress_ns=20))
    result = aligner.poll()[0].views[0].grid
    assert result is not None
    assert result.left.tolist() == [-1, 0, 2, -1]
    assert result.right.tolist() == [-1, 1, 2, -1]
    assert result.weight.tolist() == [0.0, np.float32(0.4), 0.0, 0.0]


def test_read_only_and_sliced_headers_are_taken() -> None:
    whole = batch(1, 2, 3, progress_ns=20)
    wide = np.repeat(whole.header, 2, axis=0)[::2]
    wide.flags.writeable = False
    aligner = Aligner("s", spec())
    aligner.push(
        PacketBatch(
            stream="s", modality=VIDEO, header=wide, payloads=whole.payloads, progress_ns=20
        )
    )
    assert times(aligner.poll()[0]) == [1, 2, 3]


@pytest.mark.parametrize(
    "changes",
    [
        {"hop_ns": 0},
        {"length_ns": 25},
        {"length_ns": 5},
        {"lateness_ns": -1},
        {"deadline_ns": -1},
        {"modalities": ()},
        {"modalities": (ModalitySpec(modality=VIDEO),) * 2},
        {"modalities": (ModalitySpec(modality=VIDEO, max_gap_ns=-1),)},
        {"modalities": (ModalitySpec(modality=VIDEO, grid_hz=-1.0),)},
    ],
)
def test_a_spec_that_cannot_be_is_refused_in_one_line(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refusal:
        Aligner("lab", spec(**changes))
    assert "lab" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_batch_that_does_not_belong_is_refused() -> None:
    aligner = Aligner("s", spec())
    strangers = [batch(1, modality=TEXT), PacketBatch.of("other", VIDEO, [])]
    for stranger in strangers:
        with pytest.raises(UsageError, match="stream s"):
            aligner.push(stranger)


class Tracked(TextMessage, frozen=True, kw_only=True, weakref=True):
    """A payload whose end can be seen."""


def test_memory_stays_flat_over_hours() -> None:
    # Two hours of 30 packets/s in hops of 0.5 s, slightly out of order, one in 50 lasting 5 s.
    second, alive = 1_000_000_000, weakref.WeakSet()
    frames = ModalitySpec(modality=VIDEO, max_gap_ns=second)
    aligner = Aligner("s", WindowSpec(lateness_ns=second // 2, modalities=(frames,)))
    sizes, most = set(), 0
    for hop in range(2 * 3600 * 2):
        header = np.zeros((15, 5), np.int64)
        header[:, 0] = np.arange(15) + hop * 15
        header[:, 1] = header[:, 0] * second // 30
        header[:, 2] = np.where(header[:, 0] % 50 == 0, 5 * second, second // 30)
        header[[7, 8]] = header[[8, 7]]
        payloads = tuple(Tracked(text="") for _ in range(15))
        for payload in payloads[:3]:
            alive.add(payload)
        aligner.push(PacketBatch(stream="s", modality=VIDEO, header=header, payloads=payloads))
        aligner.poll()
        if hop % 400 == 0:
            gc.collect()
            most = max(most, len(alive))
            sizes.add(aligner._rows.nbytes)  # the arrays are the state: they must not grow
    assert len(sizes) == 1
    assert most <= 3 * 8  # three tracked in each hop; a window and the lateness are six hops
    assert aligner.ledger().pending <= 45
