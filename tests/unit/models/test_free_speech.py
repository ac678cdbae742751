"""Free speech from a folder: what is taken of it, what the trunk and the sounds make of it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from model_scenes import vowel

from models import features
from models.data.free_speech import LONGEST_S, load_free, sound_of
from models.data.sounds import OTHER, SPEECH_N, free_voices, log_mel
from models.encoders.trunk import HIDDEN, WIDTH
from models.errors import DataError, RecipeError
from models.train.engine import train
from models.train.recipe import Recipe
from models.train.trunk import BLOCK, LAYER, left_out, prune


def write(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((samples * 20_000).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two speaking, one of them for 12 s, one silent, one too short; to validate, one."""
    folder = tmp_path_factory.mktemp("data")
    write(folder / "free/train/a/long.wav", np.tile(vowel(2.0), 6))
    write(folder / "free/train/b/c/short.WAV", vowel(2.0, seed=1))
    write(folder / "free/train/b/silent.wav", np.zeros(48_000))
    write(folder / "free/train/b/one_word.wav", vowel(0.5))
    write(folder / "free/valid/other.wav", vowel(2.0, seed=2))
    (folder / "free/train/copyright").write_text("CC0")
    return folder


def test_what_speaks_for_a_second_is_taken_and_no_more_than_its_beginning(data, tmp_path) -> None:
    clips = load_free(data, "train", tmp_path)
    assert [clip.path for clip in clips] == ["free/train/a/long.wav", "free/train/b/c/short.WAV"]
    assert len(clips[0].mel) == LONGEST_S * 100
    for clip in clips:
        again = log_mel(sound_of(data, clip))
        np.testing.assert_allclose(clip.mel, again, atol=0.02)  # kept in half precision
    assert [clip.path for clip in load_free(data, "valid", tmp_path)] == ["free/valid/other.wav"]


def test_without_free_speech_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"free/train, found none; docs/training\.md says how"):
        load_free(tmp_path, "train", tmp_path)


def test_other_is_made_of_it_and_of_some_only(data: Path, tmp_path: Path, monkeypatch) -> None:
    both = free_voices(data, "train", tmp_path)
    assert len(both) == 2 and {sound.label for sound in both} == {OTHER}
    monkeypatch.setitem(SPEECH_N, "train", 1)
    assert [s.name for s in free_voices(data, "train", tmp_path)] == [both[0].name]


# two folds of two sounds each, and no acted speech anywhere
def test_sounds_are_trained_without_any_acted_speech(data: Path, tmp_path: Path) -> None:
    rows = ["path,label,fold"]
    for i, label in enumerate(["rain", "dogbark"] * 2):
        noise = np.random.default_rng(i).standard_normal(16_000) * 0.05
        write(data / f"events/{i}.wav", noise)
        rows.append(f"events/{i}.wav,{label},{1 + i // 2}")
    (data / "events" / "manifest.csv").write_text("\n".join(rows))
    options = {"copies": 1, "hops": [1, 2], "voices": "free"}
    recipe = Recipe(
        task="sounds", model="hops", epochs=1, batch=16, learning_rate=1e-3, data=options
    )
    figures = train(recipe, data, tmp_path / "run", tmp_path / "cache")
    assert figures["speech_n"] == 1 and figures["train_n"] == 4
    recipe.data["voices"] = "sung"
    with pytest.raises(RecipeError, match=r"data\.voices: expected acted or free, got 'sung'"):
        train(recipe, data, tmp_path / "run", tmp_path / "cache")


def made_up_source() -> dict[str, torch.Tensor]:
    """A block of which 64 hidden units say something and the rest nearly nothing."""
    torch.manual_seed(0)
    many = 4 * WIDTH
    source = {
        "inner.encoder.conv1.weight": torch.randn(WIDTH, 80, 3) * 0.1,
        "inner.encoder.conv1.bias": torch.zeros(WIDTH),
        "inner.encoder.conv2.weight": torch.randn(WIDTH, WIDTH, 3) * 0.03,
        "inner.encoder.conv2.bias": torch.zeros(WIDTH),
        "inner.encoder.embed_positions.weight": torch.randn(400, WIDTH) * 0.1,
        f"{LAYER}fc1.bias": torch.zeros(many),
        f"{LAYER}fc2.bias": torch.randn(WIDTH),
    }
    for name in ("query", "key", "value", "out"):
        source[BLOCK[name]] = torch.randn(WIDTH, WIDTH) * 0.05
    for theirs in ("q_proj", "v_proj", "out_proj"):
        source[f"{LAYER}self_attn.{theirs}.bias"] = torch.zeros(WIDTH)
    for theirs in ("self_attn_", "final_"):
        source[f"{LAYER}{theirs}layer_norm.weight"] = torch.ones(WIDTH)
        source[f"{LAYER}{theirs}layer_norm.bias"] = torch.zeros(WIDTH)
    source[BLOCK["up"]] = torch.randn(WIDTH, many) * 0.05
    loud = torch.full((many, 1), 1e-3)
    loud[torch.randperm(many)[:64]] = 1.0
    source[BLOCK["down"]] = torch.randn(many, WIDTH) * loud
    return source


def test_the_units_that_matter_are_kept(data: Path, tmp_path: Path) -> None:
    source, clips = made_up_source(), load_free(data, "train", tmp_path)
    mel = torch.eye(features.MELS + 1, 80)
    trunk = prune(source, mel, clips)
    assert left_out(source, trunk, load_free(data, "valid", tmp_path)) < 0.01
    loud = source[BLOCK["down"]].norm(dim=1) > 1
    kept = (trunk.up.weight[:, None] == source[BLOCK["up"]].T[loud][None]).all(2).any(0)
    assert len(kept) == 64 and kept.all() and len(trunk.up.weight) == HIDDEN
    with torch.no_grad():
        trunk.down.weight.zero_()
    assert left_out(source, trunk, clips) > 0.9
