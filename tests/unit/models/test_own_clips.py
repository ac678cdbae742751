"""A user's folder of clips and its CSV: what is read, what is refused, and what is learned."""

from __future__ import annotations

import csv
import shutil
import wave
from collections import Counter
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from model_scenes import vowel

from models.data.clips import face_crop, faces_of, read_clips, sound_of
from models.errors import DataError, RecipeError
from models.threads import limit_threads
from models.train.clips import build
from models.train.engine import train
from models.train.recipe import Recipe, read_recipe
from models.types import EMOTIONS

RECIPES = Path(__file__).parents[3] / "configs" / "recipes"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    limit_threads(1)


def table(folder: Path, *lines: str) -> Path:
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder / "labels.csv"


def sound(path: Path, seed: int = 0) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((vowel(1.2, seed=seed) * 20_000).astype("<i2").tobytes())


@pytest.mark.parametrize(
    ("line", "part", "complaint"),
    [
        ("a.wav,bored,", "voice", "line 2: expected an emotion of neutral.*got 'bored'"),
        ("b.wav,happy,", "voice", r"line 2: expected a file at .*b\.wav"),
        ("a.wav,,0.5", "voice", "line 2: expected an `emotion`, from which the voice learn"),
        ("a.wav,happy,7", "voice", "line 2: expected a sentiment from -1 to 1, got '7'"),
        ("a.wav,happy,", "text", "line 2: expected a `text` or `transcript`"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, part: str, complaint: str) -> None:
    sound(tmp_path / "a.wav")
    with pytest.raises(DataError, match=complaint):
        read_clips(table(tmp_path, "path,emotion,sentiment", line), part)


def test_emotions_have_the_names_that_evaluation_knows_too(tmp_path: Path) -> None:
    names = {"joyful": "happiness", "Scared": "fear", "calm": "neutral", "contempt": "disgust"}
    rows = (f"some words,{name}" for name in names)
    clips = read_clips(table(tmp_path, "text,emotion", *rows), "text")
    assert [clip.emotion for clip in clips] == [EMOTIONS.index(e) for e in names.values()]


def test_an_empty_or_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv: expected a CSV"):
        read_clips(tmp_path, "voice")
    with pytest.raises(DataError, match="at least one labelled clip"):
        read_clips(table(tmp_path, "path,emotion"), "voice")


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    lines = [f"said {i},happy" for i in range(10)]
    recipe = read_recipe(RECIPES / "own_text.yaml")
    with pytest.raises(DataError, match="at least two emotions, got only happiness"):
        build(recipe, table(tmp_path, "text,emotion", *lines).parent, tmp_path)


def test_an_unknown_part_or_key_is_refused(tmp_path: Path) -> None:
    common = {"task": "clips", "model": "", "epochs": 1, "batch": 1, "learning_rate": 1.0}
    with pytest.raises(RecipeError, match="one of faces, voice, text, got 'hands'"):
        build(Recipe(**common, data={"part": "hands"}), tmp_path, tmp_path)
    with pytest.raises(RecipeError, match="unknown key 'tabel'; did you mean 'table'"):
        build(Recipe(**common, data={"part": "text", "tabel": "x"}), tmp_path, tmp_path)


# Without a split: nobody in two parts where there are five speakers; else every emotion in each.
def test_the_split_is_by_speaker_or_by_emotion(tmp_path: Path) -> None:
    rows = [f"said {i},{('happy', 'sad')[i % 2]},s{i % 10}" for i in range(60)]
    clips = read_clips(table(tmp_path, "text,emotion,speaker", *rows), "text")
    part_of = {clip.speaker: set() for clip in clips}
    for clip in clips:
        part_of[clip.speaker].add(clip.split)
    assert all(len(parts) == 1 for parts in part_of.values())
    assert {clip.split for clip in clips} == {"train", "valid", "test"}
    clips = read_clips(
        table(tmp_path, "text,emotion", *(r.rsplit(",", 1)[0] for r in rows)), "text"
    )
    shares = {(clip.split, clip.emotion) for clip in clips}
    assert shares == {(s, e) for s in ("train", "valid", "test") for e in (1, 2)}


def test_media_are_read_or_refused(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    (tmp_path / "broken.wav").write_bytes(b"RIFF not a sound")
    cv2.imwrite(str(tmp_path / "face.png"), np.full((48, 48), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 300), 90, np.uint8))
    names = ("a.wav", "broken.wav", "face.png", "wall.png")
    a, broken, face, wall = read_clips(
        table(tmp_path, "path,emotion", *(f"{name},sad" for name in names)), "voice"
    )
    assert sound_of(a).shape == (19_200,)
    assert faces_of(face).shape == (1, 48, 48)
    with pytest.raises(DataError, match=r"line 3: expected sound in .*broken\.wav"):
        sound_of(broken)
    with pytest.raises(DataError, match=r"line 5: expected a face in .*wall\.png, found none"):
        faces_of(wall)
    with pytest.raises(DataError, match="line 2: expected pictures"):
        faces_of(a)


def test_a_face_is_found_in_a_real_clip(media: Path, tmp_path: Path) -> None:
    name = "webcam_24s.mp4"
    if not (media / name).exists():
        pytest.skip(f"needs media/{name}")
    (clip,) = read_clips(table(tmp_path, "path,emotion", f"{media / name},neutral"), "faces")
    crops = faces_of(clip)
    assert 20 <= len(crops) <= 49  # at two pictures a second, most with a face
    assert crops.shape[1:] == (48, 48)


def test_a_crop_of_the_size_of_faces_is_taken_as_it_is() -> None:
    grey = np.arange(48 * 48, dtype=np.int64).astype(np.uint8).reshape(48, 48)
    assert face_crop(grey) is grey


PARTS = ("test", "valid", "train", "", "train", "test", "", "train", "", "")  # of ten in a row


def own_speaker(data: Path, folder: Path, speaker: str) -> Path:
    """One unseen speaker's clips as a user would have them: of each emotion a fifth to be tested, a
    tenth to choose by and three tenths to learn from, which is enough."""
    with (data / "speech" / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["speaker"] == speaker]
    lines, seen = [], Counter[str]()
    for row in rows:
        part = PARTS[seen[row["emotion"]] % len(PARTS)]
        seen[row["emotion"]] += 1
        if part:
            name = Path(row["path"]).name
            shutil.copyfile(data / row["path"], folder / name)
            lines.append(f"{name},{row['emotion']},{part}")
    return table(folder, "path,emotion,split", *lines).parent


@pytest.mark.slow
def test_fine_tuning_on_a_voice_helps_with_that_voice(data: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    folder = own_speaker(data, tmp_path / "clips", "nemo-SM0")
    recipe = msgspec.structs.replace(read_recipe(RECIPES / "own_voice.yaml"), epochs=2)
    figures = train(recipe, folder, tmp_path / "run", tmp_path / "cache")
    before, after = figures["own_test_before"], figures["own_test"]
    print(before, after)  # noqa: T201 - shown when it fails
    assert after["n"] >= 80
    assert after["log_likelihood"] > before["log_likelihood"]
    assert after["uar"] > before["uar"]
