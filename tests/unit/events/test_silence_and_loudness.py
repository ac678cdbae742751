"""Silence and loudness spikes: two tracks laid over one another, and missing is not silent."""

from __future__ import annotations

import pytest
from events_timeline import MS, hops, predictions, run, spans_ms

from streaming.settings import EventSettings

SETTINGS = EventSettings(
    silence_min_ms=2000, loudness_spike_db=15, loudness_floor_dbfs=-45, speech_min_ms=250
)
QUIET, MURMUR, TALK, BANG = -60.0, -42.0, -30.0, -8.0


def heard(levels, speech=None):
    end_ns = len(levels) * 50 * MS
    speech = [0.0] * (end_ns // (32 * MS)) if speech is None else speech
    steps = predictions(speech=speech, levels=levels, cuts_ns=hops(end_ns))
    return run(steps, end_ns, SETTINGS)


def test_silence_from_the_first_quiet_frame_to_the_last():
    # level    0 ... 1 s talk | 1 s ........ 4 s quiet | talk
    # silence                 |########################|
    events = heard([TALK] * 20 + [QUIET] * 60 + [TALK] * 20)
    assert spans_ms(events, "silence") == [(1000, 4000)]


def test_quiet_for_less_than_the_minimum_is_no_silence():
    assert spans_ms(heard([TALK] * 20 + [QUIET] * 39 + [TALK] * 20), "silence") == []


def test_a_click_does_not_break_a_silence_but_a_quarter_second_does():
    # quiet 2.5 s, loud for 200 ms (250 ms), quiet 2.5 s
    click = heard([QUIET] * 50 + [TALK] * 4 + [QUIET] * 50)
    assert spans_ms(click, "silence") == [(0, 5200)]
    noise = heard([QUIET] * 50 + [TALK] * 5 + [QUIET] * 50)
    assert spans_ms(noise, "silence") == [(0, 2500), (2750, 5250)]


def test_a_murmur_holds_a_silence_but_does_not_begin_one():
    # level    2 s murmur | 3 s quiet | 2 s murmur | talk
    # silence             |########################|
    events = heard([MURMUR] * 40 + [QUIET] * 60 + [MURMUR] * 40 + [TALK] * 20)
    assert spans_ms(events, "silence") == [(2000, 7000)]


def test_whispered_speech_is_not_silence():
    # level    6 s quiet throughout
    # speech   2.976 s to 4 s
    # silence  |####| to 2.95 s      |#####|  (level frames of 50 ms, speech frames of 32 ms)
    speech = [0.0] * 93 + [0.9] * 32 + [0.0] * 62
    events = heard([QUIET] * 120, speech)
    assert spans_ms(events, "silence") == [(0, 2950), (4000, 6000)]


@pytest.mark.parametrize("seconds_gone", [0.5, 10])
def test_a_microphone_that_is_gone_is_not_silent(seconds_gone):
    # level    3 s quiet | gone | 3 s quiet
    # silence  |########|        |########|
    gone = [None] * int(seconds_gone * 20)
    events = heard([QUIET] * 60 + gone + [QUIET] * 60)
    gone_ms = seconds_gone * 1000
    assert spans_ms(events, "silence") == [(0, 3000), (3000 + gone_ms, 6000 + gone_ms)]
    assert next(e.evidence["ended_by"] for e in events if e.phase == "end") == "input lost"


def test_no_sound_at_all_gives_no_event():
    assert heard([None] * 200, speech=[]) == []


def test_spike_over_the_background():
    # level   3 s talk (-30) | 200 ms bang (-8) | 2 s talk
    # spike                  |##################|
    events = heard([TALK] * 60 + [BANG] * 4 + [TALK] * 40)
    assert spans_ms(events, "loudness_spike") == [(3000, 3200)]
    start = next(e for e in events if e.kind == "loudness_spike")
    assert start.score == 22.0
    assert start.evidence == {"rise_db": 22.0, "background_dbfs": -30.0}


def test_a_rise_under_the_threshold_or_under_the_floor_is_no_spike():
    assert spans_ms(heard([TALK] * 60 + [TALK + 14] * 4 + [TALK] * 40), "loudness_spike") == []
    assert spans_ms(heard([-100.0] * 60 + [-50.0] * 4 + [-100.0] * 40), "loudness_spike") == []


def test_what_stays_loud_becomes_the_background():
    # level  3 s talk | 10 s bang          rise 22 dB falls under 7.5 dB after
    # spike           |######|             2 s * ln(22 / 7.5) = 2.15 s
    ((start_ms, end_ms),) = spans_ms(heard([TALK] * 60 + [BANG] * 200), "loudness_spike")
    assert start_ms == 3000
    assert end_ms == pytest.approx(3000 + 2152, abs=50)


def test_no_spike_before_there_is_a_background():
    assert spans_ms(heard([TALK] * 10 + [BANG] * 4 + [TALK] * 20), "loudness_spike") == []
