"""How late a voice is beside its mouth: speakers in step moved by a known amount, and strangers.

`--fit` first learns the map of mouths and voices anew from the studio clips and writes it into the
tree. Every figure of a studio clip is of a map that was learnt without that clip's speaker. Needs
the clips under $ATTUNE_DATA. Run: python -m benchmarks.mouth_sync [--fit]
"""

from __future__ import annotations

import csv
import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.report import show, write
from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.packets import AudioChunk, FaceObservation, Packet, Trace
from streaming.settings import AUDIO_RATE_HZ, VisionSettings
from streaming.source_settings import MediaSettings
from streaming.sources.faces import FaceReducer
from streaming.sources.open import open_source
from streaming.sync import speaker
from streaming.sync.offset import Offset
from streaming.sync.speaker import MouthVoiceMap, SpeakerOffset, Track
from streaming.sync.voice import STEP_NS, VoiceFollower

DATA = Path(os.environ.get("ATTUNE_DATA", "../shared/data"))
STUDIO = (
    "grid_lwbsza", "grid_lrwp9a", "grid_sbia1a", "grid_lbax4n",
    "grid_pwij3p", "grid_lbbc2a", "grid_brbk7n", "grid_bbaf2n",
)  # fmt: skip
OTHERS = ("webcam_24s", "talk_1", "talk_2", "talk_3")
SILENT = "silent_expressions"
SHIFTS_MS = (-320, -160, 0, 160, 320)
LOOK_NS = NS_PER_S // 2
RIDGE, SUMS = 0.5, 3
VOICES_S = 30
MAP = Path(speaker.__file__).with_name("mouth_voice.json")

FloatArray = npt.NDArray[np.float64]


class Clip(msgspec.Struct, frozen=True, eq=False):
    """A clip's mouth and voice, at times of the clip."""

    mouth: Trace
    voice: Trace
    end_ns: int


def follow(path: Path) -> Clip:
    """What ingest makes of a media file."""
    vision = VisionSettings(mouth_hz=60)
    spec = MediaSettings(url=str(path))
    source = open_source(spec, stream="s", vision=vision, hop_ns=LOOK_NS)
    reducer, mouths, voices, end_ns = FaceReducer(vision), [], [], 0
    for item in source.items():
        if not isinstance(item, Packet):
            continue
        end_ns = max(end_ns, item.end_ns)
        match reducer.observe(item).payload:
            case FaceObservation(mouth=Trace() as trace):
                mouths.append(_moved(trace, item.t_ns))
            case AudioChunk(voice=Trace() as trace):
                voices.append(_moved(trace, item.t_ns))
    return Clip(_end_to_end(mouths), _end_to_end(voices), end_ns)


def joined(clips: Sequence[Clip]) -> Clip:
    """One after the other."""
    starts = itertools.accumulate((c.end_ns for c in clips), initial=0)
    dated = list(zip(clips, starts, strict=False))
    return Clip(
        _end_to_end([_moved(c.mouth, at) for c, at in dated]),
        _end_to_end([_moved(c.voice, at) for c, at in dated]),
        sum(c.end_ns for c in clips),
    )


def fit(clips: Sequence[Clip]) -> MouthVoiceMap:
    """Canonical correlation, with a ridge, of clips whose sound and picture are in step."""
    scale = np.sqrt(np.mean(np.vstack([c.mouth.values for c in clips]) ** 2, axis=0))
    pairs = [_in_step(clip, scale) for clip in clips]
    X = np.vstack([x - x.mean(0) for x, _ in pairs])
    Y = np.vstack([y - y.mean(0) for _, y in pairs])
    spread_x, spread_y = X.std(0), Y.std(0)
    root_x, root_y = _root(X / spread_x), _root(Y / spread_y)
    shared = (X / spread_x).T @ (Y / spread_y) / len(X)
    left, _, right = np.linalg.svd(np.linalg.solve(root_x, np.linalg.solve(root_y, shared.T).T))
    mouth = np.linalg.solve(root_x.T, left[:, :SUMS]) / spread_x[:, None]
    voice = np.linalg.solve(root_y.T, right[:SUMS].T) / spread_y[:, None]
    return MouthVoiceMap(
        scale=_short(scale), mouth=[_short(r) for r in mouth], voice=[_short(r) for r in voice]
    )


