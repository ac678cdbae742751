"""`attune demo`: a generated scene through the whole pipeline, compared with its known truth."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from attune import config as configuration
from attune.run import run_pipeline
from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.errors import UsageError
from streaming.packets import Modality
from streaming.results import Event, Message, Phase, Result
from streaming.settings import AttuneSettings, StreamSettings, VisionSettings
from streaming.source_settings import SyntheticSettings
from streaming.sources.device_list import list_devices
from streaming.sources.open import open_source
from streaming.sources.synthetic import Truth

FRAME_NS = 10 * NS_PER_MS
LIVE_S = 30.0
Spans = Sequence[tuple[int, int]]


def run_demo(*, live: bool, inline: bool, publish: str | None) -> int:
    """Run the demo; the exit code."""
    tree = configuration.load(Path(str(files("configs") / "demo.yaml")))
    if publish is not None:
        tree["output"]["publish"] = publish
    if inline:
        tree["pipeline"] = {"runtime": "inline"}
    if live:
        # Who asks for it sits before it.
        tree["streams"] = [{"name": "demo", "sources": _devices(), "consent": True}]
    settings = configuration.settings(tree, "demo.yaml")
    messages: list[Message] = []
    code = run_pipeline(settings, asked_address=publish is not None, on_message=messages.append)
    if not live:
        _compare(Console(stderr=True), messages, _truth(settings))
    return code


def _devices() -> list[dict[str, object]]:
    kinds = {kind for kind, *_ in list_devices()}
    sources: list[dict[str, object]] = [
        {"kind": kind, "duration_s": LIVE_S} for kind in ("camera", "microphone") if kind in kinds
    ]
    if not sources:
        raise UsageError("--live: no camera and no microphone found; run the demo without --live")
    return sources


def _truth(settings: AttuneSettings) -> Truth:
    stream: StreamSettings = settings.streams[0]
    spec = stream.sources[0]
    assert isinstance(spec, SyntheticSettings)
    source = open_source(spec, stream=stream.name, vision=VisionSettings(), hop_ns=NS_PER_S // 2)
    try:
        return source.truth  # type: ignore[attr-defined]
    finally:
        source.close()


def _compare(console: Console, messages: list[Message], truth: Truth) -> None:
    """Print how far the run agrees with what the scene was made from."""
    results = [m for m in messages if isinstance(m, Result)]
    if not results:
        return
    end_ns = max(r.end_ns for r in results)
    table = Table(title="Against the scene's known truth", title_justify="left")
    for heading in ("what", "truth", "measured", "agreement"):
        table.add_column(heading)
    for what, spans in (("speech", truth.speech), ("face", truth.faces)):
        found = _event_spans(messages, what, end_ns)
        table.add_row(
            what,
            f"{len(spans)} intervals, {_seconds(spans):.1f} s",
            f"{len(found)} intervals, {_seconds(found):.1f} s",
            f"{100 * _agreement(spans, found, end_ns):.0f} % of the time",
        )
    for start_ns, stop_ns, value in truth.sentiment:
        words = _words(_within(results, start_ns, stop_ns))
        table.add_row(
            f"words {start_ns / NS_PER_S:.0f}-{stop_ns / NS_PER_S:.0f} s",
            f"{value:+.1f}",
            f"{np.mean(words):+.2f} (mean of {len(words)})" if words else "no evidence",
            _sign_agreement(words, value),
        )
    console.print(table)
    console.print(_verdict(results))


def _event_spans(messages: list[Message], kind: str, end_ns: int) -> Spans:
    events = [m for m in messages if isinstance(m, Event) and m.kind == kind]
    return [(e.start_ns, e.end_ns or end_ns) for e in events if e.phase is Phase.END]


def _seconds(spans: Spans) -> float:
    return sum(b - a for a, b in spans) / NS_PER_S


def _agreement(truth: Spans, found: Spans, end_ns: int) -> float:
    """Share of 10 ms frames in which both say the same."""
    return float(np.mean(_frames(truth, end_ns) == _frames(found, end_ns)))


def _frames(spans: Spans, end_ns: int) -> np.ndarray:
    frames = np.zeros(end_ns // FRAME_NS, np.bool_)
    for start_ns, stop_ns in spans:
        frames[start_ns // FRAME_NS : stop_ns // FRAME_NS] = True
    return frames


def _within(results: list[Result], start_ns: int, stop_ns: int) -> list[Result]:
    """Results of the windows whose middle lies in the span."""
    return [r for r in results if start_ns <= (r.start_ns + r.end_ns) // 2 < stop_ns]


def _words(results: list[Result]) -> list[float]:
    """What the words alone say. The script sets the mood of the words; the portrait only smiles."""
    views = [r.modalities.get(Modality.TEXT) for r in results]
    return [v.sentiment for v in views if v is not None and v.sentiment is not None]


def _sign_agreement(scores: Sequence[float], value: float) -> str:
    if not scores or not value:
        return "-"
    return f"{100 * np.mean(np.sign(scores) == np.sign(value)):.0f} % of windows agree in sign"


def _verdict(results: list[Result]) -> str:
    """How often the modalities together were enough for a score."""
    silent = sum(r.sentiment is None for r in results)
    return (
        f"Fused score in {len(results) - silent} of {len(results)} windows; {silent} have not "
        "enough evidence: the portrait smiles throughout, also over the angry words."
    )
