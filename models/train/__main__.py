"""`python -m models.train`: train, calibrate and save the weights, with their figures."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from models import labels, weights
from models.encoders.faces import FaceEncoder
from models.encoders.text import TextEncoder
from models.encoders.voice import VoiceEncoder
from models.errors import ModelError
from models.network import PARTS
from models.train import engine
from models.train.faces import train_faces
from models.train.recipe import Recipe
from models.train.report import Figures, report_faces, report_text, report_voice
from models.train.text import train_text
from models.train.transfer import publish
from models.train.voice import train_voice
from models.types import EMOTIONS


class Part(StrEnum):
    """What `--only` can name."""

    faces = "faces"
    voice = "voice"
    text = "text"
    fusion = "fusion"


def _show(title: str, figures: Figures) -> None:
    columns = list(dict.fromkeys(key for row in figures.values() for key in row))
    table = Table("set", *columns, title=title)
    for name, row in figures.items():
        table.add_row(name, *(f"{row[c]:.4g}" if c in row else "" for c in columns))
    Console(width=160).print(table)


def _label_maps() -> dict[str, dict[str, str]]:
    return {
        "ferplus": labels.FERPLUS_TO_EMOTION,
        "speech": labels.SPEECH_TO_EMOTION,
        "meld": labels.MELD_TO_EMOTION,
        "goemotions": labels.GOEMOTIONS_TO_EMOTION,
    }


def _train_encoder(part: str, data: Path, out: Path, cache: Path, options: dict) -> None:
    if part == "faces":
        weights.save(train_faces(data, **options), out, part, {})
        figures = report_faces(weights.load(FaceEncoder(), out, part), data)
    elif part == "voice":
        weights.save(train_voice(data, cache=cache, **options), out, part, {})
        figures = report_voice(weights.load(VoiceEncoder(), out, part), data, cache)
    else:
        weights.save(train_text(data, **options), out, part, {})
        figures = report_text(weights.load(TextEncoder(), out, part), data)
    weights.set_figures(out, part, figures)
    _show(part, figures)


def _train_fusion(data: Path, out: Path, cache: Path, options: dict) -> None:
    quick, run = options["quick"], options["runs"] / "pool"
    recipe = Recipe(
        task="pool", model="gated", epochs=1 if quick else 6, batch=256, learning_rate=3e-3,
        average=0.99, seed=options["seed"],
        data={"encoders": str(out), **({"limit": 140, "steps": 10} if quick else {})},
    )  # fmt: skip
    figures = engine.train(recipe, data, run, cache)
    publish(run, out, recipe)
    _show("fusion", figures)


app = typer.Typer(add_completion=False)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="Folder with faces/, speech/ and text/.")],
    out: Annotated[Path, typer.Option(help="Where weights and manifest go.")] = weights.SHIPPED,
    only: Annotated[Part | None, typer.Option(help="Train one part; then refit fusion.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of each part's own number.")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 2,
    cache: Annotated[Path, typer.Option(help="For decoded speech.")] = Path("runs/cache"),
    runs: Annotated[Path, typer.Option(help="For the curves, one CSV per part.")] = Path("runs"),
    quick: Annotated[bool, typer.Option(help="A smoke test on a sliver of the data.")] = False,
) -> None:
    """Train the shipped analyser: three encoders, then calibration and fusion."""
    torch.set_num_threads(threads)
    common = {"seed": seed, "quick": quick, "runs": runs}
    own = {} if epochs is None else {"epochs": epochs}
    for part in PARTS if only is None else (only.value,):
        if part == "fusion":
            _train_fusion(data, out, cache, common)
        else:
            _train_encoder(part, data, out, cache, common | own)
    weights.annotate(out, emotions=list(EMOTIONS), label_maps=_label_maps())


def main() -> None:
    """Run the command; errors that `models` raises on purpose become one line."""
    try:
        app()
    except ModelError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(os.EX_DATAERR) from None


if __name__ == "__main__":
    main()
