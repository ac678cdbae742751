"""Dynamic time warping against the recursion as the textbook writes it, over the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.align.dtw import Warp, distance, warp
from models.errors import InputError
from models.features import log_mel

NUMBERS = st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=12).map(np.array)


def reference(a: np.ndarray, b: np.ndarray, allowed: np.ndarray, open_end: bool) -> float:
    """D[i, j] = |a_i - b_j| + min(D[i-1, j], D[i, j-1], D[i-1, j-1])."""
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            if allowed[i, j]:
                best = min(total[i, j + 1], total[i + 1, j], total[i, j])
                total[i + 1, j + 1] = abs(a[i] - b[j]) + best
    return float(total[-1, 1:].min() if open_end else total[-1, -1])


def assert_path(found: Warp, a: np.ndarray, b: np.ndarray, open_end: bool) -> None:
    path = found.path
    assert tuple(path[0]) == (0, 0)
    assert path[-1, 0] == len(a) - 1
    assert open_end or path[-1, 1] == len(b) - 1
    moves = {tuple(step) for step in np.diff(path, axis=0)}
    assert moves <= {(0, 1), (1, 0), (1, 1)}
    cost = np.abs(a[path[:, 0]] - b[path[:, 1]]).sum()
    assert found.distance == pytest.approx(cost, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(NUMBERS, NUMBERS, st.booleans())
def test_without_a_band_it_is_the_textbook(a: np.ndarray, b: np.ndarray, open_end: bool) -> None:
    found = warp(a, b, open_end=open_end)
    expected = reference(a, b, np.ones((len(a), len(b)), bool), open_end)
    assert found.distance == pytest.approx(expected, abs=1e-9)
    assert distance(a, b, open_end=open_end) == found.distance
    assert_path(found, a, b, open_end)


@settings(max_examples=100, deadline=None)
@example(np.zeros(1), np.zeros(2), 0)  # one step against two: the band must be widened
@given(NUMBERS, NUMBERS, st.integers(0, 6))
def test_with_a_band_it_is_the_textbook_within_the_band(
    a: np.ndarray, b: np.ndarray, band: int
) -> None:
    slope = (len(b) - 1) / max(len(a) - 1, 1)
    radius = max(band, int(np.ceil(slope)) if slope > 1 or len(a) == 1 else 0)
    diagonal = np.rint(np.arange(len(a)) * slope)
    allowed = np.abs(np.arange(len(b)) - diagonal[:, None]) <= radius
    found = warp(a, b, band=band)
    assert found.distance == pytest.approx(reference(a, b, allowed, False), abs=1e-9)
    assert_path(found, a, b, False)


@settings(max_examples=50, deadline=None)
@given(NUMBERS, NUMBERS)
def test_it_is_symmetric_and_zero_with_itself(a: np.ndarray, b: np.ndarray) -> None:
    assert warp(a, b).distance == pytest.approx(warp(b, a).distance, abs=1e-9)
    assert warp(a, a).distance == 0
    assert np.array_equal(warp(a, a, band=0).path, np.stack([np.arange(len(a))] * 2, 1))


def test_several_dimensions_count_together() -> None:
    a, b = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [0.0, 0.0]])
    assert distance(a, b) == 5.0  # 3, 4, 5


def test_an_open_end_finds_where_a_beginning_stops() -> None:
    whole = np.sin(np.linspace(0, 9, 200)) + np.linspace(0, 1, 200)
    found = warp(whole[:120], whole, band=40, open_end=True)
    assert found.path[-1, 1] == 119
    assert found.distance == 0


def syllables(speed: np.ndarray) -> np.ndarray:
    """A voiced sound whose loudness and pitch move, at 16 kHz; `speed` is how fast, by sample."""
    at = np.cumsum(speed) / 16_000  # seconds of the original
    loud = 0.05 + np.clip(
        np.sin(2 * np.pi * 2.3 * at) + 0.6 * np.sin(2 * np.pi * 0.9 * at), 0, None
    )
    tone = sum(np.sin(2 * np.pi * h * np.cumsum(140 + 40 * np.sin(5 * at)) / 16_000) / h
               for h in range(1, 20))  # fmt: skip
    return (0.05 * loud * tone).astype(np.float32)


def test_a_known_stretch_of_an_utterance_is_found_within_a_frame() -> None:
    plain = log_mel(syllables(np.ones(48_000)))
    speed = 1 + 0.4 * np.sin(np.linspace(0, 6, 52_000))  # between 0.6 and 1.4 times as fast
    moved = log_mel(syllables(speed))
    found = warp(moved, plain, band=60)
    truth = (np.cumsum(speed)[np.arange(len(moved)) * 160 + 200] - 200) / 160  # frames of the plain
    inside = truth < len(plain) - 1
    off = np.abs(found.second_of_first() - truth)[inside]
    assert inside.sum() > 250
    assert np.abs(np.arange(len(moved)) - truth)[inside].max() > 10  # there was something to find
    assert np.median(off) <= 1.0


def test_what_cannot_be_aligned_is_refused() -> None:
    ones = np.ones(3)
    with pytest.raises(InputError, match="not empty"):
        warp(np.ones(0), ones)
    with pytest.raises(InputError, match="expected \\(N, D\\) and \\(M, D\\)"):
        warp(np.ones((3, 2)), np.ones((3, 4)))
    with pytest.raises(InputError, match="finite"):
        warp(np.array([1.0, np.nan]), ones)
    with pytest.raises(InputError, match="band"):
        warp(ones, ones, band=-1)
