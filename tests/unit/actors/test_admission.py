"""Admission: what is reckoned is the present, of the present processes, and the limit itself."""

from __future__ import annotations

import pytest

from actors.admission import Load
from streaming.clock import NS_PER_S as S


def told(*points: tuple[float, float], name: str = "ingest-0") -> Load:
    """A part that had used so many seconds of CPU (second) at so many seconds (first)."""
    load = Load()
    for at_s, cpu_s in points:
        load.note(name, 0, cpu_s, round(at_s * S))
    return load


def test_only_what_was_used_meanwhile_counts() -> None:
    assert told((0, 100.0), (4, 102.0)).cores() == {"ingest-0": 0.5}
    assert told((0, 100.0), (2, 102.0)).cores() == {}  # too little is known


def test_what_is_over_ten_seconds_old_is_forgotten() -> None:
    # busy   0 xxxxxxxxx 10 ......... 20 s
    points = [(t, float(min(t, 10))) for t in range(21)]
    assert told(*points).cores() == {"ingest-0": 0.0}
    assert told(*points[:16]).cores() == {"ingest-0": 0.5}


def test_a_part_that_took_anothers_place_is_reckoned_alone() -> None:
    load = told((0, 0.0), (4, 4.0), name="infer")
    load.note("infer", 1, 0.0, 5 * S)
    load.note("infer", 1, 1.0, 9 * S)
    assert load.cores() == {"infer": 0.25}


@pytest.mark.parametrize(
    ("name", "cpu_s", "streams", "refused"),
    [
        ("ingest-0", 8.5, 1, False),  # two streams would take 1.7 of 2 cores: just right
        ("ingest-0", 8.6, 1, True),
        ("ingest-0", 8.6, 0, False),
        ("infer", 4.25, 1, False),  # two would take 0.85 of the one core that it can use
        ("infer", 4.3, 1, True),
        ("infer", 4.3, 2, False),
    ],
)
def test_one_more_is_refused_beyond_the_limit(name, cpu_s, streams, refused) -> None:
    load = told((0, 0.0), (10, cpu_s), name=name)
    assert (load.full(streams, 2) is not None) is refused
