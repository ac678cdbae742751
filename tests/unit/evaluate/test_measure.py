"""From answers to a report: groups, intervals, several trainings, a baseline, plain JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import metrics
from models.errors import ChoiceError, DataError
from models.evaluate import predictors
from models.evaluate.measure import Bootstrap, report
from models.evaluate.sheet import Answers, Sheet, checked, classification

N = 200
LABELS = np.arange(N) % 3
RNG = np.random.default_rng(0)


def answers(right: float, seed: int = 0) -> Answers:
    """Probabilities that name the label in that share of the rows."""
    rng = np.random.default_rng(seed)
    named = np.where(rng.random(N) < right, LABELS, (LABELS + 1) % 3)
    p = np.full((N, 3), 0.1)
    p[np.arange(N), named] = 0.8
    return Answers(figures=classification(p, LABELS), abstained=np.zeros(N, bool))


def sheet(**changed: Any) -> Sheet:
    base: dict[str, Any] = {
        "task": "faces", "path": Path("x.npz"), "form": "f", "n": N, "split": "test",
        "described": "all", "classes": ("a", "b", "c"), "answer": answers,
    }  # fmt: skip
    return Sheet(**(base | changed))


def test_the_value_lies_in_its_interval_and_json_is_plain() -> None:
    found = report(sheet(), {"m": answers(0.8)}, Bootstrap(resamples=200)).as_json()
    for name, value in found["metrics"].items():
        low, high = found["confidence"][name]
        assert low - 0.02 <= value <= high + 0.02, name
        assert low < high
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {"task", "data", "model", "split", "n", "metrics", "confidence", "groups",
            "excluded", "undefined", "abstained", "classes"} <= set(found)  # fmt: skip


def test_groups_add_up_and_a_group_of_one_class_says_why() -> None:
    halves = np.where(np.arange(N) < 120, "left", "right")
    halves[LABELS == 2] = "third"
    found = report(sheet(by={"side": halves}), {"m": answers(0.7)}, Bootstrap(resamples=0))
    sides = found.groups["side"]
    weighted = sum(e["n"] * e["metrics"]["accuracy"] for e in sides.values()) / N
    assert weighted == pytest.approx(found.metrics["accuracy"])
    assert sides["third"]["metrics"]["uar"] is None
    assert "one class" in sides["third"]["undefined"]["uar"]
    assert found.confidence == {}


def test_a_column_with_one_value_is_no_group() -> None:
    one = sheet(by={"language": np.full(N, "en")})
    assert report(one, {"m": answers(0.7)}, Bootstrap(resamples=0)).groups == {}


def test_one_speaker_is_drawn_by_row_and_said() -> None:
    alone = sheet(clusters=np.full(N, "s1"), cluster="speaker")
    found = report(alone, {"m": answers(0.7)}, Bootstrap(resamples=50))
    assert found.resampled["by"] == "row"
    assert "one speaker" in found.resampled["reason"]


def test_several_trainings_give_mean_and_deviation() -> None:
    three = {f"seed{i}": answers(0.6 + 0.1 * i, i) for i in range(3)}
    found = report(sheet(), three, Bootstrap(resamples=50))
    each = [found.seeds["each"][name]["accuracy"] for name in three]
    assert found.metrics["accuracy"] == pytest.approx(np.mean(each))
    mean, deviation = metrics.over_seeds(each)
    assert found.seeds["mean"]["accuracy"] == pytest.approx(mean)
    assert found.seeds["standard_deviation"]["accuracy"] == pytest.approx(deviation)


def test_a_baseline_is_compared_on_the_same_rows() -> None:
    found = report(sheet(), {"m": answers(0.9)}, Bootstrap(resamples=300), ("old", answers(0.5, 7)))
    compared = found.baseline["difference"]["accuracy"]
    theirs = found.baseline["metrics"]["accuracy"]
    assert compared["difference"] == pytest.approx(found.metrics["accuracy"] - theirs)
    assert compared["p"] < 0.05
    same = report(sheet(), {"m": answers(0.9)}, Bootstrap(), ("same", answers(0.9)))
    assert same.baseline["difference"]["accuracy"]["p"] == 1.0


def test_what_a_predictor_gives_is_checked() -> None:
    with pytest.raises(DataError, match=r"\(2, 3\), got \(2, 4\)"):
        checked(np.zeros((2, 4)), 2, 3, "m")
    with pytest.raises(DataError, match="0 to 1"):
        checked(np.array([[np.inf, 0, 0]]), 1, 3, "m")
    with pytest.raises(DataError, match="0 to 1"):
        checked(np.array([[-1.0, 1, 1]]), 1, 3, "m")


def test_equal_probabilities_name_nothing() -> None:
    found = checked(np.array([[0.25] * 4, [0.4, 0.2, 0.2, 0.2]]), 2, 4, "m")
    assert metrics.decide(found).tolist() == [metrics.ABSTAINED, 0]


def test_an_unknown_model_lists_those_that_exist() -> None:
    known = ", ".join(predictors.names("faces"))
    with pytest.raises(ChoiceError, match=f"there are {known}"):
        predictors.open_predictor("faces", "resnet")