def looks(
    mouth: Clip, voice: Clip, weights: MouthVoiceMap, shift_ms: int = 0
) -> list[Offset | None]:
    """What is said as the clip goes on, the voice of one beside the mouth of the other."""
    meter = SpeakerOffset(weights)
    sound = _moved(voice.voice, shift_ms * NS_PER_MS)
    found, before_ns = [], 0
    for now_ns in range(LOOK_NS, min(mouth.end_ns, voice.end_ns) + LOOK_NS, LOOK_NS):
        meter.see(0, 0, _between(mouth.mouth, before_ns, now_ns))
        meter.hear(0, 0, _between(sound, before_ns, now_ns))
        found.append(meter.measure(now_ns))
        before_ns = now_ns
    return found


def row(name: str, streams: Sequence[tuple[int, list[Offset | None]]]) -> dict[str, Any]:
    """`streams`: (shift in ms, looks). What the last look of each said, and the worst of all."""
    last = [found[-1].offset_ns / NS_PER_MS - ms for ms, found in streams if found[-1]]
    worst = [abs(o.offset_ns / NS_PER_MS - ms) for ms, found in streams for o in found if o]
    return {
        "clip": name,
        "streams": len(streams),
        "known at the end": len(last),
        "ever known": sum(any(found) for _, found in streams),
        "within 40 ms": sum(abs(error) <= 40 for error in last),
        "median error ms": round(float(np.median(last)), 1) if last else None,
        "worst of all looks ms": round(max(worst), 1) if worst else None,
    }


def known(clips: dict[str, Clip], weights: MouthVoiceMap) -> list[dict[str, Any]]:
    """Clips in step, moved."""
    pairs = []
    for two in itertools.combinations(STUDIO, 2):
        others = fit([clips[name] for name in STUDIO if name not in two])
        clip = joined([clips[name] for name in two])
        pairs += [(ms, looks(clip, clip, others, ms)) for ms in SHIFTS_MS]
    rows = [row("28 pairs of studio clips, joined to 6 s", pairs)]
    for name in OTHERS:
        clip = clips[name]
        rows.append(row(name, [(ms, looks(clip, clip, weights, ms)) for ms in SHIFTS_MS]))
    return rows


def strangers(clips: dict[str, Clip], weights: MouthVoiceMap) -> dict[str, Any]:
    """Mouths beside voices that are not theirs."""
    mouths = [clips[name] for name in (*OTHERS, SILENT)] + [joined([clips[n] for n in STUDIO])]
    said = [
        looks(mouth, voice, weights)
        for voice in voices()
        for mouth in mouths
        if mouth.end_ns > 6 * NS_PER_S
    ]
    return _claimed("voices of acted speech", said)


def studio_strangers(clips: dict[str, Clip]) -> dict[str, Any]:
    """Two studio speakers beside the voices of two others, who read sentences built alike."""
    said = []
    for two in itertools.combinations(STUDIO, 2):
        rest = [name for name in STUDIO if name not in two]
        weights, mouth = fit([clips[name] for name in rest]), joined([clips[n] for n in two])
        said += [
            looks(mouth, joined([clips[n] for n in others]), weights)
            for others in itertools.permutations(rest, 2)
        ]
    return _claimed("studio speakers, other sentences in the same rhythm", said)


def _claimed(what: str, said: Sequence[list[Offset | None]]) -> dict[str, Any]:
    return {
        "strangers": what,
        "streams": len(said),
        "looks": sum(len(found) for found in said),
        "streams in which an offset was claimed": sum(any(found) for found in said),
    }


