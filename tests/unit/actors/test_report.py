"""What a run came to: figures of the latest results, in memory that does not grow."""

from __future__ import annotations

import tracemalloc

import numpy as np

from actors.report import RECENT, Latest, Report, StreamTotals


def test_of_too_many_numbers_the_latest_stay() -> None:
    latest = Latest()

    for number in range(RECENT + 3):
        latest.append(number)

    # 0 1 2 | 3 ... RECENT + 2      the first three have gone
    np.testing.assert_array_equal(np.sort(latest.values()), np.arange(3, RECENT + 3))


def test_of_few_numbers_only_those() -> None:
    latest = Latest()
    latest.append(1.5)

    np.testing.assert_array_equal(latest.values(), [1.5])


def test_what_a_stream_will_keep_is_taken_at_once() -> None:
    totals = StreamTotals()
    tracemalloc.start()
    try:
        for number in range(2 * RECENT):
            totals.latency_ms.append(number / 7)
            totals.model_ms.append(number / 9)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert grown < 10_000  # one float that is kept for each would be 400,000


def test_a_run_has_the_latencies_of_all_its_streams() -> None:
    report = Report(streams={"a": StreamTotals(), "b": StreamTotals(), "c": StreamTotals()})
    report.streams["a"].latency_ms.append(10.0)
    report.streams["b"].latency_ms.append(20.0)
    report.streams["b"].model_ms.append(3.0)

    np.testing.assert_array_equal(report.latency_ms, [10.0, 20.0])
    np.testing.assert_array_equal(report.model_ms, [3.0])
    assert len(Report(streams={}).latency_ms) == 0
