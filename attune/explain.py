"""`attune explain`: the pipeline runs up to one window, and that window is explained.

Invariant: a file is written only where `--output` names one, for it shows a face and words.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from attune.run import Signals, from_options
from streaming.errors import AttuneError, SinkError, UsageError
from streaming.settings import AttuneSettings

if TYPE_CHECKING:
    from models.explain.material import Recorder
    from models.explain.window import Explanation

Writer = Callable[["Explanation", str, str], bytes]


def run_explain(
    *,
    media: str | None,
    text: str | None,
    at_s: float,
    target: str | None,
    output: Path | None,
    as_json: bool,
    assignments: list[str],
) -> int:
    """Explain the window that `at_s` falls into; the exit code."""
    settings, _ = from_options(
        config=None, media=media, text=text, stream=None, publish="", output=None, fast=True,
        inline=True, assignments=assignments,
    )  # fmt: skip
    if not (math.isfinite(at_s) and at_s >= 0):
        raise UsageError(f"--at {at_s:g}: expected seconds from the start of the stream")
    if settings.model.text or settings.model.faces:
        raise UsageError(
            "explain knows Attune's own encoders only; leave out model.text and .faces"
        )
    write = _writer(output)
    _check_target(target)
    recorder = _run_to(settings, at_s)
    explanation = _explain(settings, recorder, target)
    title = Path(media or text or "").name
    if output is not None:
        _save(output, write(explanation, title, recorder.revision))
    _tell(explanation, title, recorder.revision, output, as_json)
    return 0


def _check_target(target: str | None) -> None:
    from models.errors import ModelError
    from models.explain.gradients import require_captum
    from models.explain.senses import check_target

    try:
        if target is not None:
            check_target(target)
    except ModelError as error:
        raise UsageError(f"--target: {error}") from None
    try:
        require_captum()
    except ModelError as error:
        raise AttuneError(str(error)) from None


def _run_to(settings: AttuneSettings, at_s: float) -> Recorder:
    """Run the pipeline until the wanted window is scored."""
    from actors.inline import InlinePipeline
    from actors.warmup import load_analyser, warm_aligner
    from models.explain.material import Recorder

    signals, console = Signals(), Console(stderr=True)
    signals.take()
    with console.status("reading") if console.is_terminal else nullcontext():
        analyser = load_analyser(settings.model, "onnx")  # floats, as gradients need them
        recorder = Recorder(analyser, round(at_s * 1e9), signals.stop.set)
        warm_aligner()
        InlinePipeline(settings, recorder, []).run(signals.stop)
    if recorder.material is not None:
        return recorder
    if signals.exit_code:
        raise KeyboardInterrupt
    raise UsageError(
        f"--at {at_s:g}: nothing there; the last window ends at {recorder.last_end_ns / 1e9:.1f} s"
    )


def _explain(settings: AttuneSettings, recorder: Recorder, target: str | None) -> Explanation:
    from models import weights
    from models.errors import ModelError
    from models.explain.window import explain
    from models.network import Network

    material = recorder.material
    assert material is not None
    targets = () if target is None else (target,)
    try:
        network = Network.load(Path(settings.model.path or weights.SHIPPED))
        return explain(network, material, recorder.sentiment_prior, targets)
    except ModelError as error:
        span = f"{material.start_ns / 1e9:.1f} to {material.end_ns / 1e9:.1f} s"
        raise AttuneError(f"{span}: {error}") from None


def _writer(output: Path | None) -> Writer:
    suffix = "" if output is None else output.suffix.lower()
    if output is not None and not output.absolute().parent.is_dir():
        raise UsageError(f"--output {output}: the folder {output.absolute().parent} does not exist")
    if suffix in ("", ".html", ".htm") and (output is None or suffix):
        from attune.explain_page import page

        return lambda explanation, title, model: page(explanation, title, model).encode()
    if suffix == ".png":
        from attune.explain_picture import picture

        return picture
    raise UsageError(f"--output {output}: expected a name that ends in .html or .png")


def _save(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise SinkError(f"--output {path}: {error.strerror or error}") from None


def _tell(
    explanation: Explanation, title: str, revision: str, output: Path | None, as_json: bool
) -> None:
    from attune.explain_text import lines, tree

    console = Console(soft_wrap=True, highlight=False)
    if as_json:
        print(json.dumps(tree(explanation, title, revision)))  # noqa: T201 - what was asked for
    else:
        for line in lines(explanation):
            console.print(line)
    if output is not None:
        Console(stderr=True).print(
            f"written to {output}; it shows a face and words where there were any: treat it as a "
            "recording",
            soft_wrap=True, highlight=False, markup=False,
        )  # fmt: skip
