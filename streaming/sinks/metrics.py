"""Prometheus metrics: a sink that counts the messages it is given, and serves the counts over HTTP.

Invariant: labels are bounded: stream names and the fixed words of the wire schema, never text.
A modality without a receipt has no coverage sample: missing is not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from streaming.errors import SinkError
from streaming.figures import Figures
from streaming.results import Event, Health, HealthKind, Heartbeat, Message, Result
from streaming.sinks.base import require_open
from streaming.wire import decode

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LOOPBACK = "127.0.0.1"


Refused = Callable[[], Mapping[str, int]]


class _Refusals(Collector):
    """What the sockets themselves have counted, whenever they are asked."""

    def __init__(self, ports: Mapping[str, Refused]) -> None:
        self._ports = ports

    def collect(self) -> Iterator[CounterMetricFamily]:
        """All that was refused, by port and by what it was."""
        found = CounterMetricFamily(
            "attune_refused", "Connections and requests refused", labels=["port", "what"]
        )
        for port, refused in self._ports.items():
            for what, count in refused().items():
                found.add_metric([port, what], count)
        yield found


class Metrics:
    """The metrics of one publisher, on a registry of its own. `ports`: what each has refused."""

    def __init__(self, ports: Mapping[str, Refused] | None = None) -> None:
        self.registry = own = CollectorRegistry()
        own.register(_Refusals(ports or {}))
        self._latency = Histogram(
            "attune_latency_seconds",
            "Latency of a result by stage (align, queue, model, total)",
            ["stream", "status", "stage"],
            buckets=LATENCY_BUCKETS_S,
            registry=own,
        )
        self._windows = Counter(
            "attune_windows", "Results", ["stream", "status", "closed_by"], registry=own
        )
        self._coverage = Gauge(
            "attune_coverage_ratio",
            "Share of the last window that had input",
            ["stream", "modality"],
            registry=own,
        )
        self._events = Counter("attune_events", "Events begun", ["stream", "kind"], registry=own)
        health_labels = ["stream", "kind", "modality"]
        self._reports = Counter(
            "attune_health_reports", "Health messages", health_labels, registry=own
        )
        self._concerned = Counter(
            "attune_health_concerned",
            "Packets or samples that health messages concerned",
            health_labels,
            registry=own,
        )
        self._reconnects = Counter(
            "attune_reconnects",
            "Sources that were lost and came back",
            ["stream", "modality"],
            registry=own,
        )
        self._lost: set[tuple[str, str]] = set()
        self._queue = Gauge(
            "attune_queue_depth",
            "Most hand-overs that waited at a part within a second",
            ["part"],
            registry=own,
        )
        self._gpu_memory = Gauge(
            "attune_gpu_memory_bytes", "GPU memory, used and total", ["part", "of"], registry=own
        )
        self._gpu_busy = Gauge(
            "attune_gpu_busy_ratio",
            "Share of time in which the GPU computed",
            ["part"],
            registry=own,
        )
        self._beat = Gauge("attune_heartbeat_unix_seconds", "Last heartbeat", registry=own)

    def take(self, message: Message) -> None:
        """Count one message."""
        match message:
            case Result():
                self._result(message)
            case Event():
                if message.phase == "start":
                    self._events.labels(message.stream, message.kind).inc()
            case Health():
                labels = (message.stream, message.kind.value, message.modality or "")
                self._reports.labels(*labels).inc()
                self._concerned.labels(*labels).inc(message.count)
                self._follow(message)
            case Heartbeat():
                self._beat.set(message.published_unix_ns / 1e9)

    def observe(self, figures: Figures) -> None:
        """Take the figures of one part."""
        self._queue.labels(figures.part).set(figures.waiting)
        if figures.gpu is None:
            return
        self._gpu_memory.labels(figures.part, "used").set(figures.gpu.used_bytes)
        self._gpu_memory.labels(figures.part, "total").set(figures.gpu.total_bytes)
        if figures.gpu.busy is not None:
            self._gpu_busy.labels(figures.part).set(figures.gpu.busy)

    def _follow(self, health: Health) -> None:
        """Count the return of what was lost; other troubles recover, too."""
        source = (health.stream, health.modality or "")
        if health.kind is HealthKind.SOURCE_LOST:
            self._lost.add(source)
        elif health.kind is HealthKind.RECOVERED and source in self._lost:
            self._lost.remove(source)
            self._reconnects.labels(*source).inc()

    def _result(self, result: Result) -> None:
        status, closed_by = result.status.value, result.closed_by.value
        self._windows.labels(result.stream, status, closed_by).inc()
        for stage in ("align", "queue", "model", "total"):
            spent_ms = getattr(result.timing, f"{stage}_ms")
            if spent_ms is not None:
                self._latency.labels(result.stream, status, stage).observe(spent_ms / 1e3)
        for modality, receipt in result.modalities.items():
            self._coverage.labels(result.stream, modality.value).set(receipt.coverage)


class MetricsSink:
    """Serves `http://127.0.0.1:port/metrics`; port 0 takes a free one, told by `port`."""

    live = True

    def __init__(self, port: int, ports: Mapping[str, Refused] | None = None) -> None:
        self.metrics = Metrics(ports)
        try:
            self._server, self._thread = start_http_server(
                port, addr=LOOPBACK, registry=self.metrics.registry
            )
        except OSError as error:
            raise SinkError(
                f"metrics cannot be served on {LOOPBACK}:{port}: {error}; choose another port"
            ) from error
        self.port = int(self._server.server_address[1])
        self._closed = False

    def send(self, topic: bytes, payload: bytes) -> None:
        """Count one message."""
        require_open(self._closed, "the metrics port")
        self.metrics.take(decode(topic, payload))

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Stop serving."""
        if self._closed:
            return
        self._closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
