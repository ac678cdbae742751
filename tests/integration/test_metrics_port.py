"""The metrics port, scraped over real HTTP."""

from __future__ import annotations

import time
from urllib.request import urlopen

import pytest
import zmq
from prometheus_client.parser import text_string_to_metric_families

from actors.sinks import open_sinks
from streaming.errors import SinkError
from streaming.keys import make_client_keys, make_server_keys, read_client_keys, use_keys
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


def test_strangers_and_requests_that_are_none_are_counted_where_they_knock(tmp_path):
    server, client = tmp_path / "server", tmp_path / "client"
    make_server_keys(server)
    make_client_keys(server, client, "desk")
    make_server_keys(tmp_path / "other")
    make_client_keys(tmp_path / "other", tmp_path / "stranger", "stranger")
    (tmp_path / "stranger" / "server.key").write_bytes((server / "server.key").read_bytes())
    probe = MetricsSink(0)
    probe.close()
    output = OutputSettings(publish="tcp://127.0.0.1:*", keys=str(server))
    sinks = open_sinks(AttuneSettings(output=output, metrics=MetricsSettings(port=probe.port)))
    replay, publisher, metrics = sinks
    with zmq.Context() as context:
        for folder, knocked in (
            ("stranger", "publish"),
            ("stranger", "replay"),
            ("client", "replay"),
        ):
            socket = context.socket(zmq.DEALER)
            socket.setsockopt(zmq.LINGER, 0)
            use_keys(socket, read_client_keys(tmp_path / folder))
            socket.connect(publisher.address if knocked == "publish" else replay.address)
            socket.send(b"{}")
            if folder == "client":
                assert socket.recv_multipart()
            else:
                wait_for_refusal(metrics.port, knocked)
            socket.close(0)
        seen = scrape(metrics.port)
    assert seen["attune_refused_total", "replay", "request"] == 1
    assert seen["attune_refused_total", "replay", "connection"] >= 1
    for sink in sinks:
        sink.close()


def wait_for_refusal(port: int, knocked: str) -> None:
    """libzmq tells nobody when it has turned a connection away."""
    until_s = time.monotonic() + 20
    while not scrape(port)["attune_refused_total", knocked, "connection"]:
        assert time.monotonic() < until_s
        time.sleep(0.02)
