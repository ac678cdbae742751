"""Between written words and the rows of the text encoder's embedding table.

Invariant: every row that is not a mark of the encoder's own (start, end, padding) belongs to one
word, and a word is what stands between spaces in the text as it was written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models import text as written
from models.encoders.text import TextEncoder, collate

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
    inputs = collate(texts)
    spans = [
        span
        for number, text in enumerate(texts)
        for span in _spans(number, text, _surfaces(text, inputs[0][number].tolist()))
    ]
    return Pieces(inputs, spans)


def embeddings(encoder: TextEncoder, pieces: Pieces) -> Tensor:
    """(K, T, W) vectors of the rows."""
    with torch.no_grad():
        if _hashed(encoder):
            return _any(encoder).embed(*pieces.inputs)
        return encoder.words(pieces.inputs[0])


def hidden(encoder: TextEncoder, pieces: Pieces) -> Tensor:
    """(K, T, W) vectors of the same rows with every word unknown."""
    if _hashed(encoder):
        return torch.zeros_like(embeddings(encoder, pieces))
    ids = pieces.inputs[0].clone()
    for word in pieces.words:
        ids[word.text, list(word.columns)] = _any(written).UNKNOWN
    with torch.no_grad():
        return encoder.words(ids)


def encode_embedded(encoder: TextEncoder, pieces: Pieces, x: Tensor) -> Tensor:
    """Word vectors (S, K, T, W) in place of the table's -> tokens (S, K, D)."""
    inputs = [part.repeat(len(x), *[1] * (part.ndim - 1)) for part in pieces.inputs]
    with _instead(encoder, x.flatten(0, 1)):
        return encoder(*inputs).unflatten(0, x.shape[:2])


@contextmanager
def _instead(encoder: TextEncoder, vectors: Tensor) -> Iterator[None]:
    """While it lasts, the encoder's table answers with vectors that were given."""
    if _hashed(encoder):
        _any(encoder).embed = lambda *_: vectors
        try:
            yield
        finally:
            del _any(encoder).embed
        return
    handle = encoder.words.register_forward_hook(lambda *_: vectors)
    try:
        yield
    finally:
        handle.remove()


def _hashed(encoder: TextEncoder) -> bool:
    """Whether this is the encoder of hashed words, which embeds by a method of its own."""
    return hasattr(encoder, "grams")


def _any(thing: object) -> Any:
    return thing


def _surfaces(text: str, ids: Sequence[int]) -> list[tuple[int, str]]:
    """(column, letters) of each piece that stands for something written."""
    if not hasattr(written, "vocabulary"):
        return list(enumerate(_any(written).words(text)))
    pieces, own = written.vocabulary(), {written.PAD, written.FIRST, written.LAST}
    return [(c, pieces[i].removeprefix("##")) for c, i in enumerate(ids) if i not in own]


def _spans(number: int, text: str, found: Sequence[tuple[int, str]]) -> list[WordSpan]:
    """Each piece goes to the word in which it next occurs; one that is read otherwise than it is
    written (a link, an emoji by its name) to the next word that nothing was found in."""
    spans = [(m.start(), m.end()) for m in _WORD.finditer(text)]
    columns: list[list[int]] = [[] for _ in spans]
    folded, at, strange = "".join(map(_fold, text)), 0, list[int]()
    word = -1
    for column, piece in found:
        here = folded.find(piece, at)
        near = here if here >= 0 and _words_between(text, at, here) <= len(strange) + 1 else -1
        if near < 0:
            strange.append(column)
            continue
        at = near + len(piece)
        new = next(i for i, (_, end) in enumerate(spans) if near < end)
        _settle(columns, strange, word, new)
        word, strange = new, []
        columns[word].append(column)
    _settle(columns, strange, word, len(spans))
    return [
        WordSpan(number, start, end, text[start:end], tuple(sorted(rows)))
        for (start, end), rows in zip(spans, columns, strict=True)
    ]


def _settle(columns: list[list[int]], strange: Sequence[int], last: int, new: int) -> None:
    """Give pieces that were not found to the words passed over, or to the last one found."""
    if not columns or not strange:
        return
    passed = range(last + 1, new)
    for i, column in enumerate(strange):
        place = passed[min(i * len(passed) // len(strange), len(passed) - 1)] if passed else last
        columns[max(place, 0)].append(column)


def _words_between(text: str, start: int, end: int) -> int:
    return len(text[start:end].split())


def _fold(sign: str) -> str:
    """One sign as the vocabulary has it: lower case, without accent, one character long."""
    plain = unicodedata.normalize("NFD", sign)[0].lower()
    return plain if len(plain) == 1 else sign
