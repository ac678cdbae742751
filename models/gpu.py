"""What the GPU of this process does, where there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch


class Cuda(Protocol):
    """What is asked of `torch.cuda`."""

    def is_available(self) -> bool:
        """Whether there is a GPU."""

    def mem_get_info(self) -> tuple[int, int]:
        """Free bytes, and all."""

    def utilization(self) -> int:
        """Per cent of the time in which it computed; needs NVML."""


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """`used_bytes` by all processes; `busy`: 0 to 1, None where NVML is not to be had."""

    used_bytes: int
    total_bytes: int
    busy: float | None


def gpu_state(cuda: Cuda = torch.cuda) -> GpuState | None:
    """How it stands with the present GPU; None without one."""
    if not cuda.is_available():
        return None
    free, total = cuda.mem_get_info()
    try:
        busy = cuda.utilization() / 100
    except Exception:  # no NVML, no permission, an old driver: all mean "not known"
        busy = None
    return GpuState(used_bytes=total - free, total_bytes=total, busy=busy)
