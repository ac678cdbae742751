"""Faces: votes to labels by both protocols, splits, and faults named by file and row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_files import TEN, FacesByBrightness, run, write_faces

from models.errors import ChoiceError, DataError
from models.evaluate.faces import majority_labels

NEUTRAL, HAPPY, SAD = 0, 1, 3
FOUR = [{"neutral": 10}, {"happy": 6, "neutral": 4}, {"sad": 4, "happy": 3, "neutral": 3},
        {"unknown": 10}]  # fmt: skip


def test_most_votes_and_the_majority_protocol(tmp_path: Path) -> None:
    path = write_faces(tmp_path / "f.npz", [NEUTRAL, NEUTRAL, SAD, 0], FOUR)
    report = run("faces", path, FacesByBrightness())
    assert report.n == 3
    assert report.metrics["accuracy"] == pytest.approx(2 / 3)
    assert report.metrics["accuracy_majority"] == 0.5  # the sad face has 4 of 10 votes
    assert report.excluded == {"votes for 'unknown' or 'not_face' only": 1}
    assert (report.split, report.format) == ("all", "ferplus")


def test_single_votes_are_outliers_and_an_unknown_majority_is_none() -> None:
    votes = np.zeros((3, 10), np.uint8)
    votes[0, [0, 1, 2, 3]] = 3, 1, 1, 1  # 3 of 3 once single votes are struck out
    votes[1, [0, 8]] = 4, 6
    votes[2, [0, 1]] = 5, 5
    assert majority_labels(votes).tolist() == [0, -1, -1]


def test_split_rule(tmp_path: Path) -> None:
    votes = [{"neutral": 9}, {"happy": 9}] * 3
    splits = np.array(["train", "train", "valid", "valid", "test", "test"])
    named = [NEUTRAL, NEUTRAL, NEUTRAL, HAPPY, HAPPY, NEUTRAL]
    path = write_faces(tmp_path / "f.npz", named, votes, split=splits)
    model = FacesByBrightness()
    assert run("faces", path, model).metrics["accuracy"] == 0.0
    assert run("faces", path, model, split="valid").metrics["accuracy"] == 1.0
    assert run("faces", path, model, split="train").trained_on
    assert run("faces", path, model, split="all").n == 6
    with pytest.raises(ChoiceError, match="'test', 'train', 'valid'"):
        run("faces", path, model, split="dev")
    two = write_faces(tmp_path / "g.npz", named[:4], votes[:4], split=splits[:4])
    assert run("faces", two, model).split == "valid"


def test_the_order_of_classes_is_taken_from_the_file(tmp_path: Path) -> None:
    path = write_faces(tmp_path / "f.npz", [NEUTRAL, SAD], [{"neutral": 9}, {"sad": 9}])
    with np.load(path) as archive:
        pixels, votes = archive["pixels"], archive["votes"]
    np.savez(path, pixels=pixels, votes=votes[:, ::-1], classes=np.array(TEN[::-1]))
    assert run("faces", path, FacesByBrightness()).metrics["accuracy"] == 1.0


def test_abstaining_is_told_and_never_right(tmp_path: Path) -> None:
    votes = [{"neutral": 9}, {"happy": 9}, {"neutral": 9}, {"neutral": 9}]
    path = write_faces(tmp_path / "f.npz", [NEUTRAL, HAPPY, 255, 255], votes)
    report = run("faces", path, FacesByBrightness())
    assert report.abstained == 0.5
    assert report.metrics["accuracy"] == 0.5
    assert report.metrics["accuracy_answered"] == 1.0


def _archive(**changed: np.ndarray) -> dict[str, np.ndarray]:
    votes = np.zeros((4, 10), np.float32)
    votes[[0, 1, 2, 3], [0, 1, 0, 1]] = 10
    return {"pixels": np.zeros((4, 48, 48), np.float32), "votes": votes} | changed


def _with(value: float, key: str) -> dict[str, np.ndarray]:
    arrays = _archive()
    arrays[key][2].flat[0] = value
    return arrays


BAD = {
    "infinite pixel": (_with(np.inf, "pixels"), "row 2.*pixels"),
    "infinite vote": (_with(np.inf, "votes"), "row 2.*votes"),
    "negative vote": (_with(-1, "votes"), "row 2.*votes"),
    "0 to 1": (_with(0.7, "pixels"), "expected pixels from 0 to 255, got 0 to 1; multiply"),
    "small crops": (_archive(pixels=np.zeros((4, 32, 32), np.uint8)), r"\(N, 48, 48\)"),
    "colour": (_archive(pixels=np.zeros((4, 48, 48, 3), np.uint8)), r"\(N, 48, 48\)"),
    "eight columns": (_archive(votes=np.ones((4, 8), np.uint8)), r"votes \(N, 10\)"),
    "lengths": (_archive(votes=np.ones((3, 10), np.uint8)), "expected 4 entries in 'votes'"),
    "empty": ({k: v[:0] for k, v in _archive().items()}, "at least one row"),
    "one class": ({k: v[::2] for k, v in _archive().items()}, "two classes"),
    "no emotion": (_archive(votes=np.eye(10)[[8, 9, 8, 9]]), "votes for an emotion"),
    "classes": (_archive(classes=np.array(["x"] * 10)), "expected the classes"),
    "split length": (_archive(split=np.array(["test"])), "entries in 'split'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_fault_names_file_row_and_what_was_expected(tmp_path: Path, name: str) -> None:
    arrays, said = BAD[name]
    path = tmp_path / "faces.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=said) as caught:
        run("faces", path, FacesByBrightness())
    assert str(path) in str(caught.value)


def test_no_votes_no_archive_no_file(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    np.savez(path, pixels=np.zeros((2, 48, 48), np.uint8))
    with pytest.raises(DataError, match="votes missing"):
        run("faces", path, FacesByBrightness())
    whole = write_faces(path, [0, 1], [{"neutral": 9}, {"happy": 9}]).read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="expected a NumPy"):
            run("faces", path, FacesByBrightness())
    with pytest.raises(ChoiceError, match="not found"):
        run("faces", tmp_path / "nowhere.npz", FacesByBrightness())
    np.savez(path, pixels=np.array([{}, {}]), votes=np.zeros((2, 10)))
    with pytest.raises(DataError, match="got another file, or one with pickled objects"):
        run("faces", path, FacesByBrightness())
