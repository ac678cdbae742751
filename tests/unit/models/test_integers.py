"""Stages in whole numbers: as near to floats as they must be, and never beyond 16 bits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_scenes import vowel

from models import features, integers, weights
from models.analyser import Analyser
from models.encoders.faces import FaceEncoder
from models.encoders.text import collate
from models.network import Network
from models.runtime import tensors_of
from models.threads import limit_threads

LINES = ("what a lovely surprise", "no", "I really do not think that this works", "so sad :(")
PLANS = weights.read_manifest(weights.SHIPPED)["graphs_int8"]


@pytest.fixture(scope="module")
def both() -> tuple[Analyser, Analyser]:
    limit_threads(1)
    return Analyser.load(device="cpu"), Analyser.load(device="cpu", runtime="onnx")


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return tensors_of(weights.fold_batch_norm(Network.load(weights.SHIPPED)).eval())


def inputs(stage: str, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    if stage == "text":
        ids, mask = collate(LINES)
        return ids.numpy(), mask.numpy()
    if stage == "trunk":
        hops = [features.log_mel(vowel(1.0, seed=seed + i))[:74] for i in range(3)]
        return (np.stack([features.normalise(hop, features.PEAK_FLOOR)[0] for hop in hops]),)
    x, y = np.meshgrid(np.arange(48), np.arange(48))
    waves = [np.sin(x / rng.uniform(3, 9)) + np.cos(y / rng.uniform(3, 9)) for _ in range(5)]
    return ((60 * (np.stack(waves) + 2)).astype(np.uint8),)


@pytest.mark.parametrize(("stage", "error"), [("faces", 0.1), ("trunk", 0.1), ("text", 0.1)])
def test_whole_numbers_stay_near_floats(both, stage: str, error: float) -> None:
    whole, floats = (analyser.stages[stage](*inputs(stage))[0] for analyser in both)
    assert (whole != floats).any()  # else the graph in whole numbers is not what runs by default
    assert np.sqrt(np.square(whole - floats).mean()) < error * floats.std()


@settings(max_examples=12, deadline=None)
@given(stage=st.sampled_from(integers.STAGES), seed=st.integers(0, 999), count=st.integers(2, 12))
def test_a_row_does_not_depend_on_the_others(both, stage, seed, count) -> None:
    """A step of a 63rd that another padding or place turned would be off by 1e-3 and more."""
    run = both[0].stages[stage]
    rows = noise(stage, seed, count)
    together = run(*rows)[0]
    apart = np.concatenate([run(*alone(rows, i))[0] for i in range(count)])
    np.testing.assert_allclose(apart, together, atol=1e-5)


def noise(stage: str, seed: int, count: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    if stage == "text":
        words = " ".join(LINES).split()
        ids, mask = collate(
            [" ".join(rng.choice(words, rng.integers(1, 25))) for _ in range(count)]
        )
        return ids.numpy(), mask.numpy()
    if stage == "trunk":
        return (rng.normal(-0.5, 0.4, (count, 74, 64)).astype(np.float32),)
    return (rng.integers(0, 256, (count, 48, 48), dtype=np.uint8),)


def alone(rows: tuple[np.ndarray, ...], i: int) -> tuple[np.ndarray, ...]:
    """Row i without the padding that its mask, if there is one, leaves out."""
    row = tuple(array[i : i + 1] for array in rows)
    return tuple(array[:, : int(row[-1].sum())] for array in row) if len(row) == 2 else row


def test_two_products_never_leave_16_bits(tensors) -> None:
    """Instructions without VNNI add two products of 8 bits in 16 bits with saturation."""
    for entry in PLANS.values():
        made = integers.arrays(entry["plan"], tensors)
        for name in entry["plan"]["matrices"]:
            assert 2 * 127 * np.abs(made[f"{name}.whole"].astype(int)).max() <= 32_767
        for name, _ in entry["plan"]["convolutions"]:
            assert 2 * 255 * np.abs(made[f"{name}.whole"].astype(int)).max() <= 32_767


def test_weights_are_off_by_half_a_step_at_most(tensors) -> None:
    plan = PLANS["text"]["plan"]
    made = integers.arrays(plan, tensors)
    for name in plan["matrices"]:
        back = (made[f"{name}.whole"] * made[f"{name}.scale"]).T
        assert (
            np.abs(back - tensors[name].numpy()) <= 0.501 * made[f"{name}.scale"][:, None]
        ).all()


def test_the_large_products_are_all_there(tensors) -> None:
    """A pattern that the rewriting no longer recognises would cost time and no test else."""
    for stage, entry in PLANS.items():
        plan = entry["plan"]
        named = {*plan["matrices"], *(weight for weight, _ in plan["convolutions"])}
        large = {
            name for name in entry["weights"]
            if len(entry["weights"][name]) > 1 and tensors[name].numel() > 2**16
        }  # fmt: skip
        tables = {"text.words.weight", "text.positions.weight", "voice.trunk.positions"}
        once = {"text.project.weight"}  # of one row: nothing to gain
        assert large - tables - once <= named, stage


def test_without_ranges_a_stage_stays_in_floats(tmp_path: Path, both) -> None:
    path = Path(shutil.copytree(weights.SHIPPED, tmp_path / "weights"))
    faces = weights.load(FaceEncoder(), path, "faces")
    faces.ranges.zero_()
    weights.save(faces, path, "faces", {})
    analyser = Analyser.load(path, device="cpu")
    (pixels,) = inputs("faces")
    np.testing.assert_array_equal(
        analyser.stages["faces"](pixels)[0], both[1].stages["faces"](pixels)[0]
    )


def test_ranges_only_widen() -> None:
    torch.manual_seed(0)
    encoder = FaceEncoder()
    encoder.observe(torch.randint(0, 256, (4, 48, 48), dtype=torch.uint8))
    first = encoder.ranges.clone()
    assert (first[:, 2] > 0).all() and (first[0, :2] != 0).all()
    encoder.observe(torch.zeros(1, 48, 48, dtype=torch.uint8))
    assert torch.equal(encoder.ranges, first)
