"""The command line. Every error that a user can mend is one line on standard error.

Exit codes: 0 done, 1 failed, 2 wrongly asked, 130 and 143 ended by Ctrl-C and SIGTERM.
Commands import what they need when they run, so that `attune --help` and `watch` start fast.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from streaming.errors import AttuneError

app = typer.Typer(
    name="attune",
    help="Real-time analysis of video, sound and text: sentiment, emotion and events over ZeroMQ.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
# Typer carries its own click, and names only some of its errors in public.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
DEFAULT_ADDRESS = "tcp://127.0.0.1:7100"


Config = Annotated[
    Path | None, typer.Argument(metavar="[CONFIG.yaml]", help="Settings; see configs/.")
]
Media = Annotated[
    str | None, typer.Option(metavar="PATH_OR_URL", help="Anything that FFmpeg reads.")
]
Words = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="Words: .srt, .vtt, .jsonl, or - for standard input."),
]
Fast = Annotated[bool, typer.Option("--fast", help="As fast as possible instead of in real time.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as windows.hop_ms=250."),
]


Consent = Annotated[
    bool,
    typer.Option(
        "--consent", help="Those before cameras, microphones and at addresses have agreed."
    ),
]


def _version(show: bool) -> None:
    if show:
        from attune import __version__

        typer.echo(f"attune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


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
    """Analyse a generated scene with known truth; needs no hardware, file or download."""
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
    """Analyse streams, in one process, and write the session down for attune replay."""
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
    """Run a recorded session again: the same results, or the first difference."""
    from attune.replay import run_replay

    code = run_replay(
        file, assert_identical=assert_identical, assignments=set_ or [], output=output
    )
    raise typer.Exit(code)


@app.command()
def watch(
    address: Annotated[str, typer.Argument(help="Where a publisher publishes.")] = DEFAULT_ADDRESS,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="Only this stream.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One message a line, as published.")
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many messages.")] = None,
    until_ended: Annotated[
        bool, typer.Option("--until-ended", help="Stop when every stream seen has ended.")
    ] = False,
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keys made by attune keys client.")
    ] = None,
) -> None:
    """Show what a running Attune publishes, and any hole in it."""
    from attune.watch import watch as run_watch

    code = run_watch(
        address, stream=stream, as_json=as_json, count=count, until_ended=until_ended, keys=keys
    )
    raise typer.Exit(code or 0)


@app.command()
def ping(
    address: Annotated[str, typer.Argument(help="Where a publisher publishes.")] = DEFAULT_ADDRESS,
    within: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long to wait for a heartbeat.")
    ] = 5.0,
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keys made by attune keys client.")
    ] = None,
) -> None:
    """Exit 0 if a publisher is alive there, 1 if not; for health checks."""
    from attune.ping import ping as run_ping

    run_ping(address, within_s=within, keys=keys)


streams_app = typer.Typer(
    help="Add, pause, resume, remove and list the streams of a running Attune."
)
app.add_typer(streams_app, name="streams", no_args_is_help=True)
Control = Annotated[
    str,
    typer.Option(
        "--control",
        metavar="ADDRESS",
        envvar="ATTUNE_CONTROL",
        help="Where that Attune takes commands; see attune run --control.",
    ),
]
ControlKeys = Annotated[
    Path | None, typer.Option("--keys", metavar="DIR", help="Keys made by attune keys client.")
]
StreamArgument = Annotated[str, typer.Argument(metavar="NAME", help="The stream.")]


@streams_app.command("list")
def streams_list(control: Control, keys: ControlKeys = None) -> None:
    """Show all streams and what they do."""
    from attune.streams import ask_and_show
    from streaming.control import ListRequest

    ask_and_show(control, keys, [ListRequest()])


@streams_app.command("add")
def streams_add(
    control: Control,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A new stream.")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="CONFIG.yaml", help="Add the streams of this file.")
    ] = None,
    media: Media = None,
    text: Words = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also where the machine is full already.")
    ] = False,
    consent: Consent = False,
    keys: ControlKeys = None,
) -> None:
    """Have one more stream analysed, or those of a file."""
    from attune.streams import additions, ask_and_show

    asked = additions(
        name=name, config=config, media=media, text=text, force=force, consent=consent
    )
    ask_and_show(control, keys, asked)


@streams_app.command("pause")
def streams_pause(name: StreamArgument, control: Control, keys: ControlKeys = None) -> None:
    """Close a stream's sources; resume opens them again."""
    from attune.streams import ask_and_show
    from streaming.control import PauseRequest

    ask_and_show(control, keys, [PauseRequest(stream=name)])


@streams_app.command("resume")
def streams_resume(name: StreamArgument, control: Control, keys: ControlKeys = None) -> None:
    """Open the sources of a paused stream again."""
    from attune.streams import ask_and_show
    from streaming.control import ResumeRequest

    ask_and_show(control, keys, [ResumeRequest(stream=name)])


@streams_app.command("remove")
def streams_remove(name: StreamArgument, control: Control, keys: ControlKeys = None) -> None:
    """End a stream for good."""
    from attune.streams import ask_and_show
    from streaming.control import RemoveRequest

    ask_and_show(control, keys, [RemoveRequest(stream=name)])


