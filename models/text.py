"""Text to token ids: normalised, cut into words, hashed into tables together with their subwords.

The hashing trick (Weinberger et al. 2009) with character n-grams (Bojanowski et al. 2017,
"Enriching word vectors with subword information") needs no vocabulary file and gives every string
an id, so emoji, typing errors and languages never seen in training cannot crash it.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from functools import lru_cache

WORD_BUCKETS = 32_768
GRAM_BUCKETS = 24_576
MAX_CHARS = 2_000
MAX_WORDS = 96
MAX_GRAMS = 12

_URL = re.compile(r"(https?://|www\.)\S+")
_USER = re.compile(r"(?<!\w)@\w+")
_NAME_TAG = re.compile(r"\[(name|religion)\]")
_LONG = re.compile(r"(.)\1{2,}")
# Typographic quotes, by code point: left, right, acute, grave, and the double ones.
_APOSTROPHES = str.maketrans(
    {0x2018: "'", 0x2019: "'", 0xB4: "'", 0x60: "'", 0x201C: '"', 0x201D: '"'}
)
_TREEBANK = re.compile(r"\s(?:(n) ?('t)|('(?:s|re|ve|ll|d|m)))\b")
# A word of letters with inner apostrophes; a run of digits; any other sign, alone.
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+|[^\w\s]|_")


def normalise(text: str) -> str:
    """NFKC, case folded, links and users as tags, "sooooo" as "sooo", no control characters."""
    text = unicodedata.normalize("NFKC", text[:MAX_CHARS])[:MAX_CHARS].translate(_APOSTROPHES)
    text = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text).casefold()
    text = _NAME_TAG.sub("someone", _USER.sub("someone", _URL.sub("hyperlink", text)))
    return _LONG.sub(r"\1\1\1", text).strip()


def _joined(match: re.Match[str]) -> str:
    return "".join(part for part in match.groups() if part)


def words(text: str) -> list[str]:
    """At most MAX_WORDS words of the text: treebank spacing ("is n't") becomes plain ("isn't")."""
    text = _TREEBANK.sub(_joined, normalise(text))
    found = _WORD.findall(text)
    if len(found) <= MAX_WORDS:
        return found
    half = MAX_WORDS // 2  # both ends: a long text opens with its topic and closes with its verdict
    return found[:half] + found[-half:]


@lru_cache(maxsize=65_536)
def ids(word: str) -> tuple[int, tuple[int, ...]]:
    """Row of the word table, and rows of the subword table for its n-grams of 3 to 5 letters."""
    row = 1 + zlib.crc32(word.encode("utf-8", "replace")) % (WORD_BUCKETS - 1)
    marked = f"<{word[:24]}>"
    grams = [marked[i : i + n] for n in (3, 4, 5) for i in range(len(marked) - n + 1)]
    if len(grams) > MAX_GRAMS:
        grams = grams[:: -(-len(grams) // MAX_GRAMS)]
    hashed = (zlib.crc32(b"#" + g.encode("utf-8", "replace")) for g in grams)
    return row, tuple(1 + h % (GRAM_BUCKETS - 1) for h in hashed)


def encode(text: str) -> tuple[list[int], list[tuple[int, ...]]]:
    """Word rows and, for each word, its subword rows; both empty when there is no word."""
    pairs = [ids(word) for word in words(text)]
    return [row for row, _ in pairs], [grams for _, grams in pairs]
