"""Between written words and the rows of the text encoder's embedding table.

Invariant: every row that is not a mark of the encoder's own (start, end, padding) belongs to one
word, and a word is what stands between spaces in the text as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.encoders.text import TextEncoder, collate
from models.text import words as split_words

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class WordSpan:
    """Word `text[start:end]` of text number `text`, and the columns that its subwords fill."""

    text: int
    start: int
    end: int
    word: str
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Pieces:
    """What `TextEncoder.forward` takes for K texts, and the words behind it."""

    inputs: tuple[Tensor, ...]
    words: list[WordSpan]


def tokenise(texts: Sequence[str]) -> Pieces:
    """The encoder's own rows, and which word each belongs to."""
    spans = [
        span
        for number, text in enumerate(texts)
        for span in _spans(number, text, split_words(text))
    ]
    return Pieces(collate(texts), spans)


def embeddings(encoder: TextEncoder, pieces: Pieces) -> Tensor:
    """(K, T, W) vectors of the rows."""
    with torch.no_grad():
        return encoder.embed(*pieces.inputs)


def hidden(encoder: TextEncoder, pieces: Pieces) -> Tensor:
    """(K, T, W) vectors of texts that say nothing."""
    return torch.zeros_like(embeddings(encoder, pieces))


def encode_embedded(encoder: TextEncoder, pieces: Pieces, x: Tensor) -> Tensor:
    """Word vectors (S, K, T, W) in place of the table's -> tokens (S, K, D)."""
    inputs = [part.repeat(len(x), *[1] * (part.ndim - 1)) for part in pieces.inputs]
    with _Instead(encoder, x.flatten(0, 1)):
        return encoder(*inputs).unflatten(0, x.shape[:2])


class _Instead:
    """While it lasts, the encoder's `embed` answers with vectors that were given."""

    def __init__(self, encoder: TextEncoder, vectors: Tensor) -> None:
        self._encoder, self._vectors = encoder, vectors

    def __enter__(self) -> None:
        self._encoder.embed = lambda *_: self._vectors  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        del self._encoder.embed


def _spans(number: int, text: str, found: Sequence[str]) -> list[WordSpan]:
    written = [(m.start(), m.end()) for m in _WORD.finditer(text)]
    columns: list[list[int]] = [[] for _ in written]
    folded = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    at = word = 0
    for column, piece in enumerate(found):
        here = folded.find(piece, at)
        if here >= 0:
            at = here + len(piece)
            word = next((i for i, (_, end) in enumerate(written) if here < end), word)
        if written:
            columns[word].append(column)
    return [
        WordSpan(number, start, end, text[start:end], tuple(rows))
        for (start, end), rows in zip(written, columns, strict=True)
    ]
