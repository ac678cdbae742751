"""The log of a run: JSON lines with stream, number and window."""

from __future__ import annotations

import io
import json

from attune.log import JsonLog
from streaming.health import Timing
from streaming.modality import Modality
from streaming.results import Event, Health, HealthKind, Phase, Result
from tests.unit.test_wire import RESULT

HOP_NS = 500_000_000
TIMING = Timing(published_unix_ns=1_795_000_000_123_000_000)


def logged(*messages: Health | Event | Result) -> list[dict]:
    out = io.StringIO()
    log = JsonLog(out, HOP_NS)
    for message in messages:
        log(message)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def health(kind: HealthKind, detail: str = "") -> Health:
    return Health(
        stream="cam",
        epoch=7,
        seq=3,
        kind=kind,
        t_ns=1_700_000_000,
        modality=Modality.AUDIO,
        count=2,
        detail=detail,
        timing=TIMING,
    )


def test_health_is_a_line_with_its_place():
    (line,) = logged(health(HealthKind.SOURCE_LOST, "unplugged"))
    assert line == {
        "time": "2026-11-18T11:06:40.123Z",
        "level": "warning",
        "message": "unplugged",
        "stream": "cam",
        "kind": "source_lost",
        "epoch": 7,
        "seq": 3,
        "stream_s": 1.7,
        "window": 3,
        "modality": "audio",
        "count": 2,
    }


def test_good_news_is_no_warning():
    assert [line["level"] for line in logged(health(HealthKind.RECOVERED))] == ["info"]


def test_events_are_logged_at_their_ends_and_results_not_at_all():
    def event(phase: Phase, end_ns: int | None) -> Event:
        return Event(
            stream="cam", id="silence-1", kind="silence", phase=phase, start_ns=0, end_ns=end_ns,
            label="silence", score=2.5, evidence={}, timing=TIMING,
        )  # fmt: skip

    lines = logged(
        event(Phase.START, None), event(Phase.UPDATE, None), event(Phase.END, 4 * HOP_NS), RESULT
    )
    assert [(line["message"], line["window"]) for line in lines] == [
        ("silence start: silence", 0),
        ("silence end: silence", 4),
    ]
    assert lines[0]["id"] == "silence-1"


def test_a_failure_of_the_run_is_an_error():
    out = io.StringIO()
    JsonLog(out, HOP_NS).failure("disk full")
    line = json.loads(out.getvalue())
    assert (line["level"], line["message"]) == ("error", "disk full")
