"""The sound encoder: independence of company and level, its size, and what its data refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models import features
from models.data.sounds import CLASSES, OTHER, Sound, load_sounds, log_mel, rumbles
from models.encoders.sounds import SoundEncoder, hops_of
from models.errors import DataError
from models.labels import SOUNDS
from models.predictors.linear import mfcc
from models.train.recipe import Recipe
from models.train.sounds import Ear, SoundsTask


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
def test_a_hop_counts_the_same_alone_and_in_any_company(encoder: SoundEncoder) -> None:
    frames = torch.from_numpy(hops_of(log_mel(noise(48_000)), 6))
    together = encoder(frames)
    assert frames.shape == (6, 74, 64) and together.shape == (6, 128)
    assert torch.allclose(together, torch.cat([encoder(f[None]) for f in frames]), atol=1e-5)


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


@torch.inference_mode()
def test_the_level_of_a_clip_does_not_count(encoder: SoundEncoder) -> None:
    samples = noise(16_000)
    loud, quiet = encoder.of_clip(log_mel(samples)), encoder.of_clip(log_mel(samples * 0.3))
    assert torch.allclose(loud, quiet, atol=1e-3)


@pytest.mark.parametrize("n", [0, 80, 5_000, 16_000])
@torch.inference_mode()
def test_clips_of_any_length_and_silence_give_numbers(encoder: SoundEncoder, n: int) -> None:
    assert torch.isfinite(encoder.of_clip(log_mel(noise(n)))).all()
    assert torch.isfinite(encoder.of_clip(log_mel(np.zeros(n, np.float32)))).all()
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


def test_an_epoch_is_a_pure_function_of_its_number() -> None:
    task = SoundsTask(recipe(), [clip(i % 3, 1 + i % 2, i) for i in range(8)], rumbles()[:2], [])
    epochs = [[b[0] for b in task.batches(1)] for _ in range(2)]
    assert len(epochs[0]) == task.steps
    assert all(torch.equal(a, b) for a, b in zip(*epochs, strict=True))
    assert not torch.equal(epochs[0][0], next(task.batches(2))[0])


def recipe(**data: object) -> Recipe:
    options = {"hops": [2], **data}
    return Recipe(task="sounds", model="hops", epochs=1, batch=4, learning_rate=1e-3, data=options)


def test_rumble_and_silence_are_other() -> None:
    assert {s.label for s in rumbles()} == {OTHER}
    assert all(np.isfinite(s.mels[0].astype(np.float32)).all() for s in rumbles())


def test_sets_of_no_use_are_refused_with_a_reason() -> None:
    with pytest.raises(DataError, match="at least two classes"):
        SoundsTask(recipe(), [clip(0, 1, i) for i in range(4)], [], [])
    with pytest.raises(DataError, match="got 0 of 0"):
        SoundsTask(recipe(), [], [], [])
    with pytest.raises(DataError, match="expected clips in fold 4"):
        SoundsTask(recipe(hold=4), [clip(i, 1, i) for i in range(4)], rumbles()[:1], [])


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
