"""Figures of the parts: queues, GPU, and sources that came back."""

from __future__ import annotations

import pytest

from actors.messages import decode, encode
from models.gpu import gpu_state
from streaming.figures import Figures, GpuUse
from streaming.health import Health, HealthKind
from streaming.modality import Modality
from streaming.sinks.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return {
        (s.name, *s.labels.values()): s.value
        for family in metrics.registry.collect()
        for s in family.samples
    }


class Gpu:
    """Stands where `torch.cuda` stands."""

    def __init__(self, *, there: bool = True, busy: int | None = 30) -> None:
        self.there, self.busy = there, busy

    def is_available(self) -> bool:
        return self.there

    def mem_get_info(self) -> tuple[int, int]:
        return 6, 10

    def utilization(self) -> int:
        if self.busy is None:
            raise ModuleNotFoundError("pynvml")
        return self.busy


def test_without_a_gpu_there_are_no_figures_of_one() -> None:
    assert gpu_state(Gpu(there=False)) is None
    metrics = Metrics()
    metrics.observe(Figures(part="infer", waiting=3))
    seen = samples(metrics)
    assert seen["attune_queue_depth", "infer"] == 3
    assert not [key for key in seen if "gpu" in key[0]]


@pytest.mark.parametrize("busy", [30, None])
def test_what_a_gpu_does_is_served(busy: int | None) -> None:
    state = gpu_state(Gpu(busy=busy))
    assert state is not None
    use = GpuUse(used_bytes=state.used_bytes, total_bytes=state.total_bytes, busy=state.busy)
    metrics = Metrics()
    metrics.observe(Figures(part="infer", gpu=use))
    seen = samples(metrics)
    assert seen["attune_gpu_memory_bytes", "infer", "used"] == 4
    assert seen["attune_gpu_memory_bytes", "infer", "total"] == 10
    assert seen.get(("attune_gpu_busy_ratio", "infer")) == (None if busy is None else 0.3)


def test_figures_cross_processes() -> None:
    figures = Figures(part="a", waiting=1, gpu=GpuUse(used_bytes=1, total_bytes=2))
    assert decode(encode(figures)) == figures


def test_a_source_that_comes_back_is_counted_and_other_troubles_are_not() -> None:
    # cam video   lost        recovered   (black)  recovered
    # cam audio   lost   lost                      recovered
    metrics = Metrics()

    def told(kind: HealthKind, modality: Modality) -> None:
        metrics.take(Health(stream="cam", kind=kind, t_ns=0, modality=modality))

    for kind, modality in (
        (HealthKind.SOURCE_LOST, Modality.VIDEO),
        (HealthKind.SOURCE_LOST, Modality.AUDIO),
        (HealthKind.RECOVERED, Modality.VIDEO),
        (HealthKind.SOURCE_LOST, Modality.AUDIO),
        (HealthKind.BLACK, Modality.VIDEO),
        (HealthKind.RECOVERED, Modality.VIDEO),
        (HealthKind.RECOVERED, Modality.AUDIO),
    ):
        told(kind, modality)
    seen = samples(metrics)
    assert seen["attune_reconnects_total", "cam", "video"] == 1
    assert seen["attune_reconnects_total", "cam", "audio"] == 1
