"""The voice recipe, end to end, on a made-up corpus; data that are not there."""

from __future__ import annotations

import csv
import wave
from pathlib import Path

import msgspec
import numpy as np
import pytest
from model_scenes import vowel

from models import weights
from models.data.speech import TEST_SPEAKERS
from models.data.text import load_text
from models.encoders.voice import VoiceEncoder
from models.errors import DataError, RecipeError
from models.train.engine import train
from models.train.recipe import Recipe, read_recipe
from models.train.tasks import build
from models.train.voice import alike

RECIPE = Path(__file__).parents[3] / "configs" / "recipes" / "voice.yaml"
SPOKEN = ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised")


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen training clips of each of two corpora, a test speaker's seven, seven to validate."""
    data = tmp_path_factory.mktemp("data")
    (data / "speech" / "clips").mkdir(parents=True)
    head = ["path", "corpus", "language", "speaker", "emotion", "intensity", "text", "split"]
    rows = [head]
    for i in range(42):
        sound = (vowel(1.5, seed=i % 8) * 20_000).astype("<i2")
        name = f"speech/clips/{i}.wav"
        with wave.open(str(data / name), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(sound.tobytes())
        speaker = TEST_SPEAKERS[0] if i >= 35 else f"s{i}"
        corpus, split = ("one", "other")[i % 2], "valid" if 28 <= i < 35 else "train"
        rows.append([name, corpus, "en", speaker, SPOKEN[i % 7], "normal", "", split])
    with (data / "speech" / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return data


def short(**changes: object) -> Recipe:
    recipe = read_recipe(RECIPE)
    given = {"epochs": 2, "batch": 8, **changes}
    return msgspec.structs.replace(recipe, **given)


def test_the_voice_recipe_trains_a_head_and_leaves_the_trunk(made_up, tmp_path) -> None:
    recipe = short(data={"augment": ["speed", "noise"], "copies": 1})
    figures = train(recipe, made_up, tmp_path / "run", tmp_path / "cache")
    assert figures["valid"].keys() >= {"one", "other"}
    assert figures["test"]["other"]["n"] == 4  # the test speaker's, trained on by nobody
    made = weights.load(VoiceEncoder(), tmp_path / "run", "voice")
    shipped = weights.load(VoiceEncoder(), weights.SHIPPED, "voice")
    assert made.trunk.mark().equal(shipped.trunk.mark())  # so the sounds still fit it
    assert not np.allclose(made.head.weight.detach(), shipped.head.weight.detach(), atol=1e-3)


def test_a_corpus_left_out_is_measured_on_four_emotions(made_up, tmp_path) -> None:
    recipe = short(epochs=1, data={"augment": [], "without": "other"})
    figures = train(recipe, made_up, tmp_path / "run", tmp_path / "cache")
    assert set(figures["valid"]) == {"one"}
    assert figures["unseen_corpus"]["other"]["n"] == 12  # of 21, neutral, happy, sad and angry


def test_no_trunk_to_start_from_is_refused(made_up, tmp_path) -> None:
    with pytest.raises(RecipeError, match="start: expected a folder with a voice trunk"):
        build(short(start=None), made_up, tmp_path)


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"goemotions_labels\.txt.*--data"):
        load_text(tmp_path, "train")
    with pytest.raises(DataError, match=r"manifest\.csv"):
        build(short(), tmp_path, tmp_path)


def test_each_corpus_counts_alike_for_the_temperature() -> None:
    assert alike(["a", "b", "a", "a"]) == pytest.approx([1 / 6, 1 / 2, 1 / 6, 1 / 6])
