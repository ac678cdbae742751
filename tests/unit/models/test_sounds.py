"""The sound encoder: independence of company and level, its size, and what its data refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models import features
from models.data.sounds import CLASSES, OTHER, Sound, load_sounds, log_mel, rumbles
from models.encoders.sounds import SoundEncoder, heard, hops_of
from models.encoders.trunk import Trunk
from models.errors import DataError
from models.labels import SOUNDS
from models.predictors.linear import mfcc
from models.train.recipe import Recipe
from models.train.sounds import SoundsTask
from models.train.sounds_heard import Ear, Listening


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    torch.manual_seed(0)
    return Trunk().eval()


@pytest.fixture(scope="module")
def encoder() -> SoundEncoder:
    torch.manual_seed(0)
    return SoundEncoder().eval()


def noise(n: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def clip(label: int, fold: int, seed: int) -> Sound:
    mel = log_mel(noise(16_000, seed)).astype(np.float16)
    return Sound(name=f"{label}-{seed}", label=label, fold=fold, mels=(mel, mel[:80]))


@torch.inference_mode()
def test_masked_hops_take_no_part(encoder: SoundEncoder) -> None:
    tokens = torch.rand(1, 4, 128)
    mask = torch.tensor([[True, True, False, False]])
    pooled = encoder.pool(tokens, mask)
    assert torch.allclose(pooled, encoder.pool(tokens[:, :2], mask[:, :2]), atol=1e-6)
    nothing = encoder.logits(encoder.pool(tokens, torch.zeros_like(mask)))
    assert nothing.shape == (1, len(SOUNDS) + 1) and torch.isfinite(nothing).all()


def test_hops_are_cut_as_a_live_stream_cuts_them() -> None:
    samples = noise(24_000)
    state, live = features.MelState.initial(), []
    for part in np.split(samples, 3):
        state, frames = features.step(state, part)
        live.append(frames)
    assert np.allclose(np.stack(live), hops_of(log_mel(samples), 3), atol=1e-5)


def test_the_level_of_a_clip_does_not_count(trunk: Trunk) -> None:
    samples = noise(16_000)
    loud, quiet = heard(trunk, log_mel(samples)), heard(trunk, log_mel(samples * 0.3))
    assert torch.allclose(loud, quiet, atol=1e-3)


@pytest.mark.parametrize("n", [0, 80, 5_000, 16_000])
@torch.inference_mode()
def test_clips_of_any_length_and_silence_give_numbers(
    trunk: Trunk, encoder: SoundEncoder, n: int
) -> None:
    for samples in (noise(n), np.zeros(n, np.float32)):
        statistics = heard(trunk, log_mel(samples))[None]
        mask = torch.ones(statistics.shape[:2], dtype=torch.bool)
        assert torch.isfinite(encoder.of_clips(statistics, mask)).all()
    assert np.isfinite(mfcc(log_mel(noise(n)))).all()


def test_it_is_small_enough(encoder: SoundEncoder) -> None:
    assert sum(p.numel() for p in encoder.parameters()) * 2 <= 0.5 * 2**20


def test_what_is_heard_depends_on_the_generator_alone() -> None:
    first, second = clip(0, 1, 1), clip(3, 2, 2)
    heard = [Ear({}, np.random.default_rng(5)).hear(first, second, 4) for _ in range(2)]
    assert np.array_equal(heard[0][0], heard[1][0]) and np.array_equal(heard[0][1], heard[1][1])
    frames, target = heard[0]
    assert frames.shape == (4, 74, 64) and np.isfinite(frames).all()
    assert target.shape == (len(CLASSES),) and target.sum() == pytest.approx(1)


def task(
    folder: Path, trunk: Trunk, sounds: list[Sound], others: list[Sound], **data: object
) -> SoundsTask:
    return SoundsTask(recipe(**data), Listening(trunk, folder), sounds, others, [])


def test_a_head_names_the_trunk_that_it_learnt_over(trunk: Trunk, tmp_path: Path) -> None:
    made = task(tmp_path, trunk, [clip(i % 2, 1, i) for i in range(4)], rumbles()[:2])
    assert made.model().over.equal(trunk.mark())  # type: ignore[operator] # a buffer
    assert not trunk.mark().equal(Trunk().mark())


def test_an_epoch_is_a_pure_function_of_its_number(trunk: Trunk, tmp_path: Path) -> None:
    made = task(tmp_path, trunk, [clip(i % 3, 1 + i % 2, i) for i in range(8)], rumbles()[:2])
    epochs = [[b[0] for b in made.batches(1)] for _ in range(2)]
    assert len(epochs[0]) == made.steps
    assert all(torch.equal(a, b) for a, b in zip(*epochs, strict=True))
    assert not torch.equal(epochs[0][0], next(made.batches(2))[0])


# fold 1: sounds 0 and 1; fold 2: sounds 2 and 3. Held out: 2.
def test_nothing_of_the_fold_held_out_is_heard_in_training(trunk: Trunk, tmp_path: Path) -> None:
    sounds = [clip(i % 4, 1 + i % 4 // 2, i) for i in range(8)]
    made = task(tmp_path, trunk, sounds, rumbles()[:2], hold=2, copies=3, mix=1.0)
    shares = torch.cat([batch[2] for epoch in range(20) for batch in made.batches(epoch)])
    assert (shares[:, :2].amax(0) > 0).all() and (shares[:, OTHER] > 0).any()
    assert (shares[:, 2:4] == 0).all()
    assert ((shares > 0).sum(1) == 2).any()  # else nothing was mixed


def test_what_was_heard_once_is_kept_for_the_same_trunk_only(
    trunk: Trunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [clip(0, 1, 1), clip(1, 1, 2)]
    first = Listening(trunk, tmp_path).plain(sounds)
    torch.manual_seed(1)
    other = Listening(Trunk().eval(), tmp_path).plain(sounds)
    assert not np.allclose(first.values, other.values, atol=1e-2)
    monkeypatch.setattr(Trunk, "statistics", None)  # a call would fail
    assert np.array_equal(Listening(trunk, tmp_path).plain(sounds).values, first.values)
    assert first.mask.tolist() == [[True, True]] * 2


def recipe(**data: object) -> Recipe:
    options = {"hops": [1, 2], "copies": 1, **data}
    return Recipe(task="sounds", model="hops", epochs=1, batch=4, learning_rate=1e-3, data=options)


def test_rumble_and_silence_are_other() -> None:
    assert {s.label for s in rumbles()} == {OTHER}
    assert all(np.isfinite(s.mels[0].astype(np.float32)).all() for s in rumbles())


def test_sets_of_no_use_are_refused_with_a_reason(trunk: Trunk, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least two classes"):
        task(tmp_path, trunk, [clip(0, 1, i) for i in range(4)], [])
    with pytest.raises(DataError, match="got 0 of 0"):
        task(tmp_path, trunk, [], [])
    with pytest.raises(DataError, match="expected clips in fold 4"):
        task(tmp_path, trunk, [clip(i, 1, i) for i in range(4)], rumbles()[:1], hold=4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "expected clips, found none"),
        ("path,label\na.opus,rain\n", "no fold"),
        ("path,label,fold\na.opus,doorbell,1\n", "got 'doorbell'"),
    ],
)
def test_a_manifest_of_no_use_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(DataError, match="found nothing"):
        load_sounds(tmp_path, tmp_path)
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "manifest.csv").write_text(content)
    with pytest.raises(DataError, match=reason):
        load_sounds(tmp_path, tmp_path)