def voices() -> Iterator[Clip]:
    """Half minutes of acted speech, each of one speaker."""
    rows: dict[str, list[str]] = {}
    with (DATA / "speech/manifest.csv").open(newline="") as lines:
        for line in csv.DictReader(lines):
            rows.setdefault(line["speaker"], []).append(line["path"])
    for paths in rows.values():
        parts, seconds = [], 0.0
        for path in paths[::7]:
            spec = MediaSettings(url=str(DATA / path))
            source = open_source(spec, stream="s", vision=VisionSettings(), hop_ns=LOOK_NS)
            parts += [i.payload.samples for i in source.items() if isinstance(i, Packet)]
            seconds = sum(len(p) for p in parts) / AUDIO_RATE_HZ
            if seconds >= VOICES_S:
                break
        voice = VoiceFollower().take(0, np.concatenate(parts))
        assert voice is not None
        yield Clip(voice, voice, round(seconds * NS_PER_S))


def cost_ms(clip: Clip) -> float:
    """Of one look at half a minute of mouth and voice."""
    meter = SpeakerOffset()
    meter.see(0, 0, clip.mouth)
    meter.hear(0, 0, clip.voice)
    took = []
    for _ in range(20):
        began = time.thread_time()
        meter.measure(clip.end_ns)
        took.append((time.thread_time() - began) * 1e3)
    return float(np.median(took))


def _in_step(clip: Clip, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    mouth, voice = Track(len(scale)), Track(clip.voice.values.shape[1])
    mouth.add(clip.mouth.at_ns, clip.mouth.values)
    voice.add(clip.voice.at_ns, clip.voice.values)
    first_ns = max(mouth.t_ns[0], voice.t_ns[0]) // STEP_NS + 1
    last_ns = min(mouth.t_ns[-1], voice.t_ns[-1]) // STEP_NS
    grid_ns = np.arange(first_ns, last_ns) * STEP_NS
    motion, seen = mouth.at(grid_ns)
    colour, heard = voice.at(grid_ns)
    both = seen & heard
    return (
        speaker.mouth_taps(motion, scale)[both],
        speaker.voice_taps(colour)[both],
    )


def _root(X: FloatArray) -> FloatArray:
    """Of the covariance of X (N, D), with the ridge."""
    covariance = X.T @ X / len(X)
    return np.linalg.cholesky(covariance + RIDGE * np.eye(len(covariance)))


def _moved(trace: Trace, by_ns: int) -> Trace:
    return Trace(at_ns=trace.at_ns + by_ns, values=trace.values)


def _between(trace: Trace, from_ns: int, to_ns: int) -> Trace:
    among = (trace.at_ns >= from_ns) & (trace.at_ns < to_ns)
    return Trace(at_ns=trace.at_ns[among], values=trace.values[among])


def _end_to_end(traces: Sequence[Trace]) -> Trace:
    return Trace(
        at_ns=np.concatenate([t.at_ns for t in traces]),
        values=np.concatenate([t.values for t in traces]),
    )


def _short(numbers: npt.NDArray[Any]) -> list[float]:
    return [float(f"{n:.6g}") for n in numbers]


def main() -> None:
    """Print the tables and keep them."""
    names = (*STUDIO, *OTHERS, SILENT)
    clips = {name: follow(DATA / "media" / f"{name}.mp4") for name in names}
    if "--fit" in sys.argv[1:]:
        MAP.write_bytes(msgspec.json.encode(fit([clips[name] for name in STUDIO])) + b"\n")
    weights = speaker.learnt()
    moved = known(clips, weights)
    apart = [strangers(clips, weights), studio_strangers(clips)]
    took = {"one look at 24 s, ms": cost_ms(clips["webcam_24s"])}
    show("Speakers whose sound was moved by -320 to 320 ms", moved)
    show("Strangers' voices", apart)
    show("Cost", [took])
    write("mouth_sync", {"moved": moved, "strangers": apart, **took})


if __name__ == "__main__":
    main()
