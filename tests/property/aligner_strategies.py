"""Made-up streams for the aligner's property tests, on one small time line.

Hops last 10 ns, so that every border is hit often.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import strategies as st

from streaming.packets import Modality, Packet, PacketBatch, TextMessage
from streaming.results import Health, HealthKind
from streaming.windows import ModalitySpec, Resampling, Window, WindowSpec

STREAM = "made-up"
HOP_NS = 10
HOUR_NS = 3_600_000_000_000

Step = PacketBatch | int | None  # push this, or poll at this time


def modality_specs(modality: Modality) -> st.SearchStrategy[ModalitySpec]:
    return st.builds(
        ModalitySpec,
        modality=st.just(modality),
        continuous=st.booleans(),
        max_gap_ns=st.integers(0, 12),
        grid_hz=st.sampled_from([0.0, 1e9 / 4, 1e9 / 7, 1e9 / 50]),
        resampling=st.sampled_from(Resampling),
        tolerance_ns=st.integers(0, 9),
    )


@st.composite
def window_specs(draw: st.DrawFn, *, deadlines: bool) -> WindowSpec:
    names = draw(st.lists(st.sampled_from(Modality), min_size=1, max_size=3, unique=True))
    return WindowSpec(
        length_ns=HOP_NS * draw(st.sampled_from([1, 2, 4])),
        hop_ns=HOP_NS,
        lateness_ns=draw(st.integers(0, 15)),
        deadline_ns=draw(st.sampled_from([0, 1, 25])) if deadlines else 0,
        modalities=tuple(draw(modality_specs(name)) for name in names),
    )


def packet(modality: Modality, seq: int, t_ns: int, duration_ns: int, number: int) -> Packet:
    return Packet(
        stream=STREAM,
        modality=modality,
        seq=seq,
        t_ns=t_ns,
        duration_ns=duration_ns,
        uncertainty_ns=number % 5,
        received_ns=number,
        payload=TextMessage(text=f"{modality} {number}"),
    )


TIMES = st.integers(0, 120) | st.sampled_from([-5, (1 << 62) + 1, -(1 << 63)])
DURATIONS = st.integers(0, 12) | st.sampled_from([0, 0, 45, 80, -1, HOUR_NS + 1])


@st.composite
def lawless_steps(draw: st.DrawFn, spec: WindowSpec) -> list[Step]:
    """Pushes and polls without any promise kept: everything that can go wrong."""
    steps: list[Step] = []
    number = 0
    for _ in range(draw(st.integers(1, 25))):
        if draw(st.integers(0, 3)) == 0:
            steps.append(draw(st.none() | st.integers(0, 200)))
            continue
        modality = draw(st.sampled_from(spec.modalities)).modality
        packets = []
        for _ in range(draw(st.integers(0, 6))):
            seq, t_ns = draw(st.integers(0, 3)), draw(TIMES)
            packets.append(packet(modality, seq, t_ns, draw(DURATIONS), number))
            number += 1
        promise = draw(st.sampled_from([0, 0, 5, 30, 70, 110]))
        ended = draw(st.integers(0, 9)) == 0
        noise = draw(st.lists(healths(modality), max_size=1))
        steps.append(
            PacketBatch.of(
                STREAM, modality, packets, progress_ns=promise, ended=ended, health=tuple(noise)
            )
        )
    return steps


def healths(modality: Modality) -> st.SearchStrategy[Health]:
    return st.builds(
        Health,
        stream=st.just(STREAM),
        kind=st.sampled_from([HealthKind.GAP, HealthKind.FROZEN]),
        t_ns=st.integers(0, 150),
        modality=st.just(modality),
        count=st.integers(0, 2),
    )


class Recording(msgspec.Struct, frozen=True):
    """What truly happened: packets by modality, and when each source ended."""

    packets: dict[Modality, list[Packet]]
    ended_ns: dict[Modality, int]

    def end_ns(self) -> int:
        return max([0, *(p.end_ns for ps in self.packets.values() for p in ps)])


@st.composite
def recordings(draw: st.DrawFn, spec: WindowSpec) -> Recording:
    packets, ended = {}, {}
    for s in spec.modalities:
        rows = draw(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 30)), max_size=20))
        packets[s.modality] = [packet(s.modality, i, t, d, i) for i, (t, d) in enumerate(rows)]
        ended[s.modality] = max([draw(st.integers(0, 130)), *(t + d for t, d in rows)])
    return Recording(packets, ended)


@st.composite
def deliveries(draw: st.DrawFn, spec: WindowSpec, recording: Recording) -> list[Step]:
    """One lawful way for `recording` to arrive: disorder within the bound, promises kept."""
    queues: dict[Modality, list[Packet]] = {}
    for modality, packets in recording.packets.items():
        # t + delay ascending: whoever comes later is at most `lateness_ns` older.
        delays = draw(
            st.lists(st.integers(0, spec.lateness_ns), min_size=len(packets), max_size=len(packets))
        )
        arrival = sorted(zip(packets, delays, strict=True), key=lambda p: p[0].t_ns + p[1])
        queues[modality] = [p for p, _ in arrival]
    steps: list[Step] = []
    while queues:
        modality = draw(st.sampled_from(sorted(queues)))
        queue = queues[modality]
        cut = len(queue) - draw(st.integers(0, len(queue)))
        now, queues[modality] = draw(st.permutations(queue[:cut])), queue[cut:]
        steps.append(_batch(draw, recording, modality, now, queues[modality]))
        if isinstance(steps[-1], PacketBatch) and steps[-1].ended:
            del queues[modality]
        if draw(st.booleans()):
            steps.append(None)
    return [*steps, None]


def _batch(
    draw: st.DrawFn, recording: Recording, modality: Modality, now: list[Packet], left: list[Packet]
) -> PacketBatch:
    end = recording.ended_ns[modality]
    if not left and not draw(st.booleans()):
        return PacketBatch.of(STREAM, modality, now, progress_ns=end, ended=True)
    highest = min([end, recording.end_ns(), *(p.t_ns for p in left)])
    return PacketBatch.of(STREAM, modality, now, progress_ns=draw(st.integers(0, highest)))


def exactly(windows: Iterable[Window]) -> list[Any]:
    """Everything a window holds, down to the bits of its arrays."""
    return [_bits(msgspec.structs.asdict(w)) for w in windows]


def _bits(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _bits(v) for name, v in value.items()}
    if isinstance(value, tuple | list):
        return [_bits(v) for v in value]
    if isinstance(value, msgspec.Struct):
        return _bits({"type": type(value).__name__, **msgspec.structs.asdict(value)})
    if hasattr(value, "tobytes"):
        return value.dtype.str, value.shape, value.tobytes()
    return value.hex() if isinstance(value, float) else value
