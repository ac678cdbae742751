"""Prometheus metrics of a forwarder: its counts, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streaming.figures import UpstreamFigures


class ForwardMetrics(Collector):
    """Serves `figures` as they stand."""

    def __init__(self, figures: Sequence[UpstreamFigures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """What Prometheus is given."""
        up = GaugeMetricFamily(
            "attune_upstream_up", "Whether a publisher is heard", labels=["upstream"]
        )
        taken = CounterMetricFamily(
            "attune_forward_messages",
            "Messages of a publisher, by what became of them",
            labels=["upstream", "outcome"],
        )
        for one in self._figures:
            up.add_metric([one.upstream], one.up)
            live = one.forwarded - one.mended
            for outcome, count in (
                ("live", live),
                ("mended", one.mended),
                ("gone", one.gone),
                ("refused", one.refused),
                ("garbled", one.garbled),
            ):
                taken.add_metric([one.upstream, outcome], count)
        yield from (up, taken)
