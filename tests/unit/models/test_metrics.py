"""The metrics against scikit-learn and SciPy where those have them, and at their edges."""

from __future__ import annotations

import doctest
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from sklearn import metrics as reference

from models import bootstrap, metrics, score_metrics
from models.errors import DataError

CLASSES = 4
LABELS = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.int64, n, elements=st.integers(0, CLASSES - 1)),
        arrays.arrays(np.int64, n, elements=st.integers(0, CLASSES - 1)),
    )
)
NUMBERS = st.integers(3, 40).flatmap(
    lambda n: st.tuples(
        *(arrays.arrays(np.float64, n, elements=st.floats(-4, 4, width=32)) for _ in range(2))
    )
)


@pytest.mark.parametrize("module", [metrics, score_metrics, bootstrap])
def test_examples_in_the_docstrings_run(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 2
    assert found.failed == 0


@given(LABELS)
def test_classification_is_as_in_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    guess, labels = pair
    assume(len(np.unique(labels)) > 1)
    seen = np.unique(labels)
    expected = {
        "accuracy": reference.accuracy_score(labels, guess),
        "uar": reference.recall_score(
            labels, guess, labels=seen, average="macro", zero_division=0
        ),
        "macro_f1": reference.f1_score(labels, guess, average="macro", zero_division=0),
        "weighted_f1": reference.f1_score(labels, guess, average="weighted", zero_division=0),
    }  # fmt: skip
    for name, value in expected.items():
        assert getattr(metrics, name)(guess, labels) == pytest.approx(value, abs=1e-12), name


@given(LABELS, st.integers(0, 1000))
def test_scores_are_read_by_their_largest_entry(
    pair: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    guess, labels = pair
    scores = np.random.default_rng(seed).random((len(guess), CLASSES))
    scores[np.arange(len(guess)), guess] = 2.0
    assert metrics.accuracy(scores, labels) == metrics.accuracy(guess, labels)
    assert metrics.weighted_f1(scores, labels) == metrics.weighted_f1(guess, labels)


@given(st.integers(1, 30), st.integers(0, 10_000))
def test_multilabel_f1_is_as_in_scikit_learn(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    chosen, truth = rng.random((2, n, 5)) < 0.4
    seen = np.flatnonzero(chosen.any(0) | truth.any(0))
    assume(len(seen))
    each = [reference.f1_score(truth[:, c], chosen[:, c], zero_division=0) for c in seen]
    expected = np.mean(each)
    assert metrics.multilabel_macro_f1(chosen, truth) == pytest.approx(expected)


@given(NUMBERS)
def test_regression_is_as_in_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    guess, target = pair
    assume(np.ptp(guess) > 1e-3 and np.ptp(target) > 1e-3)
    assert score_metrics.mae(guess, target) == pytest.approx(
        reference.mean_absolute_error(target, guess)
    )
    assert score_metrics.pearson_r(guess, target) == pytest.approx(
        stats.pearsonr(guess, target).statistic, abs=1e-7
    )
    concordance = score_metrics.ccc(guess, target)
    assert abs(concordance) <= abs(score_metrics.pearson_r(guess, target)) + 1e-9
    assert score_metrics.ccc(target, guess) == pytest.approx(concordance)
    covariance = np.cov(guess, target, bias=True)  # bias: 1 / B, Lin's population variance
    shift = (guess.mean() - target.mean()) ** 2
    lin = 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + shift)
    assert concordance == pytest.approx(lin, abs=1e-9)


@given(NUMBERS)
def test_sentiment_accuracies_are_those_of_mmsa(pair: tuple[np.ndarray, np.ndarray]) -> None:
    guess, target = pair
    target = np.round(target, 1)
    with_zeros = reference.accuracy_score(target >= 0, guess >= 0)
    assert score_metrics.acc2(guess, target, zeros=True) == pytest.approx(with_zeros)
    weighted = reference.f1_score(target >= 0, guess >= 0, average="weighted", zero_division=0)
    assert score_metrics.f1_2(guess, target, zeros=True) == pytest.approx(weighted)
    signed = target != 0
    assume(signed.any())
    without = reference.accuracy_score(target[signed] > 0, guess[signed] > 0)
    assert score_metrics.acc2(guess, target, zeros=False) == pytest.approx(without)
    weighted = reference.f1_score(
        target[signed] > 0, guess[signed] > 0, average="weighted", zero_division=0
    )
    assert score_metrics.f1_2(guess, target, zeros=False) == pytest.approx(weighted)
    seven = np.mean(np.round(np.clip(guess, -3, 3)) == np.round(np.clip(target, -3, 3)))
    assert score_metrics.acc7(guess, target) == pytest.approx(seven)
    five = np.mean(np.round(np.clip(guess, -2, 2)) == np.round(np.clip(target, -2, 2)))
    assert score_metrics.acc5(guess, target) == pytest.approx(five)


def test_halves_are_rounded_to_the_even_neighbour() -> None:
    assert (
        score_metrics.acc7(np.array([0.5, 1.5, 2.5, -0.5]), np.array([0.0, 2.0, 2.0, 0.0])) == 1.0
    )


def test_a_score_of_zero_is_not_negative_and_not_positive() -> None:
    zero, minus = np.array([0.0]), np.array([-1.0])
    assert score_metrics.acc2(zero, np.array([0.0]), zeros=True) == 1.0
    assert score_metrics.acc2(zero, minus, zeros=True) == 0.0
    assert score_metrics.acc2(zero, minus, zeros=False) == 1.0


@given(st.integers(1, 200), st.integers(0, 10_000))
def test_calibration_error_by_its_definition(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(CLASSES) * 0.5, n)
    labels = rng.integers(0, CLASSES, n)
    confidence, hits = p.max(1), p.argmax(1) == labels
    expected = 0.0
    for b in range(15):
        inside = (confidence >= b / 15) & ((confidence < (b + 1) / 15) | (b == 14))
        if inside.any():
            expected += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    assert metrics.ece(p, labels) == pytest.approx(expected, abs=1e-9)
    two = p[:, :2] / p[:, :2].sum(1, keepdims=True)
    ones = (labels % 2).astype(int)
    assume(len(np.unique(ones)) == 2)
    assert metrics.brier(two, ones) == pytest.approx(
        2 * reference.brier_score_loss(ones, two[:, 1])
    )


def test_a_sure_and_right_forecast_has_no_error() -> None:
    p = np.eye(3)
    assert metrics.ece(p, np.arange(3)) == 0.0
    assert metrics.brier(p, np.arange(3)) == 0.0
    assert metrics.ece(p, np.array([1, 2, 0])) == 1.0


def test_an_abstention_is_never_right_and_has_no_confidence() -> None:
    p = np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8]])
    labels = np.array([0, 0, 1])
    assert metrics.decide(p).tolist() == [0, metrics.ABSTAINED, 1]
    assert metrics.accuracy(p, labels) == pytest.approx(2 / 3)
    assert metrics.uar(p, labels) == pytest.approx(0.75)
    assert metrics.ece(p, labels) == metrics.ece(p[[0, 2]], labels[[0, 2]])


