"""One reader under the fuzzer, in a process of its own: libFuzzer ends the process at a finding.

`python -m benchmarks.fuzz.engine MODULE:NAME FOLDER [libFuzzer's flags or files to read again]`
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

PURE = ["actors", "attune", "mcap", "pysubs2", "streaming", "yaml"]
COMPILED = ["streaming.aligner_kernels"]  # Numba reads its bytecode
MAX_INPUT = 20_000


def main() -> None:
    """Fuzz until libFuzzer has had enough."""
    where, folder, *flags = sys.argv[1:]
    module, _, name = where.partition(":")
    with atheris.instrument_imports(include=PURE, exclude=COMPILED):
        reader = importlib.import_module(module).READERS[name]
    from benchmarks.fuzz.mutate import mutated
    from benchmarks.fuzz.reader import HARD, read

    def take(data: bytes) -> None:
        read(reader, data)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        def bytewise(part: bytes) -> bytes:
            return bytes(atheris.Mutate(part, max(len(part) * 2, 16)))

        return mutated(bytes(data), reader.form, seed, bytewise)[:most]

    again = [flag for flag in flags if not flag.startswith("-")]
    if not again:
        flags += _material(Path(folder), [*reader.seeds(), *HARD], reader.words)
    options: dict[str, Callable[[bytes, int, int], bytes]] = {}
    if reader.form != "bytes":
        options["custom_mutator"] = mutate
    atheris.Setup([where, f"-max_len={MAX_INPUT}", "-len_control=0", *flags], take, **options)
    atheris.Fuzz()


def _material(folder: Path, seeds: list[bytes], words: tuple[str, ...]) -> list[str]:
    """Seeds and dictionary as files; the flags that name them. What is found new is kept there."""
    (folder / "found").mkdir(parents=True, exist_ok=True)
    (folder / "seeds").mkdir(exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / "seeds" / f"{number:03d}").write_bytes(seed[:MAX_INPUT])
    entries = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in words)
    (folder / "words").write_text("".join(f'"{entry}"\n' for entry in entries))
    known = [f"-dict={folder / 'words'}"] if words else []
    return [*known, str(folder / "found"), str(folder / "seeds")]


if __name__ == "__main__":
    main()