rules_app = typer.Typer(help="Check the rules of a configuration; see docs/events.md.")
app.add_typer(rules_app, name="rules", no_args_is_help=True)


@rules_app.command("check")
def rules_check(
    file: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Has events.rules.")],
) -> None:
    """Say what each rule does, or what is wrong with it, line by line."""
    from attune.rules import check_rules

    raise typer.Exit(check_rules(file))


@rules_app.command("names")
def rules_names() -> None:
    """List what the conditions of rules may name."""
    from attune.rules import show_names

    show_names()


keys_app = typer.Typer(help="Make CURVE keys, for publishing beyond this machine.")
app.add_typer(keys_app, name="keys", no_args_is_help=True)


@keys_app.command("server")
def keys_server(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the keys go.")],
) -> None:
    """Make a publisher's keys; give the folder as output.keys."""
    from streaming.keys import make_server_keys

    make_server_keys(folder)
    typer.echo(f"keys in {folder}; publish with --set output.keys={folder}")


@keys_app.command("client")
def keys_client(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the keys go.")],
    server: Annotated[Path, typer.Option(metavar="DIR", help="The publisher's folder.")],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Whom the keys are for.", show_default=True)
    ] = "client",
) -> None:
    """Make a subscriber's keys, and let it in at that publisher."""
    from streaming.keys import make_client_keys

    make_client_keys(server, folder, name)
    typer.echo(f"keys in {folder}, let in as {name}; subscribe with attune watch --keys {folder}")


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
    workers: Annotated[int, typer.Option(min=1, help="Processes, through Ray Train.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of torch in each process.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto for a GPU if there is one.")] = (
        "auto"
    ),
    cache: Annotated[Path, typer.Option(metavar="DIR", help="For decoded media.")] = Path(
        "runs/cache"
    ),
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the recipe, such as epochs=3."),
    ] = None,
) -> None:
    """Train a part of the analyser by a recipe, or fine-tune it on your own clips."""
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
def explain(
    at: Annotated[
        float, typer.Option("--at", metavar="SECONDS", help="Stream time to be explained.")
    ],
    media: Annotated[
        str | None, typer.Argument(metavar="[MEDIA]", help="Anything that FFmpeg reads.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="PATH", help="Words: .srt, .vtt or .jsonl.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="sentiment or an emotion; default: sentiment and the likeliest emotion."),
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
    """Show why a window of a recording got its score: modalities, words, face, sound."""
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
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples; 0 for no intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Measure models on labelled data: figures by their standard names, with intervals."""
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
def clock(
    address: Annotated[
        str, typer.Argument(help="Where to answer, such as tcp://0.0.0.0:7201 with keys.")
    ] = "tcp://127.0.0.1:7201",
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keys made by attune keys server.")
    ] = None,
) -> None:
    """Tell this host's time to an Attune on another one; see docs/clocks.md."""
    from attune.clock import serve_clock

    serve_clock(address, keys)


@app.command()
def devices() -> None:
    """List the cameras and microphones of this machine."""
    from attune.devices import show_devices

    show_devices()


@app.command("sync-test")
def sync_test(
    shift_ms: Annotated[
        float, typer.Option(min=-450, max=450, help="How late the sound is; negative: early.")
    ] = 0.0,
    drift_ppm: Annotated[
        float, typer.Option(min=-1000, max=1000, help="How fast the sound's clock runs.")
    ] = 0.0,
    fps: Annotated[float, typer.Option(min=10, max=120, help="Pictures a second.")] = 30.0,
    seconds: Annotated[float, typer.Option(min=6, max=600, help="How long it is played.")] = 20.0,
    correct: Annotated[bool, typer.Option("--correct", help="Also move the sound.")] = False,
    inline: Annotated[bool, typer.Option("--inline", help="One process, without Ray.")] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Also draw the error over time.")
    ] = None,
) -> None:
    """Play flashes and beeps with a known offset in real time, and measure it again."""
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


@app.command()
def doctor(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON.")] = False,
    set_: Assignments = None,
) -> None:
    """Check whether a run will work on this machine, and say what to do where it will not."""
    from attune import config as configuration
    from attune.doctor import run_doctor

    tree = configuration.load(config)
    for assignment in set_ or []:
        configuration.assign(tree, assignment)
    settings = configuration.settings(tree, str(config) if config else "settings")
    raise typer.Exit(run_doctor(settings, as_json=as_json))


@app.command()
def schema(
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="AsyncAPI 3.0: also replay and control.")
    ] = False,
) -> None:
    """Print the JSON Schema of the messages, or the AsyncAPI document of all sockets."""
    import json

    from attune import __version__
    from streaming.asyncapi import document
    from streaming.wire import message_schema

    typer.echo(json.dumps(document(__version__) if asyncapi else message_schema(), indent=2))


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; returns only by exiting."""
    try:
        code = app(args=arguments, prog_name="attune", standalone_mode=False)
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(getattr(error, "ctx").get_help())  # noqa: B009 - not on Exception
            sys.exit(2)
        message = getattr(error, "format_message", error.__str__)()
        _fail(f"{message} (attune --help shows what can be asked)", 2)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except AttuneError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    typer.echo(f"attune: {' '.join(message.split())}", err=True)
    sys.exit(code)
