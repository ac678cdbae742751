"""MOSI by video and clips by labels.json: what is asked, what is measured, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import one_hot, run

from models.data.mosi import Segments
from models.errors import ChoiceError, DataError
from models.evaluate.clips import LabelledClip
from models.types import EMOTIONS


class Reads:
    """The score that stands in the text; keeps the order of what it was asked."""

    def __init__(self) -> None:
        self.order: list[list[str]] = []

    def predict(self, videos: list[Segments]) -> list[np.ndarray]:
        self.order = [video.texts.tolist() for video in videos]
        return [video.texts.astype(float) for video in videos]


def mosi(path: Path, **changed: Any) -> Path:
    said = np.array([1.0, -2.0, 0.0, 2.6, -0.4, 3.0])
    arrays = {
        "text": said.astype(str), "sentiment": said.astype(np.float32),
        "video_id": np.array(["b", "a", "b", "a", "c", "c"]),
        "segment": np.array([2, 1, 1, 2, 1, 2]),
        "audio_opensmile73": np.zeros((6, 73), np.float32),
    }  # fmt: skip
    np.savez(path, **(arrays | changed))
    return path


def test_videos_are_read_in_the_order_in_which_they_were_said(tmp_path: Path) -> None:
    model = Reads()
    report = run("mosi", mosi(tmp_path / "m.npz"), model, bootstrap=50)
    assert sorted(model.order) == [["-0.4", "3.0"], ["-2.0", "2.6"], ["0.0", "1.0"]]
    assert report.metrics["mae"] == pytest.approx(0, abs=1e-6)
    for name in ("acc7", "acc5", "acc2_negative_positive", "acc2_negative_nonnegative"):
        assert report.metrics[name] == 1.0
    assert report.resampled["by"] == "video"
    assert report.resampled["draws_of"] == 3


def test_a_split_is_taken_and_infinity_is_refused(tmp_path: Path) -> None:
    splits = np.array(["train"] * 4 + ["test"] * 2)
    assert run("mosi", mosi(tmp_path / "m.npz", split=splits), Reads()).n == 2
    audio = np.zeros((6, 73), np.float32)
    audio[4, 3] = np.inf
    with pytest.raises(DataError, match="row 4: expected finite audio_opensmile73"):
        run("mosi", mosi(tmp_path / "m.npz", audio_opensmile73=audio), Reads())
    audio[4, 3] = np.nan
    report = run("mosi", mosi(tmp_path / "m.npz", audio_opensmile73=audio), Reads())
    assert "1 utterances have audio features that are not known" in report.notes[0]
    with pytest.raises(DataError, match=r"\[-3, 3\]"):
        run("mosi", mosi(tmp_path / "m.npz", sentiment=np.full(6, 7.0)), Reads())


def test_a_constant_prediction_has_no_correlation_and_the_report_says_why(tmp_path: Path) -> None:
    path = mosi(tmp_path / "m.npz", text=np.array(["0.5"] * 6))
    report = run("mosi", path, Reads(), bootstrap=20)
    assert report.metrics["pearson_r"] is None
    assert report.metrics["ccc"] == 0.0
    assert "constant prediction" in report.undefined["pearson_r"]
    assert json.dumps(report.as_json(), allow_nan=False)


class Watches:
    """Names each clip as its transcript says; nothing for a clip without words."""

    def predict(self, clips: list[LabelledClip], progress: Any) -> tuple[np.ndarray, np.ndarray]:
        named = [EMOTIONS.index(c.text) if c.text else 0 for c in clips]
        emotions = one_hot(named, len(EMOTIONS))
        sentiment = np.array([0.5 if c.text == "happiness" else -0.5 for c in clips])
        silent = np.array([not c.text for c in clips])
        emotions[silent], sentiment[silent] = np.nan, np.nan
        return emotions, sentiment


def clips(folder: Path, labels: dict[str, Any], media: tuple[str, ...]) -> Path:
    (folder / "labels.json").write_text(json.dumps(labels))
    for name in media:
        (folder / name).write_bytes(b"media")
    return folder


def test_clips_by_name_with_and_without_ending(tmp_path: Path) -> None:
    folder = clips(
        tmp_path,
        {"one": {"emotion": "happy", "text": "happiness", "sentiment": 1},
         "two.wav": {"emotion": "anger", "text": "anger", "sentiment": "negative"},
         "three": {"emotion": "sad", "text": "", "sentiment": -0.5},
         "four": {"text": "no emotion known"}},
        ("one.mp4", "two.wav", "three.mkv", "four.mp4", "five.mp4"),
    )  # fmt: skip
    report = run("clips", folder, Watches())
    assert report.n == 3
    assert report.metrics["accuracy"] == pytest.approx(2 / 3)
    assert report.abstained == pytest.approx(1 / 3)
    assert report.excluded == {"no emotion in labels.json": 1, "media file not in labels.json": 1}
    assert report.distribution["happiness"] == report.distribution["anger"] == 1
    assert report.metrics["sentiment_acc2_negative_positive"] == pytest.approx(2 / 3)
    assert report.metrics["sentiment_mae"] == pytest.approx(0.5)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no media": ({"x": {"emotion": "happy"}}, "'x': expected one media file"),
    "unknown emotion": ({"one": {"emotion": "bored"}}, "'one': unknown emotion 'bored'"),
    "unknown sentiment": ({"one": {"emotion": "sad", "sentiment": 4}}, "'one': expected sentiment"),
    "words": ({"one": {"emotion": "sad", "text": 4}}, "'one': expected words"),
    "no object": ({"one": "sad"}, "'one': expected an object"),
    "nothing": ({}, "with a clip or more"),
    "no emotion": ({"one": {"text": "hello"}}, "at least one clip with an emotion"),
}


@pytest.mark.parametrize("name", BAD)
def test_faults_of_labels_name_the_clip(tmp_path: Path, name: str) -> None:
    labels, said = BAD[name]
    with pytest.raises(DataError, match=said):
        run("clips", clips(tmp_path, labels, ("one.mp4",)), Watches())


def test_a_folder_without_labels(tmp_path: Path) -> None:
    with pytest.raises(ChoiceError, match="expected one of labels"):
        run("clips", tmp_path, Watches())
    (tmp_path / "labels.json").write_text("{cut")
    with pytest.raises(DataError, match="expected JSON"):
        run("clips", tmp_path, Watches())
