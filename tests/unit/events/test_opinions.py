"""Sentiment shifts and contradictions: judged on whole results, hop by hop."""

from __future__ import annotations

import pytest
from events_timeline import HOP, MS, result, run, spans_ms

from streaming.modality import Modality
from streaming.results import Phase, Prediction
from streaming.settings import EventSettings

SETTINGS = EventSettings(sentiment_shift=0.5, contradiction=0.8)
AUDIO, VIDEO, TEXT = Modality.AUDIO, Modality.VIDEO, Modality.TEXT


def moods(scores):
    """One result each hop; the first window ends at 2 s."""
    ends = [2000 * MS + k * HOP for k in range(len(scores))]
    steps = [Prediction(result=result(t, score=s)) for t, s in zip(ends, scores, strict=True)]
    return run(steps, ends[-1], SETTINGS)


def opinions(alone):
    ends = [2000 * MS + k * HOP for k in range(len(alone))]
    steps = [Prediction(result=result(t, alone=a)) for t, a in zip(ends, alone, strict=True)]
    return run(steps, ends[-1], SETTINGS)


def test_a_lasting_change_opens_and_ends_when_it_has_become_the_baseline():
    # score   5 s at -0.4 | 30 s at +0.6
    # shift                 |########|    until fast - slow < 0.25
    events = moods([-0.4] * 10 + [0.6] * 60)
    assert [e.label for e in events] == ["positive"] * len(events)
    ((start_ms, end_ms),) = spans_ms(events, "sentiment_shift")
    assert 6500 <= start_ms <= 8500
    # slow mean: 1.0 * exp(-t / 10 s) of the way is left, less for its short history
    assert 4000 < end_ms - start_ms < 14_000
    assert events[-1].evidence["ended_by"] == "over"


def test_the_direction_is_named_and_turning_over_begins_another():
    events = moods([0.0] * 40 + [0.9] * 4 + [-0.9] * 8)
    starts = [e.label for e in events if e.phase is Phase.START]
    assert starts == ["positive", "negative"]
    (first, second) = spans_ms(events, "sentiment_shift")
    assert first[1] <= second[0]


def test_noise_and_slow_drift_are_no_shift():
    assert moods([0.1, -0.1] * 30) == []
    assert moods([-0.8 + 0.01 * k for k in range(160)]) == []


def test_no_shift_before_there_is_a_baseline():
    assert moods([-1.0, 1.0, 1.0, 1.0]) == []


def test_unknown_sentiment_for_five_seconds_ends_a_shift_and_forgets_the_baseline():
    events = moods([-0.4] * 10 + [0.9] * 4 + [None] * 11 + [0.9] * 4)
    assert [e.phase for e in events] == [Phase.START, Phase.END]
    assert events[-1].evidence["ended_by"] == "input lost"
    assert events[-1].end_ns == 2000 * MS + 13 * HOP


def test_contradiction_needs_two_windows_and_names_both_sides():
    # hop      0 1 | 2 3 4 | 5 6
    # apart    0 0 | 1 1 1 | 0 0
    # event        |#######|
    agree, differ = {VIDEO: 0.5, AUDIO: 0.5, TEXT: 0.4}, {VIDEO: 0.6, AUDIO: 0.2, TEXT: -0.4}
    events = opinions([agree] * 2 + [differ] * 3 + [agree] * 2)
    assert spans_ms(events, "contradiction") == [(2500, 4000)]
    start = events[0]
    assert start.label == "video positive, text negative"
    assert start.score == pytest.approx(1.0)
    assert start.evidence == {
        "high": "video",
        "high_score": 0.6,
        "low": "text",
        "low_score": -0.4,
    }


def test_one_window_neither_opens_nor_ends_a_contradiction():
    agree, differ = {VIDEO: 0.5, AUDIO: 0.5}, {VIDEO: 0.5, AUDIO: -0.5}
    assert opinions([agree, differ, agree, agree]) == []
    events = opinions([differ, differ, agree, differ, differ])
    assert spans_ms(events, "contradiction") == [(0, 4000)]


def test_contradiction_holds_down_to_three_quarters_of_the_threshold():
    differ, less, little = ({VIDEO: x, AUDIO: 0.0} for x in (0.9, 0.65, 0.55))
    events = opinions([differ, differ, less, less, little, little])
    assert spans_ms(events, "contradiction") == [(0, 3500)]


def test_one_modality_alone_contradicts_nobody():
    assert opinions([{VIDEO: 1.0}] * 4) == []
    events = opinions([{VIDEO: 0.5, AUDIO: -0.5}] * 3 + [{VIDEO: 0.5}] * 2)
    assert events[-1].evidence["ended_by"] == "input lost"


def test_a_window_sent_again_changes_nothing():
    step = Prediction(result=result(2000 * MS, alone={VIDEO: 0.5, AUDIO: -0.5}))
    assert run([step, step, step], 2000 * MS, SETTINGS) == []
