"""Which node reads which stream."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.places import Place, roomiest
from actors.ray_plan import DRIVER, shares
from streaming.errors import UsageError
from streaming.settings import AttuneSettings, ControlSettings, PipelineSettings, StreamSettings
from streaming.source_settings import SyntheticSettings, TextSettings

HEAD = Place(id="h", name="head", host="head.lan", address="10.0.0.1", cpus=8)
DOOR = Place(id="d", name="door", host="door.lan", address="10.0.0.2", cpus=1)
HALL = Place(id="a", name="10.0.0.3", host="hall.lan", address="10.0.0.3", cpus=2)


def stream(name: str, node: str = "") -> StreamSettings:
    return StreamSettings(name=name, node=node, sources=(SyntheticSettings(),))


def read_by(streams: list[StreamSettings], *places: Place, **more: Any) -> dict[str, list[str]]:
    settings = AttuneSettings(
        streams=tuple(streams), **{"pipeline": PipelineSettings(address="auto"), **more}
    )
    found = shares(settings, places)
    return {reader: [s.name for s in theirs] for reader, theirs in found.items()}


def test_a_stream_that_names_a_node_is_read_there_and_the_rest_by_readers_that_may_move():
    streams = [stream("a", "door"), stream("b"), stream("c", "10.0.0.2"), stream("e", "hall.lan")]
    assert read_by(streams, HEAD, DOOR, HALL) == {
        DRIVER: [],
        "ingest-0@door": ["a"],
        "ingest-0@10.0.0.2": ["c"],
        "ingest-0@hall.lan": ["e"],
        # two for each node with as many cores: one that has none to read may have to take over
        "ingest-0": ["b"],
        "ingest-1": [],
        "ingest-2": [],
        "ingest-3": [],
        "ingest-4": [],
    }


def test_one_machine_has_no_readers_without_streams_unless_more_may_come():
    alone = PipelineSettings()
    assert read_by([stream("a")], HEAD, pipeline=alone) == {DRIVER: [], "ingest-0": ["a"]}
    control = ControlSettings(address="ipc:///x")
    found = read_by([stream("a")], HEAD, pipeline=alone, control=control)
    assert found == {DRIVER: [], "ingest-0": ["a"], "ingest-1": []}


def test_standard_input_is_read_where_the_run_was_started():
    typed = StreamSettings(name="typed", sources=(TextSettings(path="-"),))
    assert read_by([typed], HEAD, DOOR)[DRIVER] == ["typed"]


def test_a_node_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(UsageError) as refused:
        read_by([stream("a", "porch")], HEAD, HALL)
    said = str(refused.value)
    assert "stream 'a': there is no node 'porch'" in said
    assert "there are: head (10.0.0.1), 10.0.0.3." in said


def test_heads_that_give_no_cpu_away_read_only_where_nobody_else_can():
    idle_head = Place(id="h", name="head", host="", address="", cpus=0)
    assert roomiest([idle_head, DOOR], ["d"] * 9) == DOOR
    assert roomiest([idle_head], []) == idle_head
    assert roomiest([], []) is None


@given(cpus=st.lists(st.integers(1, 16), min_size=1, max_size=6), readers=st.integers(0, 40))
def test_no_node_has_a_reader_too_many_for_its_cores(cpus: list[int], readers: int):
    # each reader goes to the roomiest: then moving any one elsewhere makes things no better
    places = [Place(id=str(i), name="", host="", address="", cpus=c) for i, c in enumerate(cpus)]
    taken: list[str] = []
    for _ in range(readers):
        place = roomiest(places, taken)
        assert place is not None
        taken.append(place.id)
    has = Counter(taken)
    for full in places:
        for other in places:
            assert (has[full.id] - 1) / full.cpus <= has[other.id] / other.cpus
