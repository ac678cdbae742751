"""Commands for the models: train, evaluate, explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attune.commands.options import Assignments

app = typer.Typer()


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="See configs/recipes/.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="The folder that the data lie in.")],
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Curve, state and weights; default runs/RECIPE."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also enter the weights into this weights folder."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on with a run that was cut short.")
    ] = True,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes, through Ray Train.")
    ] = 1,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Threads of torch in each process.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="cpu, cuda, or auto for a GPU if there is one.")
    ] = ("auto"),
    cache: Annotated[Path, typer.Option(metavar="DIR", help="For decoded media.")] = Path(
        "runs/cache"
    ),
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe, such as epochs=3."),
    ] = None,
) -> None:
    """Train a part of the analyser by a recipe. Also on your own clips; docs/training.md."""
    from attune.train import run_training

    code = run_training(
        recipe,
        data=data,
        run=run,
        out=out,
        resume=resume,
        workers=workers,
        threads=threads,
        device=device,
        cache=cache,
        assignments=set_ or [],
    )
    raise typer.Exit(code)


@app.command()
def evaluate(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="text, speech, faces, events, mosi or clips.")
    ],
    data: Annotated[
        Path, typer.Option(metavar="PATH", help="A labelled file or folder; docs/evaluation.md.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME_OR_FOLDER", help="Repeat for trainings with other seeds."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Or all; default: test, else valid, else all."),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="Instead of by its content.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="NAME_OR_FOLDER", help="Compare: paired bootstrap.")
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(metavar="N", min=0, help="Resamples; 0 for no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Measure models on labelled data. See docs/evaluation.md."""
    from attune.evaluate import run_evaluation

    code = run_evaluation(
        task,
        data=data,
        models=model or [],
        split=split,
        form=form,
        baseline=baseline,
        resamples=bootstrap,
        seed=seed,
        as_json=as_json,
    )
    raise typer.Exit(code)


@app.command()
def explain(
    at: Annotated[
        float, typer.Option("--at", metavar="SECONDS", help="Stream time to be explained.")
    ],
    media: Annotated[
        str | None, typer.Argument(metavar="MEDIA", help="Anything that FFmpeg reads.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="PATH", help="Words: .srt, .vtt or .jsonl.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="sentiment or an emotion; default: sentiment and the likeliest emotion.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html|.png",
            help="Write a page or a picture. It shows the face and the words: treat it as a "
            "recording. Without this nothing is written.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
    set_: Assignments = None,
) -> None:
    """Show why a window of a recording got its score. See docs/explanation.md."""
    from attune.explain import run_explain

    code = run_explain(
        media=media,
        text=text,
        at_s=at,
        target=target,
        output=output,
        as_json=as_json,
        assignments=set_ or [],
    )
    raise typer.Exit(code)