def test_interval_coverage_and_width() -> None:
    low, high, target = np.array([0.0, 1.0]), np.array([1.0, 3.0]), np.array([1.0, 0.5])
    assert score_metrics.interval_coverage(low, high, target) == 0.5
    assert score_metrics.interval_width(low, high) == 1.5


def test_over_seeds() -> None:
    values = [0.4, 0.5, 0.9]
    assert metrics.over_seeds(values) == pytest.approx((0.6, np.std(values, ddof=1)))
    assert metrics.over_seeds([0.4]) == (0.4, 0.0)


EMPTY, ONES, ZEROS = np.array([]), np.ones(5), np.zeros(5, int)
UNDEFINED: dict[str, tuple[Callable[[], float], str]] = {
    "no rows": (lambda: metrics.accuracy(EMPTY, EMPTY), "at least one row"),
    "no rows to regress": (lambda: score_metrics.mae(EMPTY, EMPTY), "at least one row"),
    "lengths": (lambda: metrics.accuracy(ZEROS, ZEROS[:2]), "as many scores"),
    "uar of one class": (lambda: metrics.uar(ZEROS, ZEROS), "one class only"),
    "macro F1 of one class": (lambda: metrics.macro_f1(ZEROS, ZEROS), "one class only"),
    "r of a constant": (lambda: score_metrics.pearson_r(ONES, np.arange(5)), "constant prediction"),
    "r with a constant": (lambda: score_metrics.pearson_r(np.arange(5), ONES), "constant target"),
    "ccc of equal constants": (lambda: score_metrics.ccc(ONES, ONES), "constant"),
    "infinity": (lambda: score_metrics.mae(ONES * np.inf, ONES), "finite"),
    "signs of zeros": (lambda: score_metrics.acc2(ONES, ONES * 0, zeros=False), "not 0"),
    "no seeds": (lambda: metrics.over_seeds([]), "at least one seed"),
    "nobody is sure": (lambda: metrics.ece(np.full((2, 2), np.nan), ZEROS[:2]), "probabilities"),
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_what_does_not_exist_is_said_and_not_nan(name: str) -> None:
    call, said = UNDEFINED[name]
    with pytest.raises(DataError, match=said):
        call()


def test_a_constant_prediction_has_a_concordance_of_zero() -> None:
    assert score_metrics.ccc(ONES, np.arange(5.0)) == 0.0


def test_the_interval_of_a_mean_is_near_the_normal_one() -> None:
    x = np.random.default_rng(0).normal(3, 2, 400)
    span = bootstrap.intervals({"mean": lambda i: float(x[i].mean())}, 400)["mean"]
    assert span is not None
    assert span[0] == pytest.approx(x.mean() - 1.96 * x.std() / 20, abs=0.03)
    assert span[1] == pytest.approx(x.mean() + 1.96 * x.std() / 20, abs=0.03)


def test_groups_that_agree_within_themselves_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(10), 40)
    x = rng.normal(0, 1, 10)[groups] + rng.normal(0, 0.1, 400)
    figure = {"mean": lambda i: float(x[i].mean())}
    plain = bootstrap.intervals(figure, 400)["mean"]
    grouped = bootstrap.intervals(figure, 400, groups)["mean"]
    assert plain is not None and grouped is not None
    assert grouped[1] - grouped[0] > 3 * (plain[1] - plain[0])


