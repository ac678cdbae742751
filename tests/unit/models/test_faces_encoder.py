"""The face encoder: what must not change its answer, how large it is, what its data refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models import weights
from models.data.faces import fingerprints, load_faces
from models.encoders.faces import FaceEncoder
from models.errors import DataError
from models.predictors.linear import hog
from models.train import faces as training
from models.train.recipe import Recipe


@pytest.fixture(scope="module")
def encoder() -> FaceEncoder:
    return weights.load(FaceEncoder(), weights.SHIPPED, "faces")


def crops(n: int, low: int = 60, high: int = 180) -> Tensor:
    """Smooth random pictures (n, 48, 48) within low..high."""
    coarse = torch.rand(n, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(coarse, size=(48, 48), mode="bicubic").squeeze(1)
    return fine.clamp(0, 1) * (high - low) + low


@torch.inference_mode()
def test_a_crop_counts_the_same_alone_and_in_any_company(encoder: FaceEncoder) -> None:
    pictures = crops(7)
    together = encoder.ferplus_logits(encoder(pictures))
    alone = torch.cat([encoder.ferplus_logits(encoder(p[None])) for p in pictures])
    backwards = encoder.ferplus_logits(encoder(pictures.flip(0))).flip(0)
    assert together.shape == (7, 8)
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together, backwards, atol=1e-5)


@torch.inference_mode()
def test_brightness_and_contrast_hardly_count(encoder: FaceEncoder) -> None:
    pictures = crops(6)
    before = encoder.logits(encoder(pictures)).exp()
    brighter = encoder.logits(encoder(pictures + 40)).exp()
    stronger = encoder.logits(encoder((pictures - 120) * 1.3 + 120)).exp()
    assert torch.allclose(before, brighter, atol=1e-4)
    assert (before - stronger).abs().max() < 0.15
    assert (before - encoder.logits(encoder(crops(6).flip(0))).exp()).abs().max() > 0.15


@pytest.mark.parametrize("level", [0, 128, 255])
@torch.inference_mode()
def test_a_flat_crop_gives_probabilities(encoder: FaceEncoder, level: int) -> None:
    flat = torch.full((2, 48, 48), level, dtype=torch.uint8)
    found = encoder.logits(encoder(flat)).exp()
    assert torch.isfinite(found).all() and torch.allclose(found.sum(1), torch.ones(2), atol=1e-4)


def test_it_is_small_enough() -> None:
    assert sum(p.numel() for p in FaceEncoder().parameters()) <= 1_000_000
    assert (weights.SHIPPED / "faces.safetensors").stat().st_size <= 2 * 2**20


def write(folder: Path, votes: np.ndarray, split: list[str]) -> Path:
    (folder / "faces").mkdir()
    pixels = crops(len(votes), 0, 255).numpy().astype(np.uint8)
    np.savez(folder / "faces" / "ferplus48.npz", pixels=pixels, votes=votes, split=np.array(split))
    return folder


def recipe(batch: int = 4) -> Recipe:
    return Recipe(task="faces", model="residual", epochs=1, batch=batch, learning_rate=1e-3)


def test_data_of_no_use_are_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing"):
        load_faces(tmp_path, "train")
    with pytest.raises(DataError, match="expected a part of train, valid, test, got 'tset'"):
        load_faces(tmp_path, "tset")
    none = np.zeros((6, 10), np.uint8)
    none[:, 8] = 10  # "unknown" throughout
    with pytest.raises(DataError, match="expected faces with votes for an emotion"):
        load_faces(write(tmp_path, none, ["train"] * 6), "train")


def test_one_class_only_cannot_be_trained_on(tmp_path: Path) -> None:
    votes = np.zeros((24, 10), np.uint8)
    votes[:, 1] = 10
    data = write(tmp_path, votes, ["train"] * 20 + ["valid"] * 4)
    with pytest.raises(DataError, match="one class only"):
        training.build(recipe(), data, tmp_path)
    with pytest.raises(DataError, match="at least 64 faces"):
        training.build(recipe(batch=64), data, tmp_path)


def test_a_copy_is_known_mirrored_or_not() -> None:
    pictures = crops(5).numpy().astype(np.uint8)
    assert len(set(fingerprints(pictures))) == 5
    assert (fingerprints(pictures) == fingerprints(pictures[:, :, ::-1])).all()


def test_no_picture_is_in_two_parts(data: Path) -> None:
    parts = [set(fingerprints(load_faces(data, p).pixels)) for p in ("train", "valid", "test")]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def test_clear_faces_are_those_of_the_paper(tmp_path: Path) -> None:
    votes = np.zeros((4, 10), np.uint8)
    votes[0, :2] = 6, 4  # six of ten
    votes[1, :2] = 5, 5
    votes[2, [0, 8]] = 4, 6  # mostly unknown
    votes[3, :6] = 5, 1, 1, 1, 1, 1  # single votes do not count
    faces = load_faces(write(tmp_path, votes, ["valid"] * 4), "valid")
    assert faces.clear.tolist() == [True, False, False, True]
    assert faces.labels.tolist() == [0, 0, 0, 0]


def test_histograms_of_gradients_do_not_see_brightness() -> None:
    pictures = crops(3, 60, 120).numpy().astype(np.uint8)
    assert hog(pictures).shape == (3, 1764)
    assert np.allclose(hog(pictures), hog(pictures + 100))
    assert not np.allclose(hog(pictures), hog(pictures[:, ::-1]))


def test_targets_leave_single_votes_out() -> None:
    votes = np.zeros((2, 8), np.float32)
    votes[0, :3] = 7, 2, 1
    votes[1, :3] = 1, 1, 1
    faces = training.FaceSet(
        pixels=np.zeros((2, 48, 48), np.uint8), votes=votes, clear=np.ones(2, bool)
    )
    shares, weight = training.soft_targets(faces)
    assert np.allclose(shares[0, :3], [7 / 9, 2 / 9, 0])
    assert np.allclose(shares[1, :3], 1 / 3)
    assert np.allclose(weight, [0.9, 0.3])
