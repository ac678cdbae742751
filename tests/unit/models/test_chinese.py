"""Chinese words: their runs, split and training, and what the analyser makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from model_scenes import hop, no_faces, says, windows

from models import weights
from models.analyser import Analyser
from models.data.text import chinese_reviews
from models.encoders.chinese import ChineseWords, bag, opinion_of, rows_of
from models.encoders.text import TextEncoder
from models.predictors.text import Neural
from models.train.chinese import log_ratios
from models.train.engine import train
from models.train.recipe import Recipe

GOOD, BAD = "房间很干净,服务非常好", "房间太脏,服务非常差"


def test_rows_are_of_different_runs_and_the_same_everywhere() -> None:
    assert rows_of("很好").tolist() == PINNED
    assert rows_of("很 好").tolist() == PINNED  # a recogniser puts spaces between words
    assert set(rows_of("很好")) < set(rows_of("很好吃"))
    assert rows_of("13寸").tolist() == rows_of("7寸").tolist()
    assert rows_of("WINDOWS").tolist() == rows_of("windows").tolist()
    assert len(rows_of("")) == len(rows_of(" \n")) == 0


PINNED = [84776, 159094, 212309]


@torch.inference_mode()
def test_neither_the_batch_nor_the_padding_changes_an_answer() -> None:
    model = ChineseWords().eval()
    torch.nn.init.normal_(model.table)
    together = model(*bag([GOOD, "好", ""]))
    alone = torch.cat([model(*bag([text])) for text in (GOOD, "好", "")])
    torch.testing.assert_close(together, alone)
    assert together[2] == model.bias


def test_runs_of_positive_reviews_count_for_positive() -> None:
    ratios = log_ratios([("好好", 1), ("坏坏", 0), ("的", 0), ("的", 1)], 1.0)
    assert (ratios[rows_of("好好")] > 0).all()
    assert (ratios[rows_of("坏坏")] < 0).all()
    assert np.count_nonzero(ratios) == 4  # two signs and two pairs; "的" is as often in either


def reviews(folder: Path) -> Path:
    """Forty reviews, of which some are written twice and some are for validation too."""
    text = folder / "text"
    text.mkdir()
    rows = [
        (f"{GOOD}第{sign}次", "positive") for sign in "一二三四五六七八九十甲乙丙丁戊己庚辛壬癸"
    ]
    rows += [
        (f"{BAD}第{sign}次", "negative") for sign in "一二三四五六七八九十甲乙丙丁戊己庚辛壬癸"
    ]
    again = [(f" {words}!!", label) for words, label in rows[:10]]
    for name, part in (("train", [*rows, *again]), ("dev", [*again[:3], *rows[20:23]])):
        lines = "".join(f"{words}\t{label}\n" for words, label in part)
        (text / f"chnsenticorp_{name}.tsv").write_text(lines, encoding="utf-8")
    return folder


def test_no_review_is_in_two_parts_however_it_is_written(tmp_path: Path) -> None:
    data = reviews(tmp_path)
    parts = {
        split: {text.strip(" !") for text, _ in chinese_reviews(data, split)}
        for split in ("train", "valid", "test")
    }
    assert len(parts["valid"]) == 6
    assert not parts["valid"] & (parts["train"] | parts["test"])
    assert not parts["train"] & parts["test"]
    assert sum(map(len, parts.values())) == 40
    assert len(chinese_reviews(data, "train")) == len(parts["train"])  # each once


def test_a_training_of_seconds_tells_them_apart_and_is_found_again(tmp_path: Path) -> None:
    recipe = Recipe(task="chinese", model="bag", epochs=2, batch=8, learning_rate=1e-2)
    figures = train(recipe, reviews(tmp_path), tmp_path / "run", tmp_path)
    assert figures["valid"]["accuracy"] == 1.0
    found = ChineseWords.find(tmp_path / "run")
    assert found is not None
    assert found.positive("服务非常好") > 0.5 > found.positive("房间太脏")
    assert found.positive("服务非常好") == found.positive("服务非常好")


def test_weights_without_the_part_read_no_chinese(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights.save(TextEncoder(), tmp_path, "text", {})
    assert ChineseWords.find(tmp_path) is None
    emotions, said = Neural.load(tmp_path).predict(["好", "good"])
    assert np.isnan(emotions[0]).all()
    assert np.isnan(said[0])
    assert np.isfinite(said[1])


def test_the_less_sure_the_wider() -> None:
    even, sure = opinion_of(0.5), opinion_of(0.98)
    assert even.sentiment == 0.0
    assert even.half_width > 0.75 > sure.half_width  # the former is withheld
    assert sure.sentiment == pytest.approx(0.672)
    assert opinion_of(0.02).sentiment == -sure.sentiment
    assert opinion_of(1.0).half_width == pytest.approx(1.2816 * 0.25)


PRAISE, BLAME = "房间很干净,服务非常好,下次还会来", "房间又脏又吵,服务态度极差,很失望"


def taught() -> ChineseWords:
    """Words that have learnt from two reviews."""
    model = ChineseWords().eval()
    ratios = log_ratios([(PRAISE, 1), (BLAME, 0)], 1.0)
    model.table.data.copy_(torch.from_numpy(ratios).view_as(model.table))
    return model


def test_a_predictor_tells_a_sentiment_and_no_emotions() -> None:
    model = Neural(weights.load(TextEncoder(), weights.SHIPPED, "text"), taught())
    texts = [PRAISE, BLAME, "that is great"]
    emotions, said = model.predict(texts)
    assert np.isnan(emotions[:2]).all()
    assert np.isfinite(emotions[2]).all()
    assert said[0] > 0.4 > -0.4 > said[1]
    positive = model.positive(texts, said)
    assert positive[0] == pytest.approx((1 + said[0] / 0.7) / 2)
    assert positive[2] == pytest.approx((1 + said[2]) / 2)


Fresh = Callable[[], str]


@pytest.fixture
def reader(analyser: Analyser, monkeypatch: pytest.MonkeyPatch) -> Analyser:
    """The analyser, with words that have learnt from two reviews."""
    monkeypatch.setattr(analyser, "_chinese", taught())
    return analyser


def alone(reader: Analyser, stream: str, *texts: str):
    """A window in which only words are there."""
    said = tuple(says(0, text)[0] for text in texts)
    hops = [hop(0, faces=no_faces(), audio_coverage=0.0, texts=said)]
    return reader.step(windows(stream, hops, 1))[0]


def test_chinese_words_alone_give_a_sentiment_and_nothing_else(
    reader: Analyser, fresh: Fresh
) -> None:
    for text, sign in ((PRAISE, 1), (BLAME, -1)):
        scores = alone(reader, fresh(), text)
        assert scores.sentiment * sign > 0.4
        assert scores.sentiment_low < scores.sentiment < scores.sentiment_high
        assert scores.emotions is None
        assert scores.arousal is None
        assert scores.unimodal["text"].emotions is None
        assert scores.contributions == pytest.approx({"text": scores.sentiment})


def test_without_the_part_they_are_as_if_they_had_not_been_said(
    analyser: Analyser, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyser, "_chinese", None)
    scores = alone(analyser, fresh(), PRAISE)
    assert scores.sentiment is None
    assert scores.unimodal == {}


def test_what_says_neither_is_not_enough(
    reader: Analyser, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "limit", 0.75)
    assert alone(reader, fresh(), "我住在三楼").sentiment is None
    assert alone(reader, fresh(), PRAISE, BLAME).sentiment is None
    assert alone(reader, fresh(), PRAISE).sentiment is not None


def test_they_leave_the_emotions_of_a_face_as_they_are(reader: Analyser, fresh: Fresh) -> None:
    def seen(*texts: str):
        said = tuple(says(0, text)[0] for text in texts)
        hops = [hop(0, audio_coverage=0.0, texts=said)]
        return reader.step(windows(fresh(), hops, 1))[0]

    face, both = seen(), seen(PRAISE)
    np.testing.assert_array_equal(face.emotions, both.emotions)
    assert face.unimodal["video"].sentiment == both.unimodal["video"].sentiment
    assert face.sentiment < both.sentiment
    assert sum(both.contributions.values()) == pytest.approx(both.sentiment)
    assert set(both.contributions) == {"video", "text"}


def test_english_and_chinese_words_meet(reader: Analyser, fresh: Fresh) -> None:
    english, chinese = (alone(reader, fresh(), text) for text in ("that is awful", PRAISE))
    both = alone(reader, fresh(), "that is awful", PRAISE)
    assert english.sentiment < both.sentiment < chinese.sentiment
    assert both.unimodal["text"].sentiment == pytest.approx(both.sentiment)
    np.testing.assert_array_equal(both.emotions, english.emotions)


def test_they_count_for_as_long_as_they_hold_and_are_forgotten(
    reader: Analyser, fresh: Fresh
) -> None:
    # hop      0  1  2  3  4  5
    # words    ==             they hold a second; windows of two hops
    stream = fresh()
    hops = [hop(i, texts=says(i, PRAISE) if i == 0 else ()) for i in range(6)]
    found = [reader.step([w])[0] for w in windows(stream, hops, 2)]
    assert ["text" in scores.unimodal for scores in found] == [True, True, False, False, False]
    assert reader._streams[stream].polar == []
    endless = [hop(i, texts=says(i, PRAISE, 3600.0) * 40) for i in range(4)]
    for window in windows(fresh(), endless, 2):
        reader.step([window])
        assert len(reader._streams[window.stream].polar) <= 64


def test_a_fork_keeps_them_and_leaves_no_trace(reader: Analyser, fresh: Fresh) -> None:
    stream, aside = fresh(), fresh()
    hops = [hop(i, texts=says(i, PRAISE, 9.0) if i == 0 else ()) for i in range(3)]
    hops[2] = hop(2, texts=says(2, BLAME, 9.0))
    first, second, third = windows(stream, hops, 1)
    reader.step([first])
    reader.fork(stream, aside)
    reader.step([second])
    assert len(reader._streams[aside].polar) == 1
    reader.step([third])
    assert [len(reader._streams[name].polar) for name in (stream, aside)] == [2, 1]
