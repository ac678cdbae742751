"""The classical baselines and the plain network answer in the shapes of what they stand beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_scenes import vowel

from models import weights
from models.data.speech import Clip
from models.encoders.plain import PlainNet
from models.errors import RecipeError
from models.labels import SPEECH_TO_EMOTION
from models.predictors import faces, plain, speech, text
from models.train.recipe import Recipe
from models.train.tasks import build
from models.train.voice_figures import figures
from models.train.voice_svm import cepstra

CLIPS = [vowel(1.5, seed=1), np.zeros(16_000, np.float32), vowel(0.2, seed=2)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    weights.save(PlainNet(), tmp_path, plain.PART, {})
    return tmp_path


def assert_shares(rows: np.ndarray, shape: tuple[int, int]) -> None:
    assert rows.shape == shape
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)


def test_the_support_vector_machine_hears_any_clip() -> None:
    assert_shares(speech.load("mfcc-svm").predict(CLIPS), (3, len(SPEECH_TO_EMOTION)))


def test_its_cepstra_are_those_of_the_frames_with_speech() -> None:
    rng = np.random.default_rng(0)
    mel = rng.normal(0, 1, (120, 64)).astype(np.float32)
    heard = np.where(np.arange(120) < 60, 0.9, 0.1)
    changed = mel.copy()
    changed[60:] -= 5  # not above the peak that has been, so the level stays
    np.testing.assert_array_equal(cepstra(mel, heard), cepstra(changed, heard))
    assert (cepstra(mel, np.ones(120)) != cepstra(changed, np.ones(120))).any()


def test_a_folder_with_a_plain_network_is_asked_as_one(folder: Path) -> None:
    pixels = np.zeros((2, 48, 48), np.uint8)
    assert_shares(faces.load(str(folder)).predict(pixels), (2, 8))
    assert_shares(speech.load(str(folder)).predict(CLIPS), (3, 8))
    emotions, said = text.load(str(folder)).predict(["good", ""])
    assert_shares(emotions, (2, 7))
    assert (np.abs(said) <= 1).all()


def test_a_shipped_folder_is_no_plain_network() -> None:
    assert not plain.holds(weights.SHIPPED)
    assert isinstance(faces.load(str(weights.SHIPPED)), faces.Neural)


def test_an_unknown_voice_model_is_named(tmp_path: Path) -> None:
    recipe = Recipe(task="voice", model="svm", epochs=1, batch=1, learning_rate=1e-3)
    with pytest.raises(RecipeError, match="expected trunk or voice-mfcc-svm, got 'svm'"):
        build(recipe, tmp_path, tmp_path)


def test_figures_are_over_the_classes_of_a_corpus() -> None:
    import torch

    empty = np.zeros((1, 64), np.float32)
    clips = [
        Clip(path="", corpus=corpus, speaker="", label=0, mel=empty, speech=empty[:, 0], emotion=e)
        for corpus, e in (("a", "happy"), ("a", "sad"), ("b", "calm"), ("b", "angry"))
    ]
    logits = torch.zeros(4, 8)
    logits[:, 4] = 9.0  # angry, which corpus a does not have
    logits[0, 2], logits[1, 3], logits[2, 1] = 1.0, 1.0, 1.0
    found = figures(clips, logits)
    assert found["a"] == {"n": 2, "accuracy": 1.0, "uar": 1.0}
    assert found["b"] == {"n": 2, "accuracy": 0.5, "uar": 0.5}
