"""Sound by a manifest: where files are found, closed sets, who speaks, and faults by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_files import SoundByLength, SpeechByLength, run, write_manifest, write_wave

from models.data import speech as corpora
from models.errors import ChoiceError, DataError
from models.evaluate.speech import SPEECH, close, sex_of
from models.labels import SOUNDS


def speech(folder: Path, rows: list[tuple[str, str, str, str]], prefix: str = "speech/") -> Path:
    """Rows of corpus, speaker, emotion and what `SpeechByLength` shall name."""
    lines = []
    for i, (corpus, speaker, emotion, named) in enumerate(rows):
        write_wave(folder / "speech" / f"{i}.wave.wav", 0.2 + 0.1 * SPEECH.index(named))
        lines.append({"path": f"{prefix}{i}.wave.wav", "corpus": corpus, "language": "en",
                      "speaker": speaker, "emotion": emotion})  # fmt: skip
    return write_manifest(folder / "speech" / "manifest.csv", lines)


ROWS = [
    ("a", "a-01", "happy", "happy"),
    ("a", "a-02", "angry", "angry"),
    ("a", "a-01", "neutral", "calm"),
    ("b", "b-01", "joy", "happy"),
    ("b", "b-01", "fear", "calm"),
]


@pytest.mark.parametrize("prefix", ["speech/", ""])
def test_paths_are_found_beside_the_manifest_or_beside_its_folder(
    tmp_path: Path, prefix: str
) -> None:
    speech(tmp_path, ROWS, prefix)
    for given in (tmp_path, tmp_path / "speech", tmp_path / "speech" / "manifest.csv"):
        report = run("speech", given, SpeechByLength())
        assert report.n == 5
        # "calm" counts as neutral in corpus a; corpus b has neither, so it cannot be answered.
        assert report.groups["corpus"]["a"]["metrics"]["accuracy"] == 1.0
        assert report.groups["corpus"]["b"]["metrics"]["accuracy"] == 0.5
        assert report.classes == ("neutral", "happy", "angry", "fearful")
        assert report.resampled["by"] == "speaker"


def test_closed_sets_are_told(tmp_path: Path) -> None:
    report = run("speech", speech(tmp_path, ROWS), SpeechByLength())
    assert report.notes == (
        "a: closed set of neutral, happy, angry",
        "b: closed set of happy, fearful",
    )


def test_closing_moves_calm_to_neutral_only_where_calm_is_no_class() -> None:
    p = np.full((2, 8), 0.0)
    p[:, :3] = 0.1, 0.6, 0.3
    keep = np.zeros((2, 8), bool)
    keep[:, [0, 2]] = True
    keep[1, 1] = True
    found = close(p, keep)
    assert found[0, :3] == pytest.approx([0.7, 0.0, 0.3])
    assert found[1, :3] == pytest.approx([0.1, 0.6, 0.3])
    nothing = np.eye(8)[[7, 7]]
    assert close(nothing, keep)[0, [0, 2]] == pytest.approx([0.5, 0.5])


def test_sex_by_the_corpora_own_numbering() -> None:
    assert sex_of("ravdess", "ravdess-01") == "male"
    assert sex_of("ravdess", "ravdess-20") == "female"
    assert [sex_of("emodb", f"emodb-{n}") for n in ("03", "08", "16", "15")] == [
        "male", "female", "female", "male",
    ]  # fmt: skip
    assert sex_of("nemo", "nemo-3") == "unknown"
    assert sex_of("nemo", "nemo-3", "Female") == "female"
    assert sex_of("x", "", "m") == "male"


def test_the_split_of_the_manifest_and_calm_in_ravdess(tmp_path: Path) -> None:
    path = speech(tmp_path, [("ravdess", "ravdess-01", e, e) for e in SPEECH])
    assert run("speech", path, SpeechByLength()).metrics["uar"] == 1.0
    with pytest.raises(ChoiceError, match="no split at all"):
        run("speech", path, SpeechByLength(), split="test")


def test_a_corpus_of_one_class_is_told_to_be_always_right(tmp_path: Path) -> None:
    rows = [("a", "a", "happy", "happy"), ("a", "a", "sad", "sad"), ("b", "b", "sad", "fearful")]
    path = speech(tmp_path, rows)
    report = run("speech", path, SpeechByLength())
    assert report.metrics["accuracy"] == 1.0
    assert "b: closed set of sad, so each of its rows is right" in report.notes


def test_held_out_speakers_are_a_part_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "TEST_SPEAKERS", ("ravdess-16",), raising=False)
    speakers = ["ravdess-16", "ravdess-01", "ravdess-16", "ravdess-02"]
    path = speech(tmp_path, [("ravdess", s, e, e) for s, e in zip(speakers, SPEECH, strict=False)])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},split", *(f"{line},train" for line in lines[1:])]))
    held = run("speech", path, SpeechByLength(), split="held-out")
    assert (held.n, held.split, held.trained_on) == (2, "held-out", False)
    assert run("speech", path, SpeechByLength()).trained_on


def change(path: Path, line: int, old: str, new: str) -> None:
    lines = path.read_text().splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    path.write_text("\n".join(lines) + "\n")


def test_faults_name_file_and_line(tmp_path: Path) -> None:
    path = speech(tmp_path, ROWS)
    content = path.read_text()
    for line, old, new, said in (
        (3, "angry", "bored", "line 3: unknown emotion 'bored'; expected one of neutral, calm"),
        (4, "2.wave", "nothing", "line 4: expected speech/nothing.wav"),
        (1, "emotion", "feeling", "emotion missing"),
        (5, ",joy", "", "line 5: expected 5 fields"),
        (4, "speech/2.wave.wav", "", "line 4: expected a sound file as path, got none"),
        (1, ",", ";", "emotion missing, got .*; separate fields by commas"),
    ):
        path.write_text(content)
        change(path, line, old, new)
        with pytest.raises(DataError, match=said):
            run("speech", path, SpeechByLength())
    path.write_text(content.splitlines()[0] + "\n")
    with pytest.raises(DataError, match="at least one row"):
        run("speech", path, SpeechByLength())


def test_five_milliseconds_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = speech(tmp_path, ROWS)
    third = tmp_path / "speech" / "2.wave.wav"
    write_wave(third, 0.005)
    with pytest.raises(DataError, match=r"line 4.*0.1 to 600 s of sound, got 0.005 s"):
        run("speech", path, SpeechByLength())
    for damaged in (b"", b"RIFF", b"no sound at all" * 100):
        third.write_bytes(damaged)
        with pytest.raises(DataError, match=r"line 4.*expected a sound file"):
            run("speech", path, SpeechByLength())


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    path = speech(tmp_path, [("a", "a-01", "happy", "happy")] * 3)
    with pytest.raises(DataError, match="3 of 'happy' only"):
        run("speech", path, SpeechByLength())


def events(folder: Path, labels: list[tuple[str, str]]) -> Path:
    lines = []
    for i, (label, named) in enumerate(labels):
        write_wave(folder / "events" / f"{i}.wav", 0.2 + 0.1 * SOUNDS.index(named))
        lines.append({"path": f"events/{i}.wav", "label": label, "fold": str(i % 2 + 1),
                      "freesound_id": str(i // 2)})  # fmt: skip
    return write_manifest(folder / "events" / "manifest.csv", lines)


def test_events_by_fold(tmp_path: Path) -> None:
    path = events(tmp_path, [("rain", "rain"), ("Dog Bark", "dogbark"), ("rooster", "rain"),
                             ("rain", "rain")])  # fmt: skip
    report = run("events", path, SoundByLength())
    assert report.metrics["accuracy"] == 0.75
    assert {fold: e["n"] for fold, e in report.groups["fold"].items()} == {"1": 2, "2": 2}
    assert run("events", path, SoundByLength(), split="2").n == 2
    with pytest.raises(DataError, match="line 3: unknown label 'thunder'"):
        change(path, 3, "Dog Bark", "thunder")
        run("events", path, SoundByLength())
