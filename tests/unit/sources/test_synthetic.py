"""Generated scenes: the truth they state is the truth in the pictures, sound and words."""

from __future__ import annotations

import itertools
import sys
import tracemalloc

import numpy as np
import pytest
from source_items import HOP_NS, Taken, take

from streaming.errors import SourceError
from streaming.packets import Modality
from streaming.settings import VisionSettings
from streaming.source_settings import SyntheticSettings
from streaming.sources.base import due_ns
from streaming.sources.open import open_source
from streaming.sources.scene import DISORDER_NS, SceneSource

S = 1_000_000_000
MS = 1_000_000


def scene(**settings) -> SceneSource:
    source = open_source(
        SyntheticSettings(**settings), stream="s", vision=VisionSettings(), hop_ns=HOP_NS
    )
    assert isinstance(source, SceneSource)
    return source


def beep_starts_ns(taken: Taken) -> list[int]:
    """Where the sound rises, by its packets' own times."""
    starts = []
    quiet_until = -S
    for p in taken.audio:
        for i in np.flatnonzero(np.abs(p.payload.samples[:, 0]) > 0.1):
            t_ns = p.t_ns + int(i) * S // 16_000
            if t_ns - quiet_until > S // 2:
                starts.append(t_ns)
            quiet_until = t_ns
    return starts


@pytest.mark.parametrize(
    "fault", [{}, {"audio_offset_ms": 120.0}, {"audio_offset_ms": -80.0}, {"drift_ppm": 400.0}]
)
def test_flashes_and_beeps_are_where_the_truth_says(fault):
    source = scene(duration_s=8, **fault)
    taken = take(source)
    white = [p.t_ns for p in taken.video if p.payload.pixels.min() == 255]
    assert white == list(source.truth.flashes_ns) == [i * S for i in range(1, 8)]
    np.testing.assert_allclose(beep_starts_ns(taken), source.truth.beeps_ns, atol=MS)


def test_drift_adds_up():
    source = scene(duration_s=10, drift_ppm=1000)
    assert source.truth.beeps_ns[-1] == pytest.approx(9 * S + 9 * MS, abs=MS // 10)


@pytest.mark.parametrize("fault", [{}, {"drift_ppm": 400.0}, {"drift_ppm": -1500.0}])
def test_sound_made_in_pieces_is_that_of_the_whole(fault):
    source = scene(duration_s=7.02, **fault)
    #  beeps  |1 |2 |3 |4 |5 |6 |7: the last is cut off by the end
    whole = np.zeros(round(7.02 * 16_000), np.float32)
    for k in range(1, 8):
        beep = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(800) / 16_000)
        whole[k * 16_000 : k * 16_000 + 800] = beep[: len(whole) - k * 16_000]
    rate = 1 + fault.get("drift_ppm", 0.0) * 1e-6
    at = np.arange(round(len(whole) * rate)) / rate
    expected = np.interp(at, np.arange(len(whole)), whole).astype(np.float32)
    np.testing.assert_array_equal(take(source).samples, expected)


@pytest.mark.parametrize("kind", ["card", "sync"])
def test_a_day_is_not_made_at_once(kind):
    tracemalloc.start()
    try:
        source = scene(scene=kind, duration_s=86_400, drift_ppm=100)
        first = list(itertools.islice(source.items(), 60))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(getattr(item, "modality", None) is Modality.AUDIO for item in first) >= 5
    assert most < 100e6  # the sound alone would be 5.5 GB


def test_words_follow_the_stated_moods():
    source = scene(duration_s=30)
    text = take(source).text
    assert len(text) == 15
    values = [v for _, _, v in source.truth.sentiment]
    assert values == [0.0, 0.8, -0.8]
    assert source.truth.sentiment[-1][1] == 30 * S


def test_the_seed_decides():
    a, b, c = (take(scene(duration_s=9, seed=n)) for n in (1, 1, 2))
    texts = [[p.payload.text for p in taken.text] for taken in (a, b, c)]
    assert texts[0] == texts[1] != texts[2]


