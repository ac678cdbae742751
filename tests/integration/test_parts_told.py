"""What the parts of a run on Ray tell of themselves: queues as metrics, their logging as log."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.conftest import ANY_PORT, start

WAIT_S = 180.0  # Ray takes its time on a busy machine


def queues(port: int) -> set[str]:
    """The parts whose queues are served."""
    try:
        text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    except (URLError, OSError):
        return set()
    return {
        sample.labels["part"]
        for family in text_string_to_metric_families(text)
        if family.name == "attune_queue_depth"
        for sample in family.samples
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_queues_are_served_and_a_warning_of_a_part_is_in_the_log(
    tmp_path: Path, running: list
) -> None:
    port, journal = free_port(), tmp_path / "journal"
    journal.write_bytes(b"this is no journal" * 100)  # the publisher warns of it
    config = tmp_path / "run.yaml"
    config.write_text(
        "streams: [{sources: [{kind: synthetic, duration_s: 60}]}]\n"
        f"output: {{publish: '{ANY_PORT}', journal: '{journal}'}}\n"
        f"metrics: {{port: {port}}}\n"
    )
    run = start("run", config, "--log-json")
    running.append(run)
    until = time.monotonic() + WAIT_S
    parts: set[str] = set()
    while not parts >= {"align", "infer", "publish"}:
        assert time.monotonic() < until, parts
        parts = queues(port)
        time.sleep(0.2)  # another process serves it: there is no event to wait for
    run.terminate()
    _, said = run.communicate(timeout=60)
    assert any(part.startswith("ingest") for part in parts)
    records = [json.loads(line) for line in said.splitlines()]
    told = [r for r in records if r.get("part") == "publish" and r["level"] == "warning"]
    assert [r["logger"] for r in told] == ["streaming.journal"]
    assert "damaged" in told[0]["message"]
