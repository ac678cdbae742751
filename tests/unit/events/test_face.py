"""Face events: confirmed by looks in a row, dated half-way between looks, lost when not looked."""

from __future__ import annotations

import pytest
from events_timeline import MS, hops, predictions, run, spans_ms

from streaming.results import FaceCount
from streaming.settings import EventSettings

SETTINGS = EventSettings(face_confirm=2)


def looks(pattern, start_ms=0, step_ms=250):
    """One look for each character: a digit says how many faces, a blank that nobody looked."""
    return [
        FaceCount(t_ns=(start_ms + i * step_ms) * MS, faces=int(c), track_id=7 if c != "0" else -1)
        for i, c in enumerate(pattern)
        if c != " "
    ]


def seen(pattern, settings=SETTINGS):
    end_ns = len(pattern) * 250 * MS
    return run(predictions(looks=looks(pattern), cuts_ns=hops(end_ns)), end_ns, settings)


def test_presence_is_dated_half_way_between_looks():
    # look   0  250 500 750 1000 1250 1500 1750 2000
    # faces  0   0   0   1   1    2    1    0    0
    # face               |#################|          625 to 1625 ms
    events = seen("000112100")
    assert spans_ms(events, "face") == [(625, 1625)]
    end = events[-1]
    assert end.evidence == {"track_id": 7, "most_faces": 2, "looks": 4, "ended_by": "over"}


def test_one_look_neither_starts_nor_ends_a_presence():
    assert spans_ms(seen("0001000"), "face") == []
    assert spans_ms(seen("1111011110"), "face") == [(0, 2125)]


def test_with_one_look_to_confirm_every_change_counts():
    events = seen("0100110", EventSettings(face_confirm=1))
    assert spans_ms(events, "face") == [(125, 375), (875, 1375)]


def test_a_face_there_from_the_first_look_and_to_the_end():
    events = seen("1111")
    assert spans_ms(events, "face") == [(0, 875)]
    assert events[-1].evidence["ended_by"] == "stream ended"


@pytest.mark.parametrize(("blind", "spans"), [(6, [(0, 2875)]), (8, [(0, 875), (3000, 3875)])])
def test_a_camera_that_is_gone_is_not_an_empty_room(blind, spans):
    # faces  1 1 1 1 (not looked for `blind` looks) 1 1 ...: bridged under 2 s, lost from 2 s on
    events = seen("1111" + " " * blind + "11" + ("11" if blind == 8 else ""))
    assert spans_ms(events, "face") == spans
    lost = [e for e in events if e.evidence.get("ended_by") == "input lost"]
    assert len(lost) == (1 if blind == 8 else 0)


def test_the_score_is_the_share_of_looks_with_a_face():
    events = seen("1111011100")
    assert events[-1].score == pytest.approx(7 / 8)
