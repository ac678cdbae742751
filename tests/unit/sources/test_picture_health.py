"""The picture detector on synthetic pictures."""

from __future__ import annotations

import numpy as np
import pytest

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.health import HealthKind
from streaming.sources.picture_health import PictureJudge

TICK_NS = 250 * NS_PER_MS


def noisy(levels: np.ndarray, i: int, sigma: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(i)
    grey = levels[..., None] + random.normal(0, sigma, (*levels.shape, 3))
    return grey.clip(0, 255).astype(np.uint8)


def room(i: int) -> np.ndarray:
    """A bright wall, a dark figure, a window."""
    levels = np.full((180, 320), 150.0)
    levels[60:, 120:200] = 60
    levels[20:80, 220:300] = 240
    return noisy(levels, i)


def dim_room(i: int) -> np.ndarray:
    return (room(i) * 0.25).astype(np.uint8)


def black(i: int) -> np.ndarray:
    return noisy(np.full((180, 320), 5.0), i)


def covered(i: int) -> np.ndarray:
    """A finger on the lens: a warm, soft glow, and noise."""
    y, x = np.mgrid[0:180, 0:320]
    return noisy(70 + 10 * np.cos((x - 160) / 120) + 5 * np.cos((y - 90) / 90), i)


def covered_in_the_dark(i: int) -> np.ndarray:
    """The same with the gain turned up: more noise."""
    return noisy(np.full((180, 320), 45.0), i, sigma=4.0)


def still(i: int) -> np.ndarray:
    return room(0)


def told(*spans: tuple[object, float]) -> list[tuple[HealthKind, float]]:
    """Pictures for so many seconds each, four a second."""
    judge, out, t_ns = PictureJudge(), [], 0
    for picture, seconds in spans:
        for i in range(int(seconds * NS_PER_S / TICK_NS)):
            found = judge.look(picture(i), t_ns)  # type: ignore[operator]
            out += [(kind, t_ns / NS_PER_S) for kind, _ in found]
            t_ns += TICK_NS
    return out


@pytest.mark.parametrize("picture", [room, dim_room])
def test_a_room_is_nothing_to_tell_of(picture):
    assert told((picture, 10)) == []


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (black, HealthKind.BLACK),
        (covered, HealthKind.COVERED),
        (covered_in_the_dark, HealthKind.COVERED),
        (still, HealthKind.FROZEN),
    ],
)
def test_each_condition_is_told_once_and_its_end_once(picture, kind):
    #  0 .... 3 s        5 s            13 s   13.5 s
    #  room   | trouble  | told         | room | recovered
    (begin, begin_s), (end, end_s) = told((room, 3), (picture, 10), (room, 5))
    assert (begin, end) == (kind, HealthKind.RECOVERED)
    assert 5 <= begin_s <= 5.5
    assert 13.5 <= end_s <= 14


def test_a_moment_of_darkness_is_not_told():
    assert told((room, 3), (black, 1.5), (room, 3)) == []


def test_black_that_becomes_covered_is_told_as_both():
    kinds = [kind for kind, _ in told((black, 5), (covered, 5), (room, 2))]
    assert kinds == [HealthKind.BLACK, HealthKind.COVERED, HealthKind.RECOVERED]
