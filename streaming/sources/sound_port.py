"""The seam between a microphone's driver and the source that reads it.

Invariant: a port counts every frame the device delivered, also those it could not keep, so that
`first_frame` is the device's own clock.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np

from streaming.packets import Float32Array
from streaming.sources.kept_port import Port


class SoundBlock(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What one call of the driver brought. `samples`: float32 (N, C).

    `first_frame`: number of the first sample since the device was started. `arrival_ns`: session
    time of the call. `age_ns`: by how much the first sample is older, as the driver says.
    `overflow`: the driver lost sound before this block. `lost`: frames that were delivered before
    it and not taken in time. `corrupt`: samples that were not numbers and are 0 now.
    """

    samples: Float32Array
    first_frame: int
    arrival_ns: int
    age_ns: int
    overflow: bool = False
    lost: int = 0
    corrupt: int = 0


class SoundPort(Port, Protocol):
    """An opened microphone."""

    rate_hz: int

    def read(self, timeout_s: float) -> SoundBlock | None:
        """The next block, or None when none came in time; `PortLostError` when none will."""
        ...


def mended(block: SoundBlock) -> SoundBlock:
    """`block` with samples that are not numbers replaced by 0 and counted."""
    finite = np.isfinite(block.samples)
    if finite.all():
        return block
    samples = np.where(finite, block.samples, np.float32(0))
    corrupt = int(finite.size - np.count_nonzero(finite))
    return msgspec.structs.replace(block, samples=samples, corrupt=corrupt)
