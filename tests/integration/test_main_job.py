"""The main job on real input: a file goes in, and another process receives every message."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.integration.conftest import (
    ANY_PORT,
    EVERY_WINDOW,
    attune,
    events,
    messages,
    start,
    without_timing,
)

HOP_S = 0.5


def run_fast(source: Path, out: Path, *more: object) -> Path:
    done = attune(
        "run",
        "--media",
        source,
        "--fast",
        "--inline",
        "--publish",
        ANY_PORT,
        "--output",
        out,
        *more,
    )
    assert done.returncode == 0, done.stderr
    return out


def test_a_subscriber_in_another_process_receives_the_bytes_of_the_file(
    clip: tuple[Path, Path], tmp_path: Path, running: list
) -> None:
    media, words = clip
    address, out = f"ipc://{tmp_path}/out", tmp_path / "out.jsonl"
    watcher = start("watch", address, "--json", "--until-ended")
    running.append(watcher)
    where = ("--publish", address, "--output", out, *EVERY_WINDOW)
    done = attune("run", "--media", media, "--text", words, *where)
    received, said = watcher.communicate(timeout=20)

    assert done.returncode == 0, done.stderr
    assert received == out.read_text()
    assert "hole" not in said
    results = messages(out, "result")
    # 6 s of clip:  0 [====]  0.5 [====] ... 4.0 [====] 6.0      nine full windows
    full = [r for r in results if r["closed_by"] != "end"]
    assert [r["index"] for r in full] == list(range(9))
    assert [m["seq"] for m in messages(out)] == list(range(1, len(messages(out)) + 1))
    assert all(r["modalities"]["text"]["state"] == "complete" for r in full)
    assert messages(out)[-1]["kind"] == "stream_ended"


def test_runs_over_the_same_file_are_identical_with_and_without_ray(
    clip: tuple[Path, Path], tmp_path: Path
) -> None:
    media, words = clip
    first = run_fast(media, tmp_path / "1.jsonl", "--text", words)
    second = run_fast(media, tmp_path / "2.jsonl", "--text", words)
    on_ray = tmp_path / "3.jsonl"
    arguments = ("--text", words, "--fast", "--publish", ANY_PORT, "--output", on_ray)
    done = attune("run", "--media", media, *arguments)

    assert done.returncode == 0, done.stderr
    assert without_timing(first) == without_timing(second)
    assert without_timing(first) == without_timing(on_ray)


@pytest.mark.parametrize("runtime", ["--inline", "ray"])
def test_words_from_standard_input_come_out_as_they_are_typed(
    tmp_path: Path, running: list, runtime: str
) -> None:
    # typed   "good"            .  .  .  .  "bad" end
    # s       0                             3
    out = tmp_path / "out.jsonl"
    inline = ["--inline"] if runtime == "--inline" else []
    run = start("run", "--text", "-", "--publish", ANY_PORT, "--output", out, *inline)
    running.append(run)
    assert run.stderr is not None and run.stdin is not None
    assert "publishing" in run.stderr.readline()
    run.stdin.write("I love this, thank you so much\n")
    run.stdin.flush()
    time.sleep(3)  # what is under test is that time passes while nothing is typed
    run.stdin.write("This is terrible, I hate it\n")
    _, said = run.communicate(timeout=30)

    assert run.returncode == 0, said
    results = messages(out, "result")
    assert len(results) >= 3
    assert results[0]["sentiment"]["score"] > 0 > results[-1]["sentiment"]["score"]
    timed = [r["timing"]["total_ms"] for r in results if r["closed_by"] == "watermark"]
    assert max(timed) < 1000


def test_webcam_has_a_result_for_every_hop_and_a_face_in_nearly_all(
    media: Path, tmp_path: Path
) -> None:
    out = run_fast(media / "webcam_24s.mp4", tmp_path / "out.jsonl")
    full = [r for r in messages(out, "result") if r["closed_by"] == "watermark"]
    assert [r["index"] for r in full] == list(range(45))
    assert np.mean([r["signals"]["faces"] > 0 for r in full]) >= 0.9
    assert np.mean([r["signals"]["speech_share"] > 0.25 for r in full]) > 0.5
    scored = [r for r in full if r["sentiment"] is not None]  # the rest: not enough evidence
    assert len(scored) >= 0.9 * len(full)
    numbers = [r["sentiment"][k] for r in scored for k in ("score", "low", "high")]
    assert np.isfinite(numbers).all()
    assert all(sum(r["emotions"].values()) == pytest.approx(1, abs=1e-3) for r in scored)


@pytest.mark.parametrize(
    ("name", "leaves", "appears"),
    [
        # face_noface  ====face====|........      noface_face  ........|====face====
        ("face_noface.mp4", 2.40, None),
        ("noface_face.mp4", None, 3.96),
    ],
)
def test_face_events_come_within_one_hop_of_the_truth(
    media: Path, tmp_path: Path, name: str, leaves: float | None, appears: float | None
) -> None:
    out = run_fast(media / name, tmp_path / "out.jsonl")
    ((begin, end),) = events(out, "face")
    if leaves is not None:
        assert abs(end - leaves) <= HOP_S
    if appears is not None:
        assert abs(begin - appears) <= HOP_S


def test_without_a_face_the_picture_is_masked_and_results_go_on(
    media: Path, tmp_path: Path
) -> None:
    out = run_fast(media / "no_face.mp4", tmp_path / "out.jsonl")
    results = messages(out, "result")
    full = [r for r in results if r["closed_by"] == "watermark"]
    assert len(full) == 4
    for result in full:
        video = result["modalities"]["video"]
        assert (result["signals"]["faces"], video["coverage"]) == (0, 1.0)
        assert "sentiment" not in video
    assert events(out, "face") == []


def test_silent_expressions_have_no_speech(media: Path, tmp_path: Path) -> None:
    out = run_fast(media / "silent_expressions.mp4", tmp_path / "out.jsonl")
    assert events(out, "speech") == []


def test_speech_agrees_with_the_reference_segmentation(media: Path, tmp_path: Path) -> None:
    out = run_fast(media / "two_speakers.wav", tmp_path / "out.jsonl")
    frames = np.zeros((2, 3000), bool)
    for line in (media / "two_speakers.rttm").read_text().splitlines():
        begin, length = map(float, line.split()[3:5])
        frames[0, round(begin * 100) : round((begin + length) * 100)] = True
    for begin, end in events(out, "speech"):
        frames[1, round(begin * 100) : round(end * 100)] = True
    assert np.mean(frames[0] != frames[1]) < 0.10
    assert all("video" not in r["modalities"] for r in messages(out, "result"))
