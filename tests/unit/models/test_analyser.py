"""The laws of the analyser, on scripted people and the shipped weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_scenes import HOP_NS, START_NS, hop, no_faces, says, vowel, windows

from models.analyser import Analyser
from models.errors import InputError
from models.types import MODALITIES, Hop, Scores, WindowInput

Fresh = Callable[[], str]


def run(analyser: Analyser, stream: str, hops: list[Hop], length: int = 4) -> list[Scores]:
    return [analyser.step([window])[0] for window in windows(stream, hops, length)]


def assert_same(a: Scores, b: Scores, tolerance: float = 1e-5) -> None:
    assert set(a.unimodal) == set(b.unimodal)
    if a.emotions is None:
        assert b.emotions is None
        assert a.sentiment is None and b.sentiment is None
        return
    for name in ("emotions", "sentiment", "sentiment_low", "sentiment_high", "arousal", "speech"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=tolerance)
    for name, share in a.contributions.items():
        assert share == pytest.approx(b.contributions[name], abs=tolerance)
    assert a.speech_start_ns == b.speech_start_ns


def person(seed: int, shown: bool, heard: bool, wrote: bool, count: int = 6) -> list[Hop]:
    words = ("great, thanks!", "no way...", "this is awful", "ok")
    return [
        hop(
            i,
            faces=hop(i + seed).faces if shown else no_faces(),
            audio_coverage=float(heard),
            audio=hop(i + seed).audio,
            texts=says(i, words[(i + seed) % 4]) if wrote and i % 2 == 0 else (),
        )
        for i in range(count)
    ]


PRESENT = list(product((False, True), repeat=3))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(PRESENT), min_size=2, max_size=5), st.randoms())
def test_batching_and_order_change_nothing(analyser, present, random) -> None:
    people = [person(seed, *who) for seed, who in enumerate(present)]
    alone = []
    for index, hops in enumerate(people):
        analyser.forget(f"alone-{index}")
        alone.append(run(analyser, f"alone-{index}", hops))
    for index in range(len(people)):
        analyser.forget(f"batch-{index}")
    lines = [windows(f"batch-{index}", hops) for index, hops in enumerate(people)]
    for step in range(len(lines[0])):
        order = list(range(len(people)))
        random.shuffle(order)
        results = analyser.step([lines[index][step] for index in order])
        for index, result in zip(order, results, strict=True):
            assert_same(result, alone[index][step])


def test_what_comes_later_changes_nothing_before(analyser: Analyser, fresh: Fresh) -> None:
    calm = person(0, True, True, True, 8)
    changed = calm[:6] + person(5, False, True, False, 8)[6:]
    first, second = run(analyser, fresh(), calm), run(analyser, fresh(), changed)
    for before, after in zip(first[:3], second[:3], strict=True):
        assert_same(before, after, tolerance=0)
    assert first[3].sentiment != second[3].sentiment


@pytest.mark.parametrize("present", PRESENT)
def test_any_subset_gives_finite_scores_of_just_that_subset(
    analyser: Analyser, fresh: Fresh, present: tuple[bool, bool, bool]
) -> None:
    for scores in run(analyser, fresh(), person(1, *present)):
        names = {name for name, there in zip(MODALITIES, present, strict=True) if there}
        assert set(scores.unimodal) == set(scores.contributions) == names
        if not names:
            assert scores.sentiment is scores.emotions is scores.arousal is None
            assert scores.sentiment_low is scores.sentiment_high is None
            continue
        assert scores.emotions is not None
        assert scores.emotions.sum() == pytest.approx(1, abs=1e-5)
        assert (scores.emotions >= 0).all()
        assert -1 <= scores.sentiment_low <= scores.sentiment <= scores.sentiment_high <= 1
        assert -1 <= scores.arousal <= 1


@pytest.mark.parametrize("present", PRESENT[1:])
def test_contributions_sum_to_what_differs_from_the_prior(
    analyser: Analyser, fresh: Fresh, present: tuple[bool, bool, bool]
) -> None:
    for scores in run(analyser, fresh(), person(2, *present)):
        total = sum(scores.contributions.values())
        assert total == pytest.approx(scores.sentiment - analyser.sentiment_prior, abs=1e-6)


@pytest.mark.parametrize("name", MODALITIES)
def test_a_lone_modality_is_its_own_fused_score(
    analyser: Analyser, fresh: Fresh, name: str
) -> None:
    present = tuple(m == name for m in MODALITIES)
    for scores in run(analyser, fresh(), person(3, *present)):
        alone = scores.unimodal[name]
        np.testing.assert_allclose(scores.emotions, alone.emotions, atol=1e-6)
        assert scores.sentiment == pytest.approx(alone.sentiment, abs=1e-6)


def test_sound_of_an_absent_microphone_does_not_matter(analyser: Analyser, fresh: Fresh) -> None:
    shown = [hop(i, audio_coverage=0.0, audio=np.zeros(8000, np.float32)) for i in range(6)]
    noisy = [hop(i, audio_coverage=0.0) for i in range(6)]
    for a, b in zip(run(analyser, fresh(), shown), run(analyser, fresh(), noisy), strict=True):
        assert_same(a, b, tolerance=0)
        assert "audio" not in a.unimodal


def test_silence_is_no_evidence_of_a_feeling(analyser: Analyser, fresh: Fresh) -> None:
    quiet = [hop(i, faces=no_faces(), audio=np.zeros(8000, np.float32)) for i in range(5)]
    for scores in run(analyser, fresh(), quiet):
        assert scores.sentiment is None
        assert scores.speech.max() < 0.5


def test_a_text_counts_while_a_window_overlaps_it(analyser: Analyser, fresh: Fresh) -> None:
    # hops     0   1   2   3   4   5   6   7   8
    # text             [-------)
    # windows  0-3 ... 3-6 cover it, 4-7 starts at its end and does not
    texts = says(2, "what a lovely surprise", seconds=1.0)
    hops = [hop(i, texts=texts if i == 2 else ()) for i in range(9)]
    covered = ["text" in scores.unimodal for scores in run(analyser, fresh(), hops)]
    assert covered == [True, True, True, True, False, False]


def count_calls(analyser: Analyser, monkeypatch) -> list[tuple[str, int]]:
    """Every call of a stage from here on: its name, and how many rows it was given."""
    calls: list[tuple[str, int]] = []
    for name, run_stage in list(analyser.stages.items()):

        def note(*inputs, name=name, run_stage=run_stage):
            calls.append((name, len(inputs[0])))
            return run_stage(*inputs)

        monkeypatch.setitem(analyser.stages, name, note)
    return calls


def test_each_hop_is_encoded_once(analyser: Analyser, fresh: Fresh, monkeypatch) -> None:
    calls = count_calls(analyser, monkeypatch)
    run(analyser, fresh(), person(0, True, True, True, 10))
    seen = {name: sum(n for stage, n in calls if stage == name) for name, _ in calls}
    expected = {
        "faces": 20, "trunk": 10, "voice": 10, "sounds": 10, "text": 5, "context": 5, "window": 7,
    }  # fmt: skip
    assert seen == {name: n for name, n in expected.items() if name in analyser.stages}


def test_one_call_per_encoder_whatever_the_number_of_streams(
    analyser: Analyser, fresh: Fresh, monkeypatch
) -> None:
    calls = count_calls(analyser, monkeypatch)
    people = [person(seed, True, True, True, 4) for seed in range(5)]
    analyser.step([windows(fresh(), hops)[0] for hops in people])
    assert sorted(name for name, _ in calls) == sorted(analyser.stages)


# stream:  rain   voice   no microphone
# trunk:    x      x
# voice:           x
def test_the_trunk_hears_every_sound_once_and_the_voice_is_told_where_somebody_speaks(
    analyser: Analyser, fresh: Fresh, monkeypatch
) -> None:
    calls = count_calls(analyser, monkeypatch)
    rain = np.random.default_rng(0).normal(0, 0.05, 8000).astype(np.float32)
    heard = {"audio": rain}, {}, {"audio_coverage": 0.0}
    analyser.step([windows(fresh(), [hop(0, **changes)], 1)[0] for changes in heard])
    rows = dict(calls)
    assert (rows["trunk"], rows["voice"]) == (2, 1)
    assert rows.get("sounds", 2) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_bad_samples_are_taken_out(analyser: Analyser, fresh: Fresh, bad: float) -> None:
    audio = hop(0).audio.copy()
    audio[100:400] = bad
    hops = [hop(i, audio=audio) for i in range(5)]
    for scores in run(analyser, fresh(), hops):
        assert np.isfinite(scores.emotions).all()
        assert np.isfinite(scores.speech).all()


@pytest.mark.parametrize("samples", [0, 1, 80, 511])
def test_a_hop_may_bring_hardly_any_sound(analyser: Analyser, fresh: Fresh, samples: int) -> None:
    hops = [hop(i, audio=vowel(1.0)[:samples]) for i in range(4)]
    for scores in run(analyser, fresh(), hops):
        assert np.isfinite(scores.sentiment)
        assert len(scores.speech) == 4 * samples // 512


ODD = {
    "megabyte": ("it is bad " * 100_000, True),
    "one long word": ("a" * 1_000_000, True),
    "emoji": ("😀😀 🎉❤️", True),
    "control": ("\x00\x07 hm\u202e\ud800 \x1b[31m", True),
    "no known piece": ("\u1200", False),
    "zero width": ("\u200b\u200d", False),
    "spaces": (" \t\n ", False),
    "combining": ("e" + "\u0301" * 5000, True),
    "ligature": ("\ufdfa" * 2000, False),
    "russian": ("мне очень понравилось", False),
    "japanese": ("今日は天気がいいですね", False),
    "german": ("Ich bin heute wirklich müde und will nach Hause.", False),
}


@pytest.mark.parametrize(("text", "read"), ODD.values(), ids=ODD.keys())
def test_any_text_is_survived_and_counts_if_it_can_be_read(
    analyser: Analyser, fresh: Fresh, text: str, read: bool
) -> None:
    hops = [hop(i, texts=says(i, text) if i == 1 else ()) for i in range(4)]
    scores = run(analyser, fresh(), hops)[0]
    assert np.isfinite(scores.sentiment)
    assert ("text" in scores.unimodal) == read


def test_words_that_cannot_be_read_change_nothing(analyser: Analyser, fresh: Fresh) -> None:
    # hop      0        1         2        3
    # words    "fine"   russian   german   "so sad"    the same without those in the middle
    said = ["that is fine", "мне очень понравилось", "alles gut", "so sad"]
    with_them = [hop(i, texts=says(i, text)) for i, text in enumerate(said)]
    with_them[2] = hop(2, texts=(replace(says(2, said[2])[0], language="de"),))
    without = [hop(i, texts=says(i, said[i]) if i in (0, 3) else ()) for i in range(4)]
    first, second = (run(analyser, fresh(), hops)[0] for hops in (with_them, without))
    assert_same(first, second, tolerance=0)


@pytest.mark.parametrize(("hop_ns", "length"), [(250, 8), (500, 2), (1000, 3), (333, 5)])
def test_other_hops_and_windows(analyser: Analyser, fresh: Fresh, hop_ns: int, length: int) -> None:
    span, samples, sound = hop_ns * 1_000_000, hop_ns * 16, vowel(8.0)
    hops = [
        Hop(start_ns=i * span, end_ns=(i + 1) * span, faces=hop(i).faces, audio_coverage=1.0,
            audio=sound[i * samples :][:samples], texts=())
        for i in range(length + 2)
    ]  # fmt: skip
    results = run(analyser, fresh(), hops, length)
    assert len(results) == 3
    frames = [len(scores.speech) for scores in results]
    assert sum(frames) == (length + 2) * samples // 512
    for before, after, count in zip(results, results[1:], frames, strict=False):
        assert after.speech_start_ns == before.speech_start_ns + count * before.speech_step_ns
    assert all(set(scores.unimodal) == {"video", "audio"} for scores in results)


def test_a_forgotten_stream_starts_afresh(analyser: Analyser, fresh: Fresh) -> None:
    stream, hops = fresh(), person(4, True, True, True)
    first = run(analyser, stream, hops)
    analyser.forget(stream)
    for a, b in zip(first, run(analyser, stream, hops), strict=True):
        assert_same(a, b, tolerance=0)


def test_sound_starts_afresh_after_a_hole(analyser: Analyser, fresh: Fresh) -> None:
    holed, later = fresh(), fresh()
    tail = [hop(i, faces=no_faces()) for i in range(20, 24)]
    run(analyser, holed, person(0, True, True, True, 6))
    assert_same(run(analyser, holed, tail)[0], run(analyser, later, tail)[0], tolerance=0)


def test_memory_stays_bounded(analyser: Analyser, fresh: Fresh) -> None:
    stream = fresh()
    endless = 3600.0
    run(analyser, stream, [hop(i, texts=says(i, "hm", endless) * 40) for i in range(12)])
    state = analyser._streams[stream]
    assert len(state.hops) <= 4
    assert len(state.texts) <= 64


def window(stream: str, *hops: Hop) -> WindowInput:
    return WindowInput(
        stream=stream, start_ns=START_NS, end_ns=START_NS + 4 * HOP_NS, new_hops=hops
    )


BREACHES = {
    "sent once and in order": lambda s: [window(s, hop(1), hop(0))],
    "one window per stream": lambda s: [window(s, hop(0)), window(s, hop(1))],
    "faces uint8": lambda s: [window(s, hop(0, faces=np.zeros((1, 64, 64), np.uint8)))],
    "mono audio": lambda s: [window(s, hop(0, audio=np.zeros((8000, 2), np.float32)))],
    "ends after": lambda s: [window(s, hop(0, end_ns=START_NS))],
}


@pytest.mark.parametrize("breach", BREACHES.values(), ids=BREACHES.keys())
def test_a_breach_of_the_contract_names_the_stream(
    analyser: Analyser, fresh: Fresh, breach: Callable[[str], list[WindowInput]]
) -> None:
    stream = fresh()
    with pytest.raises(InputError, match=stream):
        analyser.step(breach(stream))


def test_nothing_in_nothing_out(analyser: Analyser) -> None:
    assert analyser.step([]) == []
