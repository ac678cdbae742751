"""Which encoder can read an utterance: the English one, the Chinese one, or none.

The English encoder scores whatever it is given, also what it cannot read; so it is given nothing
that is surely not English. Letters say most: their scripts are Unicode's. Other languages in Latin
letters are told by their function words. Doubt counts as English, so that chat, names and slang
pass.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import groupby

from models.text import unlinked, vocabulary

ENGLISH, CHINESE, UNREAD = "en", "zh", ""
_STATED = {
    **dict.fromkeys(("en", "eng", "english"), ENGLISH),
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "chinese"), CHINESE),
}
_UNSTATED = ("", "und", "mul", "mis", "zxx")  # ISO 639-2: undetermined, several, uncoded, none
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
_MARKS = ("MODIFIER",)  # letters in name only, such as raised ones in kaomoji
_WORD = re.compile(r"[^\W\d_]+")
_FEW = 4  # different words; fewer say too little of a language
_STRANGE = 0.4  # share of words that no English text taught
# German, French, Spanish, Italian, Portuguese, Dutch, Swedish and Danish, Polish, Turkish and
# Indonesian, without accents; none that English has too, be it as slang or within names.
_OTHERS = """
    ich nicht und das ist ein eine einen dem mir dir mich dich wir ihr auch mit auf sehr aber
    noch schon kein keine hast habe haben wird sind bist dass nur wenn weil uns zum zur bei
    wie nach je tu il elle nous vous les une est pas que qui dans sur avec mais tres mes cette
    suis sont etait chez merci yo muy pero por para con esta estoy este como te nos su porque
    tambien cuando fue eres soy tengo gracias che non sono questo questa mi ti ci anche della
    nel gli piu perche molto grazie quello una nao mas muito voce ele ela isso foi tem meu
    minha obrigado ao ik het een niet voor maar zijn ook aan nog heb heeft mij hij zij deze
    naar dit jag inte och det ett som av vi till mycket jeg ikke og nie sie jest ze tak byl
    dla czy bardzo jestem przez bir ve bu cok icin gibi daha kadar degil yang ini itu saya
    tidak kamu untuk dengan akan dari kita kami sekali
"""
_OURS = """
    a i the and of you it that this are have they what my your with but just its for from
    would been is to be at so was if he she his her who how when which were did does had their
    there than then because very really by out up all about after against into will can not or
"""
_FOREIGN, _ENGLISH = frozenset(_OTHERS.split()), frozenset(_OURS.split())


def language_of(text: str, stated: str = "") -> str:
    """ENGLISH, CHINESE or UNREAD; `stated`: a language tag that came with it, or "".

    Letters overrule the tag, where they cannot be of its language. What has no letters at all,
    such as an emoji, goes to the English encoder, which knows them by their English names.

    >>> [language_of(t) for t in ("we had 麻婆豆腐 today", "我喜欢 iPhone", "мне нравится", "😀")]
    ['en', 'zh', '', 'en']
    >>> language_of("gut gemacht"), language_of("gut gemacht", stated="de-AT")
    ('en', '')
    """
    scripts = Counter(("LATIN",)) if text.isascii() else script_words(text)
    latin, foreign = scripts["LATIN"], scripts.total() - scripts["LATIN"]
    tag = re.split("[-_]", stated.casefold())[0]
    if tag not in _UNSTATED and tag not in _STATED and (foreign or _WORD.search(text)):
        return UNREAD
    if foreign > latin:
        return CHINESE if set(scripts) <= {"LATIN", "CJK"} else UNREAD
    return UNREAD if _STATED.get(tag) != ENGLISH and is_foreign(text) else ENGLISH


def script_words(text: str) -> Counter[str]:
    """Words by script, such as LATIN, CJK, CYRILLIC. Links and names of users do not count; two
    letters of a script without spaces are a word; one letter of another script is a face (ツ, ಠ_ಠ).

    >>> dict(script_words("привет 世界, all of you! (ツ)"))
    {'CYRILLIC': 1, 'CJK': 1, 'LATIN': 3}
    """
    found: Counter[str] = Counter()
    for script, run in groupby(unlinked(text), _script):
        length = len(list(run)) if script else 0
        if length > 1 or script in ("LATIN", "CJK"):
            found[script] += -(-length // 2) if script in _UNSPACED else 1
    return found


@lru_cache(maxsize=8_192)
def _script(sign: str) -> str:
    """The first word of a letter's Unicode name; "" of what is no letter."""
    if not sign.isalpha():
        return ""
    script = unicodedata.name(sign, "UNKNOWN").split(" ")[0]
    return "" if script in _MARKS else script


def is_foreign(text: str) -> bool:
    """Whether a text in Latin letters is surely not English, however unusual.

    Either it has two function words of other languages or more, and more than English ones. Or it
    has no English one, at least four different words of which four in ten are no word pieces, and
    a foreign function word or an accent.
    """
    written = set(_WORD.findall(unlinked(text).lower()))
    words = {_plain(word) for word in written}
    foreign, english = len(words & _FOREIGN), len(words & _ENGLISH)
    if foreign >= 2 and foreign > english:
        return True
    if english or len(words) < _FEW or not (foreign or words != written):
        return False
    return len(words - _pieces()) >= _STRANGE * len(words)


def _plain(word: str) -> str:
    """Without accents."""
    if word.isascii():
        return word
    parts = unicodedata.normalize("NFD", word).translate({0x142: "l", 0x131: "i"})
    return "".join(sign for sign in parts if not unicodedata.combining(sign))


@lru_cache(maxsize=1)
def _pieces() -> frozenset[str]:
    return frozenset(vocabulary())
