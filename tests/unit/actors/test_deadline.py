"""By when a window had to be closed: known to the model, but for windows of a lost aligner."""

from __future__ import annotations

import pytest

from actors.align import PATIENCE_NS, AlignStage
from actors.messages import Packets, StreamOpened, WindowReady
from streaming.clock import NS_PER_MS, HandClock
from streaming.packets import Modality, PacketBatch
from streaming.settings import WindowSettings

MS = NS_PER_MS
ORIGIN_NS = 10_000 * MS


def deadlines(
    windows: WindowSettings, now_ms: int, *, paced: bool = True, published: int | None = None
) -> dict[int, int]:
    """Of windows of which all has come at `now_ms` of the session, in ms of the session."""
    clock = HandClock(now_ms * MS)
    stage = AlignStage(windows, clock, None if published is None else {"s": published})
    opened = StreamOpened(stream="s", modalities=(Modality.TEXT,), origin_ns=ORIGIN_NS, paced=paced)
    batch = PacketBatch.of("s", Modality.TEXT, [], progress_ns=3000 * MS)
    stage.handle(opened)
    out = [w for w in stage.handle(Packets(batch, 0, opened)) if isinstance(w, WindowReady)]
    assert out
    return {w.index: w.deadline_ns // MS for w in out}


def test_a_window_had_to_be_closed_at_its_deadline() -> None:
    # length 2000, hop 500, deadline 1000, origin 10000
    # w0  10000 to 12000, by 13000
    assert deadlines(WindowSettings(), 13_000) == {0: 13_000, 1: 13_500, 2: 14_000}
    assert deadlines(WindowSettings(revise_ms=500), 13_000) == {0: 13_500, 1: 14_000, 2: 14_500}


@pytest.mark.parametrize(
    ("windows", "paced"), [(WindowSettings(deadline_ms=0), True), (WindowSettings(), False)]
)
def test_without_a_deadline_there_is_none(windows: WindowSettings, paced: bool) -> None:
    assert set(deadlines(windows, 13_000, paced=paced).values()) == {0}


def test_windows_that_an_aligner_inherits_are_excused() -> None:
    # the stage took over at 12000, and gets what was sent before until 14000
    late = 12_000 + PATIENCE_NS // MS
    found = deadlines(WindowSettings(hop_ms=500), 12_000, published=-1)
    assert found == {0: 0, 1: 0, 2: 0} and late == 14_000
    assert deadlines(WindowSettings(deadline_ms=1001), 12_000, published=-1)[2] == 14_001
