"""`attune evaluate` as a user types it, on real data: figures in, one line for every fault."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import attune

from models.labels import SOUNDS


def evaluated(*arguments: object) -> dict[str, Any]:
    done = attune("evaluate", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def part_of_manifest(source: Path, folder: Path, rows: list[dict[str, str]]) -> Path:
    """A manifest beside copies of the few files that it names."""
    for row in rows:
        target = folder / row["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / row["path"], target)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def rows_of(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="") as file:
        return list(csv.DictReader(file))


def test_faces_with_and_without_a_split(data: Path, tmp_path: Path) -> None:
    with np.load(data / "faces" / "ferplus48.npz") as archive:
        some = np.flatnonzero(archive["split"] == "valid")[::8]
        few = {"pixels": archive["pixels"][some], "votes": archive["votes"][some]}
    path = tmp_path / "others.npz"
    np.savez(path, **few)
    found = evaluated("faces", "--data", path, "--bootstrap", 200)
    assert found["split"] == "all"
    assert 0.70 < found["metrics"]["accuracy"] < 0.95
    assert found["n"] + sum(found["excluded"].values()) == len(some)
    low, high = found["confidence"]["accuracy"]
    assert low < found["metrics"]["accuracy"] < high
    np.savez(path, split=np.array(["test", "train"])[np.arange(len(some)) % 2], **few)
    half = evaluated("faces", "--data", path, "--bootstrap", 0)
    assert half["split"] == "test"
    assert half["n"] < found["n"]


@pytest.mark.parametrize(
    ("name", "form", "figure", "floor"),
    [
        ("goemotions_dev.tsv", "goemotions", "multilabel_macro_f1", 0.45),
        ("meld_dev.csv", "meld", "weighted_f1", 0.40),
        ("sst2_dev.tsv", "sst2", "accuracy", 0.70),
        ("stsa.fine.dev", "sst5", "pearson_r", 0.50),
        ("custrev.all", "custrev", "accuracy", 0.70),
        ("chnsenticorp_dev.tsv", "chnsenticorp", "accuracy", 0.80),
    ],
)
def test_text(data: Path, name: str, form: str, figure: str, floor: float) -> None:
    found = evaluated("text", "--data", data / "text" / name, "--bootstrap", 0)
    assert (found["format"], found["split"]) == (form, "valid")
    assert found["metrics"][figure] > floor


def test_a_language_that_nobody_reads_is_left_unanswered(tmp_path: Path) -> None:
    path = tmp_path / "korean_test.tsv"
    path.write_text("정말 좋았어요\t1\n아주 나빴어요\t0\n", encoding="utf-8")
    found = evaluated("text", "--data", path, "--bootstrap", 0)
    assert (found["format"], found["split"]) == ("sst2", "test")
    assert found["abstained"] == 1.0


def test_speech_of_three_corpora(data: Path, tmp_path: Path) -> None:
    rows = [r for r in rows_of(data / "speech" / "manifest.csv") if r["split"] == "valid"][::8]
    folder = part_of_manifest(data, tmp_path, rows)
    found = evaluated("speech", "--data", folder, "--bootstrap", 100)
    assert found["n"] == len(rows)
    assert set(found["groups"]["corpus"]) == {"ravdess", "nemo", "emodb"}
    assert {"male", "female"} <= set(found["groups"]["sex"])
    assert found["metrics"]["uar"] > 0.2  # chance is 1 / 8
    assert found["resampled"]["by"] == "speaker"


def test_events(data: Path, tmp_path: Path) -> None:
    rows = rows_of(data / "events" / "manifest.csv")[::8]
    found = evaluated("events", "--data", part_of_manifest(data, tmp_path, rows))
    assert found["classes"] == list(SOUNDS)
    assert found["n"] == 40
    assert found["metrics"]["accuracy"] > 0.5


def test_mosi_of_the_official_validation_split(data: Path) -> None:
    found = evaluated("mosi", "--data", data, "--bootstrap", 100)
    assert (found["n"], found["split"]) == (229, "valid")
    assert found["metrics"]["mae"] < 1.4
    assert found["metrics"]["pearson_r"] > 0.4
    assert found["resampled"]["by"] == "video"


def test_clips_through_the_whole_pipeline(media: Path, tmp_path: Path) -> None:
    names = ["grid_bbaf2n", "grid_lwbsza"]
    labels = json.loads((media / "labels.json").read_text())
    for name in names:
        shutil.copy(media / f"{name}.mp4", tmp_path)
    (tmp_path / "labels.json").write_text(json.dumps({n: labels[n] for n in names}))
    found = evaluated("clips", "--data", tmp_path, "--bootstrap", 0)
    assert found["n"] == 2
    assert sum(found["distribution"].values()) == 2
    assert found["metrics"]["uar"] is None
    assert "one class" in found["undefined"]["uar"]


def test_a_comparison_with_a_baseline_and_the_tables(data: Path) -> None:
    text = data / "text" / "sst2_dev.tsv"
    found = evaluated("text", "--data", text, "--baseline", "shipped", "--bootstrap", 50)
    assert found["baseline"]["difference"]["accuracy"]["p"] == 1.0
    done = attune("evaluate", "text", "--data", text, "--bootstrap", 50)
    assert done.returncode == 0
    assert "accuracy" in done.stdout
    assert "95 % interval" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("faces", "--data", "nowhere.npz"), 2, "nowhere.npz not found"),
        (("smells", "--data", "."), 2, "no task 'smells'; there are text, speech"),
        (("text", "--data", "sst2_dev.tsv", "--model", "gpt"), 2, "there are"),
        (("text", "--data", "sst2_dev.tsv", "--split", "test"), 2, "no split 'test'"),
        (("text", "--data", "sst2_dev.tsv", "--format", "csv"), 2, "goemotions"),
        (("text", "--data", "goemotions_labels.txt"), 1, "no known text format"),
    ],
)
def test_faults_are_one_line(data: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    given = [str(data / "text" / a) if (data / "text" / a).is_file() else a for a in arguments]
    done = attune("evaluate", *given)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_training_part_is_warned_of(data: Path, tmp_path: Path) -> None:
    few = (data / "text" / "sst2_train.tsv").read_text().splitlines()[:40]
    path = tmp_path / "sst2_train.tsv"
    path.write_text("\n".join(few))
    done = attune("evaluate", "text", "--data", path, "--bootstrap", 0)
    assert done.returncode == 0
    assert "training part" in done.stderr
