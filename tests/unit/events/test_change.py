"""Change points of sentiment, on scores of which the changes are known."""

from __future__ import annotations

import numpy as np
from scipy import stats

from benchmarks.change_points import predictions
from streaming.events.change import SentimentChange, _as_normal
from streaming.results import Event, Phase
from streaming.settings import EventSettings


def told(moods: np.ndarray) -> list[Event]:
    kind = SentimentChange("s", EventSettings())
    return [event for p in predictions(moods) for event in kind.step(p)]


def level(seconds: int, mean: float, seed: int = 0) -> np.ndarray:
    """Two scores a second about a level."""
    return mean + np.random.default_rng(seed).normal(0, 0.05, 2 * seconds)


def test_a_step_is_told_of_once_and_dated_to_where_it_happened() -> None:
    # score   +0.3 ------------ 60 s | -0.3 ------------ 120 s
    # event                          [start, told within 10 s]
    events = told(np.concatenate([level(60, 0.3), level(60, -0.3, 1)]))
    assert [e.phase for e in events] == [Phase.START, Phase.END]
    end = events[1]
    assert end.label == "negative"
    assert abs(end.start_ns / 1e9 - 60) <= 2  # windows of two seconds
    assert end.end_ns is not None
    assert end.end_ns / 1e9 <= 70
    assert abs(end.score + 0.6) < 0.1
    assert abs(float(end.evidence["before"]) - 0.3) < 0.05


def test_there_and_back_are_two_changes() -> None:
    moods = np.concatenate([level(60, 0.0), level(60, 0.6, 1), level(60, 0.0, 2)])
    assert [e.label for e in told(moods) if e.phase is Phase.END] == ["positive", "negative"]


def test_a_small_change_of_a_steady_mood_and_a_single_outlier_are_none() -> None:
    outlier = np.concatenate([level(60, 0.0), [0.9, 0.9, 0.9, 0.9], level(60, 0.0, 1)])
    assert told(np.concatenate([level(60, 0.0), level(60, 0.12, 1)])) == []
    assert told(outlier) == []


def test_what_cannot_be_known_changes_nothing() -> None:
    assert told(np.zeros(200)) == []  # no spread at all
    assert told(np.array([0.9, -0.9] * 4)) == []  # too few scores to compare with


def test_wallaces_approximation_is_as_good_as_he_says() -> None:
    for freedom in (5, 10, 40):
        for t in (-4.0, -1.0, 0.0, 0.5, 3.0):
            exact = stats.norm.isf(stats.t.sf(t, freedom))
            assert abs(_as_normal(t, freedom) - exact) < 0.03