def test_loss_leaves_holes_in_seq():
    taken = take(scene(duration_s=60, loss=0.3))
    seqs = [p.seq for p in taken.video]
    assert seqs == sorted(seqs)
    assert 0.5 * 240 < len(seqs) < 0.9 * 240
    assert set(taken.ends) == set(Modality)


def test_disorder_and_jitter_move_arrival_and_never_time():
    calm = take(scene(duration_s=20))
    source = scene(duration_s=20, disorder=0.3, jitter_ms=50)
    rough = take(source)
    assert not source.ordered
    assert not rough.in_order
    for modality in Modality:
        times = [(p.seq, p.t_ns) for p in rough.packets(modality)]
        assert sorted(times) == [(p.seq, p.t_ns) for p in calm.packets(modality)]
    latest = 0
    for item in rough.items:
        assert due_ns(item) >= latest - source.disorder_bound_ns
        latest = max(latest, due_ns(item))
    assert source.disorder_bound_ns == DISORDER_NS + 50 * MS


def test_closing_ends_the_iteration():
    source = scene(duration_s=20)
    items = source.items()
    next(items)
    source.close()
    assert list(items) == []


# The portrait needs the packages of attune[demo].
portrait = pytest.mark.skipif(
    not all(__import__("importlib.util").util.find_spec(m) for m in ("skimage", "espeakng_loader")),
    reason="needs the packages of attune[demo]: scikit-image and espeakng-loader",
)


@portrait
def test_the_portrait_is_there_when_the_truth_says():
    source = scene(scene="portrait", duration_s=20)
    taken = take(source)
    empty = {p.t_ns: p.payload.pixels.std(axis=1).max() < 1 for p in taken.video}
    for t_ns, is_empty in empty.items():
        assert is_empty != any(a <= t_ns < b for a, b in source.truth.faces)
    assert sum(empty.values()) == 10


@portrait
def test_the_voice_sounds_when_the_truth_says():
    source = scene(scene="portrait", duration_s=20)
    taken = take(source)
    frames = taken.samples[: 20 * 16_000].reshape(-1, 160)
    loud = np.sqrt((frames**2).mean(axis=1)) > 0.01
    said = np.array(
        [any(a <= i * 10 * MS < b for a, b in source.truth.speech) for i in range(len(loud))]
    )
    assert not loud[~said].any()
    assert loud[said].mean() > 0.8
    assert 0.4 < said.mean() < 0.8
    assert 0.3 < np.abs(taken.samples).max() < 1.0


@portrait
def test_the_script_is_said_in_the_stated_moods():
    source = scene(scene="portrait", duration_s=20)
    text = take(source).text
    assert len(text) == 6
    moods = [
        next(v for a, b, v in source.truth.sentiment if a <= p.t_ns and p.end_ns <= b) for p in text
    ]
    assert moods == [0.0, 0.0, 0.8, 0.8, -0.8, -0.8]


@portrait
def test_a_longer_scene_says_it_all_again():
    source = scene(scene="portrait", duration_s=40)
    assert len(take(source).text) == 12
    assert source.truth.faces == (
        (0, 10 * S),
        (12_500 * MS, 30 * S),
        (32_500 * MS, 40 * S),
    )


@pytest.mark.parametrize("package", ["skimage.data", "espeakng_loader"])
def test_without_the_demo_packages_one_line_says_what_to_install(monkeypatch, package):
    from streaming.sources import espeak, portrait

    monkeypatch.setitem(sys.modules, package, None)
    for cache in (portrait.portrait, espeak.speak, espeak._library):
        cache.cache_clear()
    with pytest.raises(SourceError, match=r"pip install 'attune\[demo\]'"):
        scene(scene="portrait")


def test_the_sync_cards_flashes_keep_no_step_and_its_beeps_begin_with_them():
    source = scene(scene="sync", duration_s=9, audio_offset_ms=150)
    truth = source.truth
    phases_ms = sorted(t // MS % 1000 for t in truth.flashes_ns)
    assert len(phases_ms) == 8 and phases_ms[-1] < 100
    assert max(b - a for a, b in itertools.pairwise(phases_ms)) <= 25  # spread over 0.1 s
    beeps = beep_starts_ns(take(source))
    assert beeps == pytest.approx([t + 150 * MS for t in truth.flashes_ns], abs=MS)
