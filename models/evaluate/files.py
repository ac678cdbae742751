"""Reading of labelled files: every fault names the file, the row and what was expected."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import ChoiceError, DataError

ALL = "all"
HELD_OUT = "held-out"  # the part of a training split that this project trains nothing on
_PREFERRED = (("test",), ("valid", "validation", "val", "dev"))


def existing(path: Path, *tails: str) -> Path:
    """`path` itself if it is a file, else the first of the tails that exists below the folder."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise ChoiceError(f"{path} not found: expected a file or a folder with labelled data")
    for tail in tails:
        if (path / tail).is_file():
            return path / tail
    raise ChoiceError(f"{path}: expected one of {', '.join(tails)} in this folder, found none")


def read_text(path: Path) -> str:
    """UTF-8, or Latin-1 where it is not (the CR reviews)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if b"\0" in content:
        raise DataError(f"{path}: expected a text file, got binary data")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


@dataclass(frozen=True)
class Line:
    """One row of a table: its number in the file and its fields by column."""

    number: int
    fields: dict[str, str]


def read_table(path: Path, required: Sequence[str]) -> list[Line]:
    """A CSV file with a header; fields may span lines, so numbers are those of the last line."""
    reader = csv.DictReader(read_text(path).splitlines(keepends=True), strict=True)
    try:
        missing = [name for name in required if name not in (reader.fieldnames or ())]
        if missing:
            got = reader.fieldnames or ["nothing"]
            hint = "; separate fields by commas" if len(got) == 1 and ";" in got[0] else ""
            raise DataError(
                f"{path}: expected the columns {', '.join(required)}; "
                f"{', '.join(missing)} missing, got {', '.join(got)}{hint}"
            )
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise DataError(
                    f"{path}, line {reader.line_num}: expected {len(reader.fieldnames or ())} "
                    "fields as in the header, got another number; is the file cut short?"
                )
            rows.append(Line(reader.line_num, row))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
    if not rows:
        raise DataError(f"{path}: expected at least one row below the header, got none")
    return rows


def read_arrays(path: Path, required: Sequence[str]) -> dict[str, np.ndarray]:
    """A NumPy .npz archive, whole and without pickled objects; all arrays of one length."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in required if name not in archive.files]
            if missing:
                raise DataError(
                    f"{path}: expected the arrays {', '.join(required)}; {', '.join(missing)} "
                    f"missing, got {', '.join(archive.files) or 'none'}"
                )
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        told = " ".join(str(error).split())
        reason = "another file, or one with pickled objects" if "pickle" in told else told
        raise DataError(f"{path}: expected a NumPy .npz archive, got {reason}") from error
    n = len(arrays[required[0]])
    for name in [*required, *(["split"] if "split" in arrays else [])]:
        if len(arrays[name]) != n:
            raise DataError(f"{path}: expected {n} entries in {name!r}, got {len(arrays[name])}")
    if n == 0:
        raise DataError(f"{path}: expected at least one row, got none")
    return arrays


@dataclass(frozen=True)
class Chosen:
    """Which rows are measured: bool (N,), the split's name and a sentence that says so.

    trained: whether some of them belong to a split called "train".
    """

    rows: np.ndarray
    split: str
    described: str
    trained: bool = False


def choose(
    path: Path,
    splits: Sequence[str] | None,
    n: int,
    asked: str | None,
    held_out: np.ndarray | None = None,
) -> Chosen:
    """The split asked for; else "test", else "valid", else every row.

    held_out: bool (N,), rows of "train" that no training here sees, where the corpus has some.
    """
    if asked == HELD_OUT and held_out is not None and held_out.any():
        told = f"{held_out.sum()} of {n} rows: held out of 'train' by this project, as asked"
        return Chosen(held_out, HELD_OUT, told)
    everything = np.ones(n, bool)
    trained = splits is not None and "train" in splits
    names = sorted(set(splits)) if splits is not None else []
    if asked == ALL:
        return Chosen(everything, ALL, f"all {n} rows, as asked", trained)
    if asked is not None:
        if asked not in names:
            known = ", ".join(map(repr, names)) if names else "no split at all"
            raise ChoiceError(f"{path}: no split {asked!r} here; the file has {known}, or 'all'")
        name, why = asked, "as asked"
    else:
        found = [name for group in _PREFERRED for name in group if name in names]
        if not found:
            told = f"its splits are {', '.join(names)}" if names else "the file names no split"
            return Chosen(everything, ALL, f"all {n} rows: {told}", trained)
        name, why = found[0], "by the rule test, else valid, else all"
    rows = np.asarray(splits) == name
    told = f"{rows.sum()} of {n} rows: split {name!r}, {why}"
    return Chosen(rows, name, told, name == "train")


def several_classes(path: Path, labels: Sequence[str]) -> None:
    """Refuse data of one class only: naming it always would be right always."""
    if len(set(labels)) < 2:
        raise DataError(
            f"{path}: expected rows of two classes or more, got {len(labels)} of {labels[0]!r} "
            "only; the share of right answers would say nothing"
        )
