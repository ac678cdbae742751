"""`python -m benchmarks.quality --data DIR`: every figure of the models in one Markdown table.

Runs `attune evaluate` in a process of its own for each row, for the shipped model and for each
baseline, so that the command beside a figure is the one that made it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import write
from models.errors import ModelError
from models.evaluate.predictors import names


@dataclass(frozen=True)
class Row:
    """One evaluation: task, path below the data folder, split (None: by the rule), its figures."""

    task: str
    path: str
    split: str | None
    figures: tuple[str, ...]


CLASSES = ("accuracy", "uar", "macro_f1", "weighted_f1", "ece")
SENTIMENT = (
    "mae", "pearson_r", "ccc", "acc2_negative_nonnegative", "acc2_negative_positive",
    "f1_negative_positive", "acc7", "acc5",
)  # fmt: skip
ROWS = (
    Row("faces", "faces/ferplus48.npz", None, ("accuracy", "accuracy_majority", "uar", "ece")),
    Row("speech", "speech", None, ("uar", "accuracy", "ece")),
    Row("speech", "speech", "held-out", ("uar", "accuracy", "ece")),
    Row("text", "text/goemotions_dev.tsv", None, (
        "multilabel_macro_f1", "multilabel_sentiment_macro_f1", "accuracy", "macro_f1", "ece")),
    Row("text", "text/meld_dev.csv", None, (
        "weighted_f1", "accuracy", "ece", "sentiment_weighted_f1", "sentiment_accuracy")),
    Row("text", "text/sst2_dev.tsv", None, ("accuracy", "ece")),
    Row("text", "text/stsa.fine.dev", None, ("accuracy", "accuracy_2", "mae", "pearson_r")),
    Row("text", "text/custrev.all", None, ("accuracy", "ece")),
    Row("text", "text/chnsenticorp_dev.tsv", None, ("accuracy", "ece")),
    Row("mosi", "mosi", None, SENTIMENT),
    Row("mosi", "mosi", "held-out", SENTIMENT),
    Row("events", "events", None, ("accuracy", "ece")),
    Row("clips", "media", None, ("accuracy", "ece")),
)  # fmt: skip
HEAD = "| task | set | model | figure | value | 95 % interval | n | command |"


def main() -> int:
    """Measure, print the table, keep the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--only", nargs="*", help="tasks")
    asked = parser.parse_args()
    kept = []
    print(f"{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}", flush=True)
    for row in ROWS:
        if asked.only and row.task not in asked.only:
            continue
        for model in _models(row.task):
            arguments = _arguments(row, model)
            found = _evaluate(arguments, asked.data, asked.bootstrap)
            kept.append({"command": _command(arguments), "report": found})
            for line in _lines(row, model, arguments, found):
                print(line, flush=True)
    write("quality", {"evaluations": kept})
    return int(any("error" in each["report"] for each in kept))


def _models(task: str) -> list[str]:
    if task == "clips":
        return ["shipped"]
    try:
        return names(task)
    except ModelError as error:
        print(f"{task}: {error}", file=sys.stderr)
        return []


def _arguments(row: Row, model: str) -> list[str]:
    split = [] if row.split is None else ["--split", row.split]
    return [row.task, "--data", row.path, "--model", model, *split]


def _command(arguments: list[str]) -> str:
    path = f"DIR/{arguments[2]}"
    return " ".join(["attune evaluate", arguments[0], "--data", path, *arguments[3:]])


def _evaluate(arguments: list[str], data: Path, resamples: int) -> dict[str, Any]:
    task, option, path, *others = arguments
    command = [sys.executable, "-m", "attune", "evaluate", task, option, str(data / path), *others]
    command += ["--bootstrap", str(resamples), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr else "no message"}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _lines(row: Row, model: str, arguments: list[str], found: dict[str, Any]) -> Iterator[str]:
    where = Path(row.path).name
    command = f"`{_command(arguments)}`"
    if "error" in found:
        yield f"| {row.task} | {where} | {model} | failed: {found['error']} | | | | {command} |"
        return
    part = f"{where}, {found['split']}" + (" (trained on)" if found["trained_on"] else "")
    yield from _figures(row, part, model, found, command)
    for corpus, group in found["groups"].get("corpus", {}).items():
        yield from _figures(row, f"{corpus}, {found['split']}", model, group, command)


def _figures(row: Row, part: str, model: str, found: dict[str, Any], command: str) -> Iterator[str]:
    for name in row.figures:
        value, span = found["metrics"].get(name), (found.get("confidence") or {}).get(name)
        shown = "none" if value is None else f"{value:.3f}"
        within = f"{span[0]:.3f} to {span[1]:.3f}" if span else ""
        yield (
            f"| {row.task} | {part} | {model} | {name} | {shown} | {within} | {found['n']} "
            f"| {command} |"
        )


if __name__ == "__main__":
    sys.exit(main())
