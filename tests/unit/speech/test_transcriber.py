"""Utterances are cut at pauses, words stand on the sound's clock, promises hold."""

from __future__ import annotations

import numpy as np
import pytest

from streaming.speech.recogniser import Heard
from streaming.speech.transcriber import Transcriber
from tests.speech_script import MS, RATE_HZ, LevelDetector, StepEngine, speech

FRAME_MS = 32


def heard(
    samples: np.ndarray, *, chunk_ms: int = 500, from_ms: int = 0, longest_s: float = 8.0
) -> tuple[list[Heard], list[int]]:
    """All that is heard of `samples`, and what was settled after each chunk and the end."""
    transcriber = Transcriber(LevelDetector(), StepEngine(), longest_s)
    size = chunk_ms * RATE_HZ // 1000
    outcomes = [
        transcriber.feed(from_ms * MS + at * 10**9 // RATE_HZ, samples[at : at + size])
        for at in range(0, len(samples), size)
    ]
    outcomes.append(transcriber.end())
    return [h for o in outcomes for h in o.heard], [o.settled_ns // MS for o in outcomes]


def finals_of(items: list[Heard]) -> list[Heard]:
    return [h for h in items if h.is_final]


def finals(items: list[Heard]) -> list[list[tuple[int, int]]]:
    return [[(w.start_ns // MS, w.end_ns // MS) for w in h.words] for h in items if h.is_final]


def test_a_short_pause_keeps_words_together_and_a_long_one_parts_them() -> None:
    # ms    0      500     900 1000    1600         2600    3000
    # sound   ......|-------|...|-------|............|-------|....
    line = speech(("off", 500), ("on", 400), ("off", 100), ("on", 600), ("off", 1000), ("on", 400))
    items, _ = heard(np.concatenate([line, speech(("off", 1000))]))
    assert finals(items) == [[(500, 900), (1000, 1600)], [(2600, 3000)]]
    assert [h.is_final for h in items] == [False, True, True]
    guess, first, second = items
    assert (guess.start_ns, guess.words[0].text) == (first.start_ns, "er")
    assert second.start_ns > first.end_ns


@pytest.mark.parametrize("chunk_ms", [20, 100, 330, 4000])
def test_how_sound_is_cut_changes_nothing_that_is_final(chunk_ms: int) -> None:
    line = speech(("off", 333), ("on", 777), ("off", 600), ("on", 1500), ("off", 444))
    whole, _ = heard(line, chunk_ms=500)
    pieces, _ = heard(line, chunk_ms=chunk_ms)
    assert [h.words for h in finals_of(whole)] == [h.words for h in finals_of(pieces)]
    for a, b in zip(finals_of(whole), finals_of(pieces), strict=True):
        assert abs(a.start_ns - b.start_ns) < FRAME_MS * MS  # what was settled stays settled


def test_what_is_settled_waits_for_an_open_utterance_and_follows_the_sound_in_a_pause() -> None:
    # ms       0     500     1000    1500    2000    2500
    # sound     .......|---------------|................
    # settled        500     512     512    2000    2500   (512: the frame in which speech began)
    items, settled = heard(speech(("off", 500), ("on", 1000), ("off", 1000)))
    assert settled == [500, 512, 512, 2000, 2500, 2500]
    assert all(h.start_ns // MS >= 500 for h in items)


def test_times_are_those_of_the_sound_even_where_its_clock_drifts() -> None:
    # each chunk of 500 ms is said to begin 501 ms after the last: a clock that is 0.2 % fast
    transcriber = Transcriber(LevelDetector(), StepEngine(), 8.0)
    line = speech(("off", 3200), ("on", 200), ("off", 600))
    out = []
    for i in range(8):
        out += transcriber.feed(i * 501 * MS, line[i * 8000 : (i + 1) * 8000]).heard
    (word,) = out[-1].words
    assert word.start_ns // MS == 3200 + 6  # sample 51,200 is 200 ms into the seventh chunk
    assert word.end_ns // MS == 3400 + 6


def test_a_hole_ends_the_utterance_and_words_after_it_keep_their_time() -> None:
    # sound  [ 0 .. 500 speech )   hole   [ 3000 .. 3500 speech )
    detector = LevelDetector()
    transcriber = Transcriber(detector, StepEngine(), 8.0)
    loud = speech(("on", 500))
    first = transcriber.feed(0, loud)
    second = transcriber.feed(3000 * MS, loud)
    last = transcriber.end()
    assert finals([*first.heard, *second.heard]) == [[(0, 500)]]
    assert finals(list(last.heard)) == [[(3000, 3500)]]
    assert detector.resets == 2


def test_speech_without_a_pause_is_cut_at_the_longest() -> None:
    items, settled = heard(speech(("on", 9000)), longest_s=2.0)
    spans = [h.words[-1].end_ns - h.words[0].start_ns for h in items if h.is_final]
    assert len(spans) == 5
    assert max(spans) <= 2_048 * MS
    assert sum(spans) == 9000 * MS  # no sound is lost at the cuts
    assert settled == sorted(settled)


def test_silence_says_nothing() -> None:
    items, settled = heard(speech(("off", 2000)), from_ms=700)
    assert items == []
    assert settled[-1] == 2700
