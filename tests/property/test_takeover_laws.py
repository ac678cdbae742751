"""An aligner stage that takes another's place: the same windows, and every packet accounted for."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actors.align import AlignStage
from actors.messages import Cargo, Packets, StreamEnded, StreamOpened, WindowReady
from streaming.clock import NS_PER_MS, HandClock
from streaming.packets import T_NS, AudioChunk, Modality, Packet, PacketBatch, TextMessage
from streaming.settings import WindowSettings
from streaming.states import Status

AUDIO, TEXT = Modality.AUDIO, Modality.TEXT
HOP_NS = 500 * NS_PER_MS
WINDOWS = WindowSettings(length_ms=1000, hop_ms=500, deadline_ms=1000)
REVISING = WindowSettings(length_ms=1000, hop_ms=500, deadline_ms=200, revise_ms=2000)
OPENED = StreamOpened(stream="s", modalities=(AUDIO, TEXT), origin_ns=0, paced=True)
SOUND = AudioChunk(samples=np.zeros((800, 1), np.float32), sample_rate_hz=16_000)


def sent(hops: int, lost: set[int]) -> list[Packets]:
    """Two batches for each hop, numbered; packets in `lost` were never read."""
    out: list[Packets] = []
    number = 0
    for hop in range(hops):
        ended = hop == hops - 1
        for modality, step_ns, payload in (
            (AUDIO, HOP_NS // 10, SOUND),
            (TEXT, HOP_NS, TextMessage(text="word")),
        ):
            times = range(hop * HOP_NS, (hop + 1) * HOP_NS, step_ns)
            packets = [
                Packet(
                    stream="s",
                    modality=modality,
                    seq=number + i,
                    t_ns=t,
                    duration_ns=step_ns if modality is AUDIO else 0,
                    payload=payload,
                )
                for i, t in enumerate(times)
                if t // step_ns not in lost or modality is TEXT
            ]
            progress_ns = (hop + 1) * HOP_NS
            batch = PacketBatch.of("s", modality, packets, progress_ns=progress_ns, ended=ended)
            out.append(Packets(batch, number, OPENED))
            number += len(packets)
    return out


def run(stage: AlignStage, clock: HandClock, cargoes: list[Packets]) -> list[Cargo]:
    out: list[Cargo] = []
    for cargo in cargoes:
        clock.advance(max(cargo.batch.progress_ns - clock.now_ns(), 0))
        out += stage.handle(cargo) + stage.tick()
    return out


def shown(out: list[Cargo]) -> dict[int, tuple[object, ...]]:
    return {
        c.index: (c.receipts, len(c.hops), c.start_ns, c.end_ns, c.signals)
        for c in out
        if isinstance(c, WindowReady) and c.status is not Status.PROVISIONAL
    }


@given(
    windows=st.sampled_from([WINDOWS, REVISING]),
    hops=st.integers(6, 24),
    died_after=st.integers(1, 40),
    unseen=st.integers(0, 3),
    outage_hops=st.integers(0, 6),
    lost=st.sets(st.integers(0, 200), max_size=30),
)
def test_a_stage_that_takes_over_makes_the_same_windows_and_counts_each_packet_once(
    windows: WindowSettings,
    hops: int,
    died_after: int,
    unseen: int,
    outage_hops: int,
    lost: set[int],
) -> None:
    # hop        0    1    2    3  ✝  4    5 ...
    # old stage  ███████████████████
    # published  ██████████████ (the last `unseen` windows went down with it)
    # new stage                     ···· gets all batches again, then the rest
    cargoes = sent(hops, lost)
    died_after = min(died_after, len(cargoes) - 1)
    clock = HandClock()
    whole = run(AlignStage(windows, clock), clock, cargoes)

    clock = HandClock()
    old = AlignStage(windows, clock)
    old.handle(OPENED)
    before = shown(run(old, clock, cargoes[:died_after]))
    last = max(before, default=-1) - unseen
    published = {"s": last} if last >= 0 else {}
    accounts = old.accounts()
    clock.advance(outage_hops * HOP_NS)
    new = AlignStage(windows, clock, published, accounts)
    after = run(new, clock, cargoes)

    expected = {i: w for i, w in shown(whole).items() if i > last}
    assert shown(after) == expected
    (end,) = (c for c in after if isinstance(c, StreamEnded))
    (reference,) = (c for c in whole if isinstance(c, StreamEnded))
    assert (end.pushed, end.windowed, end.dropped) == (
        reference.pushed,
        reference.windowed,
        reference.dropped,
    )


def test_packets_that_never_came_again_are_counted_as_lost_to_the_restart() -> None:
    cargoes = sent(20, set())
    clock = HandClock()
    old = AlignStage(WINDOWS, clock)
    last = max(shown(run(old, clock, cargoes[:20])))
    new = AlignStage(WINDOWS, clock, {"s": last}, old.accounts())
    *_, end = run(new, clock, cargoes[28:])  # four hops were sent to nobody and not kept
    assert isinstance(end, StreamEnded)
    total = sum(len(c.batch.payloads) for c in cargoes)
    assert end.pushed == total
    assert end.pushed == end.windowed + sum(end.dropped.values())
    assert end.dropped["restart"] >= 4 * 11


def later(cargo: Packets, delta_ns: int) -> Packets:
    """The same packets in the stream's next segment, later by `delta_ns`."""
    batch = cargo.batch
    header = batch.header.copy()
    header[:, T_NS] += delta_ns
    moved = msgspec.structs.replace(batch, header=header, progress_ns=batch.progress_ns + delta_ns)
    opened = msgspec.structs.replace(OPENED, begin_ns=delta_ns, segment=1)
    return Packets(moved, cargo.number, opened)


@given(
    first=st.integers(3, 10),
    second=st.integers(6, 12),
    pause=st.integers(0, 8),
    died_after=st.integers(0, 50),
)
def test_a_stream_that_was_paused_goes_on_as_if_it_began_there_whoever_takes_over(
    first: int, second: int, pause: int, died_after: int
) -> None:
    # segment 0 ██████ end      segment 1 ██████████ end
    # old stage ██████████████████████ ✝
    # new stage                      gets all of both again, and makes the rest of segment 1
    delta_ns = (first + pause) * HOP_NS
    cargoes = sent(first, set())
    ending = len(cargoes)
    cargoes += [later(c, delta_ns) for c in sent(second, set())]
    died_after = min(ending + died_after, len(cargoes) - 1)
    clock = HandClock()
    whole = run(AlignStage(WINDOWS, clock), clock, cargoes)

    clock = HandClock()
    old = AlignStage(WINDOWS, clock)
    before = run(old, clock, cargoes[: ending - 1])
    accounts = old.accounts()  # the last that was heard of segment 0
    before += run(old, clock, cargoes[ending - 1 : died_after])
    accounts |= old.accounts()
    published = {"s": max(shown(before))}
    new = AlignStage(WINDOWS, clock, published, accounts, {"s": 1})
    after = run(new, clock, cargoes)

    assert shown(after) == {i: w for i, w in shown(whole).items() if i > published["s"]}
    ends = [c for c in whole if isinstance(c, StreamEnded)]
    assert [c.segment for c in ends] == [0, 1]
    assert all(c.pushed == c.windowed + sum(c.dropped.values()) for c in ends)
    assert [c for c in after if isinstance(c, StreamEnded)] == ends[1:]
    assert (
        min(i for i in shown(whole) if i * HOP_NS >= first * HOP_NS) * HOP_NS >= delta_ns - HOP_NS
    )
