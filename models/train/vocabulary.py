"""Choose the word pieces of the text encoder from those of a pretrained one.

    python -m models.train.vocabulary --data ../shared/data [--base FOLDER] [--size 15000]

Kept are all single characters but ideographs, then the pieces that the training texts use most,
then, in their own order (by frequency), the pretrained model's other pieces.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from models.data.text import training_texts
from models.text import SPECIAL, VOCABULARY, normalise, tokeniser
from models.train.base import base_folder, base_pieces

_FIRST_IDEOGRAPH = 0x2E80
_SEEN_TWICE = 2


def prune(pieces: list[str], texts: list[str], size: int) -> list[str]:
    """`size` of the pieces: special ones, characters, those used by the texts, frequent ones."""
    used: Counter[str] = Counter()
    for entry in tokeniser(pieces).encode_batch([normalise(text) for text in texts]):
        used.update(entry.tokens)
    characters = [p for p in pieces if len(p.removeprefix("##")) == 1 and p != "##"]
    characters = [p for p in characters if ord(p[-1]) < _FIRST_IDEOGRAPH]
    often = [p for p, n in used.most_common() if n >= _SEEN_TWICE]
    rest = [p for p in pieces if not p.startswith("[unused") and p.isascii()]
    ordered = dict.fromkeys([*SPECIAL, *characters, *often, *rest])
    return list(ordered)[:size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--size", type=int, default=15_000)
    given = parser.parse_args()
    pieces = base_pieces(base_folder(given.base))
    kept = prune(pieces, training_texts(given.data), given.size)
    VOCABULARY.write_text("".join(f"{piece}\n" for piece in kept), "utf-8")
    sys.stdout.write(f"{VOCABULARY}: {len(kept)} of {len(pieces)} pieces\n")


if __name__ == "__main__":
    main()
