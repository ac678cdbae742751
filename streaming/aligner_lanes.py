"""What an aligner keeps beside the kernels' rows: their state, laid out, and a lane a modality."""

from __future__ import annotations

import numpy as np

from streaming import aligner_kernels as k
from streaming.clock import NS_PER_S
from streaming.errors import UsageError
from streaming.packets import Int64Array, Payload
from streaming.windows import ModalitySpec, Resampling, WindowSpec

POINTS = 100_000  # of one grid


class Grids:
    """Where the kernel writes grids: those of all modalities, end to end."""

    def __init__(self, points: int) -> None:
        self.points = np.zeros((2, points), np.int64)
        self.weight = np.zeros(points, np.float32)
        self.mask = np.zeros(points, np.bool_)


class Lane:
    """What one modality has outside the arrays: payloads, row for row as held, and its grid."""

    __slots__ = (
        "left",
        "linear",
        "m",
        "mask",
        "modality",
        "payloads",
        "right",
        "room",
        "step_ns",
        "weight",
    )

    def __init__(self, m: int, spec: ModalitySpec, line: Int64Array, grids: Grids) -> None:
        self.m = m
        self.modality = spec.modality
        self.payloads: list[Payload] = []
        self.room = 0
        self.linear = spec.resampling is Resampling.LINEAR
        self.step_ns = int(line[k.STEP])
        mine = slice(int(line[k.GRID_FROM]), int(line[k.GRID_FROM] + line[k.GRID_SIZE]))
        self.left, self.right = grids.points[:, mine]
        self.weight, self.mask = grids.weight[mine], grids.mask[mine]
        self.weight.flags.writeable = self.linear  # the nearest packet has no weight: zeros, shared


def initial_state(stream: str, spec: WindowSpec, capacity: int) -> Int64Array:
    """Check `spec` and lay it out as the kernels want it."""
    check(stream, spec)
    state = np.zeros((len(spec.modalities) + 1, k.COLUMNS), np.int64)
    state[-1, k.HOP], state[-1, k.LENGTH] = spec.hop_ns, spec.length_ns
    state[-1, k.LATENESS], state[-1, k.DEADLINE] = spec.lateness_ns, spec.deadline_ns
    state[-1, k.CAPACITY] = capacity
    points = 0
    for line, s in zip(state, spec.modalities, strict=False):
        line[k.SEEN] = line[k.REACH] = line[k.COVER] = k.NEVER_NS
        line[k.CONTINUOUS], line[k.MAX_GAP] = s.continuous, s.max_gap_ns
        line[k.LINEAR], line[k.TOLERANCE] = s.resampling is Resampling.LINEAR, s.tolerance_ns
        line[k.GRID_FROM] = points
        if s.grid_hz > 0:
            line[k.STEP] = step_ns = round(NS_PER_S / s.grid_hz)
            line[k.GRID_SIZE] = -(-spec.length_ns // step_ns)
        points += int(line[k.GRID_SIZE])
    return state


def check(stream: str, spec: WindowSpec) -> None:
    """Refuse a spec that cannot be: one clear line."""
    faults = [
        (not 0 < spec.hop_ns <= spec.length_ns <= 24 * k.HOUR_NS, "0 < hop <= length <= 24 h"),
        (spec.hop_ns > 0 and spec.length_ns % spec.hop_ns != 0, "a length that is n * hop"),
        (min(spec.lateness_ns, spec.deadline_ns) < 0, "lateness and deadline >= 0"),
        (max(spec.lateness_ns, spec.deadline_ns) > 24 * k.HOUR_NS, "lateness, deadline <= 24 h"),
        (not spec.modalities, "at least one modality"),
        (len({s.modality for s in spec.modalities}) < len(spec.modalities), "unique modalities"),
    ]
    for s in spec.modalities:
        low, high = min(s.max_gap_ns, s.tolerance_ns), max(s.max_gap_ns, s.tolerance_ns)
        faults += [
            (not 0 <= low <= high <= 24 * k.HOUR_NS, "0 <= max_gap, tolerance <= 24 h"),
            (not 0 <= s.grid_hz <= NS_PER_S, "0 <= grid_hz <= 1e9"),
            (s.grid_hz * spec.length_ns > POINTS * NS_PER_S, f"at most {POINTS} grid points"),
        ]
    for is_wrong, wanted in faults:
        if is_wrong:
            raise UsageError(f"stream {stream}: windows need {wanted}; got {spec}")
