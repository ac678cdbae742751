"""Text to word pieces: normalised, cut by WordPiece over a pruned English vocabulary.

WordPiece (Wu et al. 2016) as BERT uses it, uncased. The vocabulary keeps every single ASCII
character, so English never falls back to the unknown piece. Emoji are read by their Unicode names.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

VOCABULARY = Path(__file__).parent / "weights" / "wordpieces.txt"
PAD, UNKNOWN, FIRST, LAST = range(4)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MAX_CHARS = 2_000
MAX_PIECES = 128  # with the first and the last one, which are special

_URL = re.compile(r"(https?://|www\.)\S+", re.IGNORECASE)
_USER = re.compile(r"(?<!\w)@\w+")
_NAME_TAG = re.compile(r"\[(name|religion)\]", re.IGNORECASE)
_LONG = re.compile(r"(.)\1{2,}")
_SHADES = re.compile("[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")  # emoji variants and skin tones
_REPEATED_EMOJI = re.compile("([\u2600-\u27bf\U0001f000-\U0001faff])\\1+")
# Typographic quotes, by code point: left, right, acute, grave, and the double ones.
_APOSTROPHES = str.maketrans(
    {0x2018: "'", 0x2019: "'", 0xB4: "'", 0x60: "'", 0x201C: '"', 0x201D: '"'}
)
_TREEBANK = re.compile(r"\s(?:(n) ?('t)|('(?:s|re|ve|ll|d|m)))\b", re.IGNORECASE)


def normalise(text: str) -> str:
    """NFKC, links and users as words, "sooooo" as "sooo", emoji by name, no control characters.

    Of a long text both ends are kept: it opens with its topic and closes with its verdict.
    """
    text = _compatible(text).translate(_APOSTROPHES)
    text = _REPEATED_EMOJI.sub(r"\1", _SHADES.sub("", text))
    text = _LONG.sub(r"\1\1\1", "".join(map(_readable, text)))
    text = _NAME_TAG.sub("someone", _USER.sub("someone", _URL.sub("link", text)))
    return _TREEBANK.sub(_joined, text).strip()


def unlinked(text: str) -> str:
    """NFKC, less links, users and name tags, which have no language; both ends of a long text."""
    return _NAME_TAG.sub(" ", _USER.sub(" ", _URL.sub(" ", _compatible(text))))


def _compatible(text: str) -> str:
    if len(text) > MAX_CHARS:
        text = f"{text[: MAX_CHARS // 2]} {text[-MAX_CHARS // 2 :]}"
    return unicodedata.normalize("NFKC", text)[: 2 * MAX_CHARS]


def _joined(match: re.Match[str]) -> str:
    return "".join(part for part in match.groups() if part)


@lru_cache(maxsize=4_096)
def _readable(sign: str) -> str:
    """A control character as a space, an emoji as its Unicode name, any other sign as it is."""
    category = unicodedata.category(sign)
    if category[0] == "C":
        return " "
    if category == "So" and ord(sign) > 0x2000:
        return f" {unicodedata.name(sign, '').lower()} "
    return sign


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """The pieces in the order of their ids; the special ones come first."""
    return tuple(VOCABULARY.read_text("utf-8").split("\n")[:-1])


def fingerprint() -> int:
    """CRC-32 of the vocabulary: weights are of use only with the pieces they were trained on."""
    return zlib.crc32("\n".join(vocabulary()).encode())


def tokeniser(pieces: Sequence[str]) -> Tokenizer:
    """WordPiece over these pieces, uncased and without accents."""
    table = {piece: row for row, piece in enumerate(pieces)}
    made = Tokenizer(WordPiece(table, unk_token=SPECIAL[UNKNOWN], max_input_chars_per_word=100))
    made.normalizer = BertNormalizer(lowercase=True)
    made.pre_tokenizer = BertPreTokenizer()
    return made


@lru_cache(maxsize=1)
def _shipped() -> Tokenizer:
    return tokeniser(vocabulary())


def encode(texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text between FIRST and LAST, at most MAX_PIECES; empty if none is known."""
    coded = _shipped().encode_batch_fast([normalise(t) for t in texts], add_special_tokens=False)
    return [_framed(entry.ids) for entry in coded]


def pieces(text: str) -> list[str]:
    """The pieces behind the ids of `encode`, the special ones among them."""
    return [vocabulary()[row] for row in encode([text])[0]]


def _framed(ids: list[int]) -> list[int]:
    room = MAX_PIECES - 2
    if len(ids) > room:
        ids = ids[: room // 2] + ids[-room // 2 :]
    return [FIRST, *ids, LAST] if any(row != UNKNOWN for row in ids) else []
