"""Words that tell a sentiment only, beside what the network says of the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fusion import shapley
from models.opinion import NORMAL_80, TEXT, Opinion, Verdict, joined

VIDEO, AUDIO = 1, 2


def verdict(video: float | None, text: float | None, half_width: float = 0.3) -> Verdict:
    """A verdict of a face and words that count alike, either of which may be missing."""
    given = {VIDEO: video, TEXT: text}
    worth = [
        [v for bit, v in given.items() if subset & bit and v is not None] for subset in range(8)
    ]
    by_subset = np.array([np.mean(w) if w else 0.0 for w in worth])
    present = np.array([video is not None, False, text is not None])
    score = by_subset[-1]
    return Verdict(by_subset, present, score - half_width, score + half_width, half_width)


def test_words_alone_are_the_verdict() -> None:
    made = joined(verdict(None, None), Opinion(0.5, 0.4))
    assert made.score == 0.5
    assert (made.low, made.high) == pytest.approx((0.1, 0.9))
    assert shapley(made.by_subset, made.present) == pytest.approx({2: 0.5})


def test_two_that_are_as_sure_meet_in_the_middle_and_are_surer_together() -> None:
    made = joined(verdict(0.2, None, 0.4), Opinion(0.4, 0.4))
    assert made.score == pytest.approx(0.3)
    assert made.half_width == pytest.approx(0.4 / np.sqrt(2))
    assert made.by_subset[VIDEO] == 0.2  # a face alone says what it said
    assert made.by_subset[TEXT] == 0.4
    assert made.by_subset[VIDEO | TEXT] == pytest.approx(0.3)


def test_the_surer_one_counts_more() -> None:
    made = joined(verdict(0.0, None, 0.2), Opinion(1.0, 0.4))
    assert made.score == pytest.approx(0.2)  # 1 / 0.4^2 of 1 / 0.4^2 + 1 / 0.2^2


def test_a_contradiction_widens_the_interval() -> None:
    close, far = (joined(verdict(s, None, 0.2), Opinion(0.7, 0.2)) for s in (0.6, -0.7))
    assert close.half_width == pytest.approx(0.2 / np.sqrt(2))
    assert far.half_width == pytest.approx(1.4 / 2 * NORMAL_80)
    assert far.half_width > 0.75  # too wide to give a score


def test_english_words_and_a_face_keep_their_place() -> None:
    before = verdict(0.2, -0.4, 0.3)
    made = joined(before, Opinion(0.6, 0.3))
    assert made.by_subset[VIDEO] == before.by_subset[VIDEO]
    assert made.by_subset[AUDIO] == before.by_subset[AUDIO]
    assert made.by_subset[TEXT] == pytest.approx((-0.4 + 0.6) / 2)
    assert made.score == pytest.approx((-0.1 + 0.6) / 2)


unit = st.floats(-1, 1)
half = st.floats(0.02, 2)


@given(st.none() | unit, st.none() | unit, half, unit, half)
def test_the_shares_always_sum_to_the_score_and_nothing_leaves_the_scale(
    video: float | None, text: float | None, ours: float, sentiment: float, theirs: float
) -> None:
    before = verdict(video, text, ours)
    made = joined(before, Opinion(sentiment, theirs))
    shares = shapley(made.by_subset, made.present)
    assert sum(shares.values()) == pytest.approx(made.score)
    assert (np.abs(made.by_subset) <= 1).all()
    assert -1 <= made.low <= made.score <= made.high <= 1
    assert 2 in shares
    assert made.half_width >= min(ours, theirs) / np.sqrt(2) - 1e-9
