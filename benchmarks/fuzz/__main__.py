"""Fuzz the readers one after another; a table of what came of it. docs/fuzzing.md.

    make fuzz [SECONDS=600]      (or: python -m benchmarks.fuzz [--seconds 600] [READER ...])

Exit code 1 when an input was found that a reader cannot take.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.fuzz import file_readers, text_readers, wire_readers
from benchmarks.report import show, write

MODULES = (wire_readers, text_readers, file_readers)
FOLDER = Path("build/fuzz")
HANG_S = 10  # for one input of at most 20 kB, under instrumentation
MEMORY_MB = 1024
START_S = 600  # to begin, and for its last input, on a busy machine


def main() -> int:
    """Print the table and what was found."""
    arguments = _parsed()
    places = {name: f"{module.__name__}:{name}" for module in MODULES for name in module.READERS}
    unknown = [name for name in arguments.readers if name not in places]
    if unknown:
        print(f"unknown reader {unknown[0]!r}; there are: {', '.join(places)}", file=sys.stderr)
        return 2
    rows, findings = [], []
    for name in arguments.readers or places:
        row, finding = fuzz(places[name], FOLDER / name, arguments.seconds)
        rows.append({"reader": name, **row})
        findings += [finding] if finding else []
        print(rows[-1], file=sys.stderr, flush=True)
    show(f"fuzzing, {arguments.seconds} s for each reader", rows)
    print("\n".join(findings))
    write("fuzz", {"seconds": arguments.seconds, "readers": rows})
    return int(bool(findings))


def fuzz(place: str, folder: Path, seconds: float) -> tuple[dict[str, object], str]:
    """One reader for so long; its row, and the finding with which it ended, if any."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = [
        f"-max_total_time={round(seconds)}",
        f"-timeout={HANG_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
    ]
    # By a shell that stays: libFuzzer reads its memory as ru_maxrss, which a process takes over
    # from the one that starts it.
    shell = ["sh", "-c", '"$@"; exit "$?"', "sh"]
    command = [*shell, sys.executable, "-m", "benchmarks.fuzz.engine", place, str(folder), *flags]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds + START_S,
    )
    said = done.stdout
    (folder / "log").write_text(said)
    edges = [int(n) for n in re.findall(r"cov: (\d+)", said)]
    row = {
        "inputs": _stat(said, "number_of_executed_units"),
        "edges": edges[-1] if edges else 0,
        "slowest s": _stat(said, "slowest_unit_time_sec"),
        "memory MB": _stat(said, "peak_rss_mb"),
        "findings": int(done.returncode != 0),
    }
    return row, _finding(place, folder, said) if done.returncode else ""


def _stat(said: str, name: str) -> int:
    found = re.search(rf"stat::{name}:\s+(\d+)", said)
    return int(found[1]) if found else 0


def _finding(place: str, folder: Path, said: str) -> str:
    """What went wrong, and how to see it again."""
    _, raised, after = said.partition("=== Uncaught Python exception: ===\n")
    of_its_own = [line for line in said.splitlines() if "libFuzzer:" in line]
    lines = after.splitlines()[:12] if raised else of_its_own
    written = re.search(r"Test unit written to (\S+)", said)
    again = f"python -m benchmarks.fuzz.engine {place} {folder} {written[1] if written else ''}"
    return "\n".join([f"{place}:", *(f"    {line}" for line in lines), f"  again: {again}"])


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz the readers of what others write.")
    parser.add_argument("readers", nargs="*", help="which; all, if none is named")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each reader")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
