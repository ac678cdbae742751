"""Commands that analyse: demo, run, record, replay, sync-test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attune.commands.options import (
    DEFAULT_ADDRESS,
    Assignments,
    Config,
    Consent,
    Fast,
    Media,
    Words,
)

app = typer.Typer()


@app.command()
def demo(
    live: Annotated[
        bool, typer.Option("--live", help="Use the camera and microphone, if there are any.")
    ] = False,
    inline: Annotated[bool, typer.Option("--inline", help="One process, without Ray.")] = False,
    publish: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where results are published.")
    ] = None,
) -> None:
    """Analyse a generated scene with known truth. Needs no hardware, file or download."""
    from attune.demo import run_demo

    raise typer.Exit(run_demo(live=live, inline=inline, publish=publish))


@app.command()
def run(
    config: Config = None,
    media: Media = None,
    text: Words = None,
    stream: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the stream given by options.")
    ] = None,
    publish: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help=f"ZeroMQ address; default {DEFAULT_ADDRESS}."),
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="FILE.jsonl", help="Also write messages as JSON lines.")
    ] = None,
    fast: Fast = False,
    inline: Annotated[bool, typer.Option("--inline", help="One process, without Ray.")] = False,
    control: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Take commands of attune streams here, such as ipc:///PATH."
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Run on the Ray cluster there, or auto; docs/cluster.md."
        ),
    ] = None,
    consent: Consent = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Say all as JSON lines on standard error.")
    ] = False,
    set_: Assignments = None,
) -> None:
    """Analyse streams until they end or Ctrl-C."""
    from attune.run import from_options, run_pipeline

    settings, asked_address = from_options(
        config=config,
        media=media,
        text=text,
        stream=stream,
        publish=publish,
        output=output,
        fast=fast,
        inline=inline,
        control=control,
        address=address,
        consent=consent,
        assignments=set_ or [],
    )
    raise typer.Exit(run_pipeline(settings, asked_address=asked_address, as_log=log_json))


@app.command()
def record(
    file: Annotated[Path, typer.Argument(metavar="FILE.mcap", help="Where the session goes.")],
    config: Config = None,
    media: Media = None,
    text: Words = None,
    keep_media: Annotated[
        bool,
        typer.Option(
            "--keep-media", help="Also keep face crops, sound and words: ask the people first."
        ),
    ] = False,
    fast: Fast = False,
    consent: Consent = False,
    set_: Assignments = None,
) -> None:
    """Analyse streams and write the session down. In one process, without Ray."""
    from attune.record import Recorder
    from attune.run import from_options, run_pipeline

    settings, asked_address = from_options(
        config=config,
        media=media,
        text=text,
        stream=None,
        publish=None,
        output=None,
        fast=fast,
        inline=True,
        consent=consent,
        assignments=set_ or [],
    )
    recorder = Recorder(file, keep_media=keep_media)
    raise typer.Exit(run_pipeline(settings, asked_address=asked_address, recorder=recorder))


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE.mcap", help="Made by attune record.")],
    assert_identical: Annotated[
        bool, typer.Option("--assert-identical", help="Exit 1 at the first difference.")
    ] = False,
    output: Annotated[
        str | None, typer.Option(metavar="FILE.jsonl", help="Write the replayed messages.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What if: windows.lateness_ms=200."),
    ] = None,
) -> None:
    """Run a recorded session again. The same results, the first difference, or what if."""
    from attune.replay import run_replay

    code = run_replay(
        file, assert_identical=assert_identical, assignments=set_ or [], output=output
    )
    raise typer.Exit(code)


@app.command("sync-test")
def sync_test(
    shift_ms: Annotated[
        float,
        typer.Option(
            metavar="MS", min=-450, max=450, help="How late the sound is; negative: early."
        ),
    ] = 0.0,
    drift_ppm: Annotated[
        float,
        typer.Option(metavar="PPM", min=-1000, max=1000, help="How fast the sound's clock runs."),
    ] = 0.0,
    fps: Annotated[
        float, typer.Option(metavar="RATE", min=10, max=120, help="Pictures a second.")
    ] = 30.0,
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", min=6, max=600, help="How long it is played.")
    ] = 20.0,
    correct: Annotated[bool, typer.Option("--correct", help="Also move the sound.")] = False,
    inline: Annotated[bool, typer.Option("--inline", help="One process, without Ray.")] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Also draw the error over time.")
    ] = None,
) -> None:
    """Play flashes and beeps with a known offset, and measure it. In real time."""
    from attune.sync_test import SyncTest, run_sync_test

    test = SyncTest(
        shift_ms=shift_ms,
        drift_ppm=drift_ppm,
        fps=fps,
        seconds=seconds,
        correct=correct,
        inline=inline,
    )
    raise typer.Exit(run_sync_test(test, picture))
