"""Speech events: exact to the frame, with minimum, hysteresis and hang-over."""

from __future__ import annotations

import pytest
from events_timeline import HOP, MS, hops, predictions, run, spans_ms

from streaming.errors import UsageError
from streaming.events import EventEngine
from streaming.results import Phase
from streaming.settings import EventSettings

SETTINGS = EventSettings(speech_on=0.5, speech_off=0.35, speech_min_ms=250, speech_hang_ms=100)
LOUD, FAINT, QUIET = 0.9, 0.4, 0.1


def speech_of(track, settings=SETTINGS):
    end_ns = len(track) * 32 * MS
    return run(predictions(speech=track, cuts_ns=hops(end_ns)), end_ns, settings)


def test_interval_is_exact_to_the_frame():
    # frame   0 .. 4 | 5 .................. 24 | 25 .. 39
    # speech  .......|#########################|.........
    events = speech_of([QUIET] * 5 + [LOUD] * 20 + [QUIET] * 15)
    assert spans_ms(events, "speech") == [(5 * 32, 25 * 32)]


def test_starts_only_once_the_minimum_is_reached():
    # 250 ms are reached with the eighth frame (256 ms): seven are not speech.
    assert spans_ms(speech_of([QUIET] * 5 + [LOUD] * 7 + [QUIET] * 20), "speech") == []
    assert spans_ms(speech_of([QUIET] * 5 + [LOUD] * 8 + [QUIET] * 20), "speech") == [(160, 416)]


def test_faint_frames_go_on_but_do_not_begin():
    # frame   0 ...... 9 | 10 ... 19 | 20 ... 29 | 30 ...
    #         ~ ~ ~ ~ ~ ~|###########|~ ~ ~ ~ ~ ~|......
    # speech             |#######################|
    events = speech_of([FAINT] * 10 + [LOUD] * 10 + [FAINT] * 10 + [QUIET] * 10)
    assert spans_ms(events, "speech") == [(320, 960)]


def test_pause_shorter_than_the_hang_over_is_bridged():
    # ##########...##########: 3 frames are 96 ms, under 100; 4 are 128.
    bridged = speech_of([LOUD] * 10 + [QUIET] * 3 + [LOUD] * 10 + [QUIET] * 9)
    assert spans_ms(bridged, "speech") == [(0, 23 * 32)]
    parted = speech_of([LOUD] * 10 + [QUIET] * 4 + [LOUD] * 10 + [QUIET] * 9)
    assert spans_ms(parted, "speech") == [(0, 320), (14 * 32, 24 * 32)]
    assert [e.evidence["ended_by"] for e in parted if e.phase is Phase.END] == ["over", "over"]


def test_start_is_told_while_the_speech_goes_on():
    steps = predictions(speech=[LOUD] * 40, cuts_ns=[HOP, 2 * HOP])
    engine = EventEngine("cam", SETTINGS)
    (start,) = engine.step(steps[0])
    assert (start.phase, start.start_ns, start.end_ns) == (Phase.START, 0, None)
    assert (start.id, start.stream, start.score) == ("speech-1", "cam", 0.9)
    assert engine.step(steps[1]) == []
    (end,) = engine.finish(40 * 32 * MS)
    assert (end.phase, end.id, end.evidence["ended_by"]) == (
        Phase.END,
        "speech-1",
        "stream ended",
    )
    assert engine.finish(40 * 32 * MS) == []


def test_long_speech_is_updated_every_five_seconds():
    events = speech_of([LOUD] * 400)  # 12.8 s
    assert [e.phase for e in events] == [Phase.START, Phase.UPDATE, Phase.UPDATE, Phase.END]


def test_speech_ends_where_the_sound_was_lost():
    # sound   |##########|  nothing from 640 ms to 3 s  |##########|
    # speech  |##########|                              |##########|
    steps = predictions(speech=[LOUD] * 20, cuts_ns=hops(3000 * MS))
    later = predictions(speech=[LOUD] * 20, cuts_ns=[4000 * MS], start_ns=3000 * MS)
    events = run([*steps, *later], 4000 * MS, SETTINGS)
    assert spans_ms(events, "speech") == [(0, 640), (3000, 3640)]
    assert events[1].evidence["ended_by"] == "input lost"


def test_thresholds_the_wrong_way_round_are_refused():
    with pytest.raises(UsageError, match=r"speech_off \(0.6\) must not be above"):
        EventEngine("cam", EventSettings(speech_on=0.5, speech_off=0.6))
