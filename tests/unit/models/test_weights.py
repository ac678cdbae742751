"""Weights that are not what they should be are refused in one line that says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from models import weights
from models.analyser import Analyser
from models.encoders.faces import FaceEncoder
from models.encoders.voice import VoiceEncoder
from models.errors import WeightsError
from models.predictors.events import Neural


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights.SHIPPED, tmp_path / "weights"))


def truncate(folder: Path) -> None:
    path = folder / "faces.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def flip_a_byte(folder: Path) -> None:
    path = folder / "voice.safetensors"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


def swap_parts(folder: Path) -> None:
    manifest = json.loads((folder / weights.MANIFEST).read_text())
    parts = manifest["parts"]
    parts["faces"], parts["voice"] = parts["voice"], parts["faces"]
    (folder / weights.MANIFEST).write_text(json.dumps(manifest))


def new_format(folder: Path) -> None:
    manifest = json.loads((folder / weights.MANIFEST).read_text())
    (folder / weights.MANIFEST).write_text(json.dumps(manifest | {"format": 99}))


HARM = {
    "expected .* bytes, got 1000": truncate,
    "expected SHA-256": flip_a_byte,
    "expected the layout of FaceEncoder": swap_parts,
    "expected format 1, got 99": new_format,
    "expected weights, got No such file": lambda folder: (folder / "text.safetensors").unlink(),
    "expected a weights manifest": lambda folder: (folder / weights.MANIFEST).write_text("{"),
}


@pytest.mark.parametrize(("message", "harm"), HARM.items(), ids=HARM.keys())
def test_harm_is_named(copy: Path, message: str, harm) -> None:
    harm(copy)
    with pytest.raises(WeightsError, match=message) as caught:
        Analyser.load(copy)
    assert "\n" not in str(caught.value)
    assert "attune train" in str(caught.value)


@torch.no_grad()
def test_sounds_are_refused_over_another_trunk_than_theirs(copy: Path) -> None:
    figures = weights.read_manifest(copy)["parts"]["voice"]["figures"]
    voice = weights.load(VoiceEncoder(), copy, "voice")
    voice.head.bias += 1  # another head over the same trunk
    weights.save(voice, copy, "voice", figures)
    Analyser.load(copy)
    voice.trunk.down.bias[0] += 1e-3
    weights.save(voice, copy, "voice", figures)
    for load in (Analyser.load, Neural):
        with pytest.raises(WeightsError, match="'sounds': expected one trained over the tr") as e:
            load(copy)
        assert "\n" not in str(e.value) and "sounds.yaml --set data.trunk=" in str(e.value)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected a weights manifest"):
        Analyser.load(tmp_path / "nowhere")


def test_a_copy_has_the_same_revision_and_other_weights_another(
    copy: Path, analyser: Analyser
) -> None:
    assert Analyser.load(copy).revision == analyser.revision
    weights.save(FaceEncoder(), copy, "faces", {})
    assert Analyser.load(copy).revision != analyser.revision


def test_tables_survive_eight_bits_and_the_rest_sixteen() -> None:
    torch.manual_seed(0)
    state = {"table": torch.randn(20_000, 16), "matrix": torch.randn(8, 8), "bias": torch.randn(8)}
    again = weights.unpack(weights.pack(state))
    for name, tolerance in (("table", 0.03), ("matrix", 2e-3), ("bias", 0.0)):
        assert (again[name] - state[name]).abs().max() <= tolerance


def test_folding_batch_norms_changes_nothing() -> None:
    torch.manual_seed(0)
    encoder = FaceEncoder()
    faces = torch.randint(0, 256, (8, 48, 48), dtype=torch.uint8)
    encoder(faces)  # moves the running statistics away from their start
    expected = encoder.eval()(faces)
    folded = weights.fold_batch_norm(encoder)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    torch.testing.assert_close(folded(faces), expected, rtol=1e-4, atol=1e-4)


def test_the_shipped_weights_are_small() -> None:
    files = [path for path in weights.SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 16_000_000
