"""Which encoder is given what: English, Chinese and other texts, and the two mixed.

The first table tells for each set who reads how much of it and what telling costs; the second, what
a word of the other language does to reviews: one is put between two words, or between two signs of
Chinese. The named alternative to the mixed reviews is the same reviews as they are. The third is of
short sentences as they are said, which the training data, reviews, do not have.

`python -m benchmarks.languages --data ../shared/data`
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import show, write
from models import weights
from models.encoders.chinese import ChineseWords, opinion_of
from models.evaluate.text_formats import Rows, read_rows
from models.fusion import LIMIT
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
IN_CHINESE = ("hotel", "iPhone", "Windows", "OK", "DVD")

EVERYDAY = {
    "pleasant": """
        今天真的很开心 太好了我们赢了 这个主意不错我喜欢 谢谢你帮了我大忙
        这顿饭好吃极了 你做得非常好 我很期待明天的旅行 这部电影太精彩了
        孩子们玩得特别高兴 终于成功了真让人激动 你的声音真好听 这里的风景美得很
        和你聊天很愉快 老师夸我进步很大 这次合作很顺利 我爱这个城市
        礼物我非常满意 大家都对结果很满意 这家店的服务真好 睡了一觉舒服多了
    """,
    "unpleasant": """
        我今天心情很差 太让人失望了 你怎么又迟到了 这个东西一点用都没有
        我受够了每天加班 他说话真难听 我很担心他的身体 这里又脏又吵
        钱白花了真后悔 电脑又坏了烦死了 我不想再见到你 他们的态度非常恶劣
        考试没通过我很难过 排队排了两个小时太慢了 这个价格根本不值 我感觉很孤独
        饭菜又冷又难吃 你为什么要骗我 房间小得转不开身 质量太差用了一天就坏
    """,
    "neither": """
        我现在去开会 会议改到下午三点 请把文件发给我 地铁站在前面右转
        他昨天从上海回来 我们下周二再讨论 今天星期五 我住在三楼
        你吃饭了吗 这本书有两百页 车停在门口 明天可能下雨
        请问洗手间在哪里 我把邮件发出去了 她在银行工作 火车九点到站
        我先看一下再回复你 第二页有一张表 他有两个孩子 你可以听到我说话吗
    """,
}


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
    english, chinese = rows["SST-2 development set"], rows["ChnSentiCorp development set"]
    mixed = [
        {"set": "SST-2, a Chinese word in each", **_mixed(english, IN_ENGLISH, _between_words)},
        {"set": "ChnSentiCorp, an English one", **_mixed(chinese, IN_CHINESE, _between_signs)},
    ]
    show("accuracy", mixed)
    spoken = [{"said": name, **_spoken(lines.split())} for name, lines in EVERYDAY.items()]
    show("everyday sentences, of our own making", spoken)
    write("languages", {"read": read, "mixed": mixed, "spoken": spoken})


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


def _spoken(sentences: list[str]) -> dict[str, Any]:
    """How many of the sentences alone would get a score, and of which sign."""
    model = ChineseWords.find(weights.SHIPPED)
    assert model is not None
    said = [opinion_of(model.positive(sentence)) for sentence in sentences]
    sure = [opinion.sentiment for opinion in said if opinion.half_width <= LIMIT]
    return {
        "n": len(said),
        "above 0": sum(opinion.sentiment > 0 for opinion in said),
        "scored above 0": sum(score > 0 for score in sure),
        "scored below 0": sum(score < 0 for score in sure),
        "withheld": len(said) - len(sure),
    }


NAMES = {"English": ENGLISH, "Chinese": CHINESE, "nobody": UNREAD}


def _mixed(rows: Rows, words: tuple[str, ...], put: Callable[..., str]) -> dict[str, Any]:
    """Accuracy of reviews as they are and with a word put in, and how many are read otherwise."""
    rng = np.random.default_rng(0)
    changed = [put(text, words[rng.integers(len(words))], rng) for text in rows.texts]
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


def _between_signs(text: str, word: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(len(text) + 1))
    return f"{text[:at]} {word} {text[at:]}"


if __name__ == "__main__":
    main()
