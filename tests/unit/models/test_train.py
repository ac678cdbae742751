"""The training command, end to end, on data made up on the spot; `--quick` keeps it short."""

from __future__ import annotations

import csv
import wave
from pathlib import Path

import numpy as np
import pytest
from model_scenes import hop, says, vowel, windows
from typer.testing import CliRunner

from models.analyser import Analyser
from models.data.text import load_text
from models.errors import DataError
from models.labels import GOEMOTIONS_TO_EMOTION
from models.train.__main__ import app
from models.weights import read_manifest

SPOKEN = ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised")
MELD = ("neutral", "joy", "sadness", "anger", "fear", "disgust", "surprise")


def write_faces(folder: Path) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir()
    split = np.array(["train"] * 256 + ["valid"] * 128)
    pixels = rng.integers(0, 256, (384, 48, 48), dtype=np.uint8)
    votes = np.zeros((384, 10), np.uint8)
    votes[np.arange(384), np.arange(384) % 9] = 10  # every ninth face is "unknown" to all
    np.savez(folder / "ferplus48.npz", pixels=pixels, votes=votes, split=split)


def write_speech(folder: Path) -> None:
    (folder / "clips").mkdir(parents=True)
    rows = []
    for i in range(42):
        sound = (vowel(2.5, seed=i % 8) * 20_000).astype("<i2")
        path = folder / "clips" / f"{i}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(sound.tobytes())
        split = "train" if i < 28 else "valid"
        name = f"speech/clips/{i}.wav"
        rows.append([name, "made", "en", f"s{i}", SPOKEN[i % 7], "normal", "", split])
    with (folder / "manifest.csv").open("w", newline="") as file:
        head = ["path", "corpus", "language", "speaker", "emotion", "intensity", "text", "split"]
        csv.writer(file).writerows([head, *rows])


def write_text(folder: Path) -> None:
    folder.mkdir()
    names = list(GOEMOTIONS_TO_EMOTION)
    (folder / "goemotions_labels.txt").write_text("\n".join(names))
    for part in ("train", "dev"):
        lines = [f"{name} words number {i}\t{i}\tid{i}" for i, name in enumerate(names)] * 4
        (folder / f"goemotions_{part}.tsv").write_text("\n".join(lines))
        meld = ["Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID"]
        meld += [f'"well, {e}",Al,{e},{"neutral" if i < 4 else "negative"},{d},{i}' for d in
                 range(40) for i, e in enumerate(MELD)]  # fmt: skip
        (folder / f"meld_{part}.csv").write_text("\n".join(meld))
        films = "".join(f"4 film {i} is fine\n0 film {i} is dull\n" for i in range(40))
        (folder / f"stsa.fine.{part}").write_text(films + "2 a film\n")
    for part in ("train", "dev"):
        films = "".join(f"film {i} is fine\t1\nfilm {i} is dull\t0\n" for i in range(40))
        (folder / f"sst2_{part}.tsv").write_text(films)
    (folder / "custrev.all").write_text("".join(f"{i % 2} phone {i}\n" for i in range(200)))


def write_mosi(folder: Path) -> None:
    folder.mkdir()
    n = 60
    sentiment = np.where(np.arange(n) % 2, 2.0, -2.0).astype(np.float32)
    text = np.array([f"FILM {i} IS {'GOOD' if i % 2 else 'BAD'}" for i in range(n)])
    video = np.array([f"v{i // 3}" for i in range(n)])
    split = np.array(["valid" if i < 12 else "train" for i in range(n)])
    np.savez(folder / "mosi_train_valid.npz", text=text, sentiment=sentiment, split=split,
             video_id=video, segment=np.arange(n) % 3,
             audio_opensmile73=np.zeros((n, 73), np.float32))  # fmt: skip


def made_up(root: Path) -> Path:
    write_faces(root / "faces")
    write_speech(root / "speech")
    write_text(root / "text")
    write_mosi(root / "mosi")
    return root


def test_the_command_trains_weights_that_load(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data, out = made_up(tmp_path / "data"), tmp_path / "weights"
    places = ["--out", out, "--cache", tmp_path / "cache", "--runs", tmp_path / "runs"]
    options = ["--quick", "--threads", "1", "--data", data, *places]
    result = CliRunner().invoke(app, [str(option) for option in options])
    assert result.exit_code == 0, result.output
    manifest = read_manifest(out)
    assert set(manifest["parts"]) == {"faces", "voice", "text", "fusion"}
    assert manifest["label_maps"]["ferplus"]["contempt"] == "disgust"
    assert (tmp_path / "runs" / "faces" / "metrics.csv").read_text().startswith("epoch,")
    hops = [hop(i, texts=says(i, "hello")) for i in range(4)]
    scores = Analyser.load(out).step(windows("someone", hops))[0]
    assert set(scores.unimodal) == {"video", "audio", "text"}
    assert all(np.isfinite(alone.emotions).all() for alone in scores.unimodal.values())


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"goemotions_labels\.txt.*--data"):
        load_text(tmp_path, "train")
