"""Which encoder can read an utterance: scripts, tags, and languages in Latin letters."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from models.language import CHINESE, ENGLISH, UNREAD, is_foreign, language_of, script_words

READ = {
    # what English chat is made of
    "": ENGLISH,
    "lol": ENGLISH,
    "😀😀 🎉❤️": ENGLISH,
    "idk tbh imo ppl dont rly care abt dat": ENGLISH,
    "yooooo thats lit af fr fr no cap": ENGLISH,
    "TIL um lo and behold, per se": ENGLISH,
    "Zlatan Ibrahimović scored against Lewandowski": ENGLISH,
    "Siobhan and Tadhg met Niamh in Drogheda": ENGLISH,
    "Oscar de la Hoya, Los Angeles": ENGLISH,
    "que sera sera": ENGLISH,
    "café au lait": ENGLISH,
    "¯\\_(ツ)_/¯": ENGLISH,
    "ಠ_ಠ really?": ENGLISH,
    "(\u00b4･ω･`) nooo": ENGLISH,
    "\uff26\uff35\uff2c\uff2c width": ENGLISH,
    "https://пример.рф/страница look": ENGLISH,
    "@王小明 nice": ENGLISH,
    # mixed: who has more words
    "we had 麻婆豆腐 today": ENGLISH,
    "I love 北京": ENGLISH,
    "我喜欢 iPhone": CHINESE,
    "这个 hotel 真的很不错": CHINESE,
    # other scripts
    "好!": CHINESE,
    "太棒了😀😀": CHINESE,
    "這間酒店環境不錯": CHINESE,
    "今日は天気がいいですね": UNREAD,
    "ラーメン食べたい": UNREAD,
    "오늘 날씨가 좋네요": UNREAD,
    "мне очень нравится": UNREAD,
    "أنا سعيد جدا": UNREAD,
    "είμαι χαρούμενος": UNREAD,
    "ผมมีความสุขมาก": UNREAD,
    "मैं बहुत खुश हूँ": UNREAD,
    "привет, lol": ENGLISH,  # as many of either: in doubt it is English
    # other languages in Latin letters
    "Ich bin heute wirklich müde und will nach Hause.": UNREAD,
    "Je suis vraiment content de te voir": UNREAD,
    "Estoy muy contento de verte": UNREAD,
    "Nie jestem dziś w nastroju": UNREAD,
    "Bugün gerçekten çok yorgunum": UNREAD,
    "Makanan di hotel itu sangat buruk": UNREAD,
}


@pytest.mark.parametrize(("text", "expected"), READ.items(), ids=READ.keys())
def test_who_can_read_it(text: str, expected: str) -> None:
    assert language_of(text) == expected


@pytest.mark.parametrize(
    ("text", "stated", "expected"),
    [
        ("fine", "en-GB", ENGLISH),
        ("Je suis vraiment content de te voir", "eng", ENGLISH),  # who said so was there
        ("alles gut", "", ENGLISH),
        ("alles gut", "ger", UNREAD),
        ("alles gut", "de_AT", UNREAD),
        ("alles gut", "und", ENGLISH),
        ("😀", "de", ENGLISH),  # no letter, no language
        ("42!", "ja", ENGLISH),
        ("東京都", "", CHINESE),
        ("東京都", "ja", UNREAD),
        ("很好", "en", CHINESE),  # a chat page's default tag does not make it English
        ("很好", "zh-Hans-CN", CHINESE),
        ("nice one", "zh", ENGLISH),
        ("いいね", "zh", UNREAD),
        ("очень", "en", UNREAD),
    ],
)
def test_a_tag_counts_where_the_letters_can_be_of_its_language(
    text: str, stated: str, expected: str
) -> None:
    assert language_of(text, stated) == expected


def test_words_are_counted_by_script() -> None:
    assert script_words("我很喜欢 it ещё раз") == {"CJK": 2, "LATIN": 1, "CYRILLIC": 2}


def test_one_function_word_is_not_enough_where_english_ones_are() -> None:
    assert is_foreign("nicht und aber")
    assert is_foreign("nicht the und")
    assert not is_foreign("nicht the")
    assert not is_foreign("nicht und the of")


def test_strange_words_alone_are_slang() -> None:
    assert not is_foreign("grxk vlmp zrtq fnord")
    assert is_foreign("grxk vlmp zrtq aber")
    assert is_foreign("grxk vlmp zrtq fnörd")
    assert not is_foreign("grxk vlmp fnörd")  # too short to tell


def test_a_megabyte_is_told_by_its_ends() -> None:
    assert language_of("很好" * 500_000) == CHINESE
    assert language_of("ﷺ" * 500_000) == UNREAD


def _lines(path: Path) -> list[str]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", errors="replace") as file:
            return [row["Utterance"] for row in csv.DictReader(file)]
    lines = path.read_text("utf-8").split("\n")
    return [line.split("\t")[0] for line in lines if line]


@pytest.mark.parametrize("name", ["goemotions_dev.tsv", "meld_dev.csv", "sst2_dev.tsv"])
def test_english_chat_dialogue_and_reviews_are_read(data: Path, name: str) -> None:
    texts = _lines(data / "text" / name)
    refused = [text for text in texts if language_of(text) != ENGLISH]
    assert len(refused) <= len(texts) / 1000, refused


def test_chinese_reviews_are_known_as_such(data: Path) -> None:
    texts = _lines(data / "text" / "chnsenticorp_dev.tsv")
    other = [text for text in texts if language_of(text) != CHINESE]
    assert len(other) <= len(texts) / 500, other
