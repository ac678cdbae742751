"""Which encoder is given what: English, Chinese and other texts, and the two mixed.

The first table tells for each set who reads how much of it and what telling costs; the second, what
a Chinese word between two others does to English reviews. The named alternative is the same reviews
as they are.

`python -m benchmarks.languages --data ../shared/data`
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import show, write
from models.evaluate.text_formats import Rows, read_rows
from models.language import CHINESE, ENGLISH, UNREAD, language_of
from models.predictors import text as predictors
from models.threads import limit_threads

SETS = {
    "GoEmotions validation": ("goemotions_dev.tsv", "goemotions"),
    "MELD development set": ("meld_dev.csv", "meld"),
    "SST-2 development set": ("sst2_dev.tsv", "sst2"),
    "CR": ("custrev.all", "custrev"),
    "ChnSentiCorp development set": ("chnsenticorp_dev.tsv", "chnsenticorp"),
}
# Names of things: they should change nothing.
IN_ENGLISH = ("北京", "麻婆豆腐", "微信", "这个", "电影")


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    limit_threads(1)
    rows = {name: read_rows(data / "text" / file, form) for name, (file, form) in SETS.items()}
    texts = {name: found.texts for name, found in rows.items()} | {"nEMO, Polish": _polish(data)}
    read = [{"set": name, **_read(lines)} for name, lines in texts.items()]
    show("who reads it", read)
    reviews = rows["SST-2 development set"]
    mixed = [{"set": "SST-2, a Chinese word in each", **_mixed(reviews, IN_ENGLISH)}]
    show("accuracy", mixed)
    write("languages", {"read": read, "mixed": mixed})


def _polish(data: Path) -> list[str]:
    with (data / "speech" / "manifest.csv").open(encoding="utf-8") as file:
        return sorted({row["text"] for row in csv.DictReader(file) if row["language"] == "pl"})


def _read(texts: list[str]) -> dict[str, Any]:
    """Shares by who reads, and microseconds for each text."""
    began = time.perf_counter()
    count = Counter(map(language_of, texts))
    spent_us = (time.perf_counter() - began) / len(texts) * 1e6
    shares = {name: f"{count[code] / len(texts):.4f}" for name, code in NAMES.items()}
    return {"n": len(texts), **shares, "µs each": f"{spent_us:.0f}"}


NAMES = {"English": ENGLISH, "Chinese": CHINESE, "nobody": UNREAD}


def _mixed(rows: Rows, words: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy of reviews as they are and with a word put in, and how many are read otherwise."""
    rng = np.random.default_rng(0)
    changed = [_between_words(text, words[rng.integers(len(words))], rng) for text in rows.texts]
    model, labels = predictors.load("shipped"), rows.polarity
    plain, other = (model.predict(texts)[1] for texts in (rows.texts, changed))
    pairs = zip(rows.texts, changed, strict=True)
    moved = sum(language_of(before) != language_of(after) for before, after in pairs)
    return {
        "n": len(changed),
        "as they are": f"{((plain > 0) == labels).mean():.3f}",
        "mixed": f"{((other > 0) == labels).mean():.3f}",
        "read by another": moved,
        "score moved by": f"{np.nanmean(np.abs(plain - other)):.3f}",
    }


def _between_words(text: str, word: str, rng: np.random.Generator) -> str:
    parts = text.split()
    at = int(rng.integers(len(parts) + 1))
    return " ".join([*parts[:at], word, *parts[at:]])


if __name__ == "__main__":
    main()
