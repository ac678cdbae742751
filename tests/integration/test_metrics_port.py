"""The metrics port, scraped over real HTTP."""

from __future__ import annotations

from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.sinks import open_sinks
from streaming.errors import SinkError
from streaming.modality import Modality
from streaming.results import (
    Event,
    Health,
    HealthKind,
    ModalityReceipt,
    Phase,
    Result,
    Signals,
    Timing,
)
from streaming.settings import AttuneSettings, MetricsSettings, OutputSettings
from streaming.sinks import MetricsSink, Publisher
from streaming.states import ClosedBy, ViewState


def scrape(port):
    text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    return {
        (s.name, *(s.labels[name] for name in sorted(s.labels))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def a_result():
    return Result(
        stream="room",
        index=0,
        start_ns=0,
        end_ns=2_000_000_000,
        closed_by=ClosedBy.DEADLINE,
        sentiment=None,
        arousal=None,
        emotions=None,
        modalities={
            Modality.AUDIO: ModalityReceipt(state=ViewState.GAPPY, coverage=0.75, packets=3)
        },
        signals=Signals(),
        model="m",
        timing=Timing(align_ms=None, queue_ms=2.0, model_ms=30.0),
    )


def an_event(phase):
    return Event(
        stream="room",
        id="1",
        kind="speech",
        phase=phase,
        start_ns=0,
        end_ns=None,
        label="words that no label may hold",
        score=1.0,
        evidence={},
    )


def test_what_is_published_is_counted_and_scraped_until_the_port_closes():
    sink = MetricsSink(0)
    publisher = Publisher([sink])
    publisher.publish(a_result())
    publisher.publish(an_event(Phase.START))
    publisher.publish(an_event(Phase.END))
    publisher.publish(
        Health(stream="room", kind=HealthKind.DROP, t_ns=0, modality=Modality.VIDEO, count=5)
    )
    publisher.beat(0)
    seen = scrape(sink.port)
    assert seen["attune_windows_total", "deadline", "final", "room"] == 1
    assert seen["attune_latency_seconds_sum", "model", "final", "room"] == pytest.approx(0.03)
    assert ("attune_latency_seconds_sum", "align", "final", "room") not in seen  # not known
    assert seen["attune_coverage_ratio", "audio", "room"] == 0.75
    assert not any("attune_coverage_ratio" in key and "text" in key for key in seen)
    assert seen["attune_events_total", "speech", "room"] == 1
    assert seen["attune_health_reports_total", "drop", "video", "room"] == 1
    assert seen["attune_health_concerned_total", "drop", "video", "room"] == 5
    assert seen["attune_heartbeat_unix_seconds",] > 0
    assert not any("words that no label may hold" in str(key) for key in seen)
    publisher.close()
    with pytest.raises(OSError):
        scrape(sink.port)


def test_a_metrics_port_in_use_is_one_clear_line():
    first = MetricsSink(0)
    try:
        with pytest.raises(SinkError, match=f"127.0.0.1:{first.port}.*choose another port"):
            MetricsSink(first.port)
    finally:
        first.close()


def test_the_setting_opens_the_port_and_zero_opens_none():
    probe = MetricsSink(0)
    probe.close()
    quiet = OutputSettings(publish="")
    assert open_sinks(AttuneSettings(output=quiet)) == []
    [sink] = open_sinks(AttuneSettings(output=quiet, metrics=MetricsSettings(port=probe.port)))
    assert scrape(probe.port)["attune_heartbeat_unix_seconds",] == 0
    sink.close()