def test_a_group_is_drawn_whole() -> None:
    groups = np.array(["a", "b", "a", "c"])
    for rows in bootstrap.draws(4, groups, 50, seed=3):
        assert (rows == 0).sum() == (rows == 2).sum()


def test_the_same_seed_gives_the_same_interval() -> None:
    x = np.random.default_rng(0).random(50)
    figure = {"mean": lambda i: float(x[i].mean())}
    first, again, other = (
        bootstrap.intervals(figure, 50, resamples=100, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_an_interval_that_most_resamples_lack_is_none() -> None:
    labels = np.array([0] * 30 + [1])
    figure = {"uar": lambda i: metrics.uar(labels[i], labels[i])}
    assert bootstrap.intervals(figure, 31)["uar"] is None


def test_the_paired_bootstrap_sees_a_difference_and_no_difference() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(500) < 0.6
    better = base | (rng.random(500) < 0.2)
    same = rng.permutation(base)

    def share(x: np.ndarray) -> bootstrap.Figure:
        return lambda i: float(x[i].mean())

    found = bootstrap.paired(share(better), share(base), 500)
    assert found["p"] < 0.01
    assert found["low"] > 0
    assert found["difference"] == pytest.approx(better.mean() - base.mean())
    assert bootstrap.paired(share(same), share(base), 500)["p"] > 0.3
    assert bootstrap.paired(share(base), share(base), 500)["p"] == 1.0
    assert not any(math.isnan(v) for v in found.values())
