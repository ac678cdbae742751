"""The GPU's figures, as the rest of the pipeline names them."""

from __future__ import annotations

from models.gpu import gpu_state
from streaming.figures import GpuUse


def gpu_use() -> GpuUse | None:
    """What the GPU of this process does; None without one."""
    state = gpu_state()
    if state is None:
        return None
    return GpuUse(used_bytes=state.used_bytes, total_bytes=state.total_bytes, busy=state.busy)
