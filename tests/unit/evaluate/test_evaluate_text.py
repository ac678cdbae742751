"""Text files: formats by content, labels, context, and faults named by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_files import TextByWord, run

from models.errors import ChoiceError, DataError
from models.evaluate import text, text_formats
from models.evaluate.sheet import Asked
from models.labels import GOEMOTIONS_GROUPS, GOEMOTIONS_TO_EMOTION
from models.types import EMOTIONS

CONTENT = {
    "goemotions": "a happiness post\t17\ta\nso neutral\t27\tb\nhappiness and anger\t2,17\tc\n",
    "sst2": "good +\t1\nbad -\t0\n",
    "chnsenticorp": "好 +\tpositive\n坏 -\tnegative\n",
    "custrev": "1 good +\n0 bad -\n",
    "sst5": "4 very good +\n0 bad -\n2 so so\n",
    "meld": (
        "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n"
        '1,"Oh, happiness +",Joey,joy,positive,0,0\n2,neutral,Ross,neutral,neutral,0,1\n'
        "3,anger -,Joey,anger,negative,1,0\n"
    ),
}


def write(folder: Path, form: str, name: str = "some_file", content: str | None = None) -> Path:
    path = folder / name
    path.write_text(CONTENT[form] if content is None else content, encoding="utf-8")
    return path


@pytest.mark.parametrize("form", CONTENT)
def test_the_format_is_seen_from_the_content(tmp_path: Path, form: str) -> None:
    assert text_formats.recognise(write(tmp_path, form), None) == form


@pytest.mark.parametrize("form", CONTENT)
def test_right_answers_are_measured_as_right(tmp_path: Path, form: str) -> None:
    report = run("text", write(tmp_path, form, "x_test.tsv"), TextByWord())
    assert report.split == "test"
    assert report.metrics["accuracy"] == 1.0
    assert report.n == CONTENT[form].count("\n") - (form == "meld")
    assert report.undefined == {}


def test_goemotions_groups_are_complete_and_the_label_order_is_the_corpus_own(data: Path) -> None:
    assert sum(map(len, GOEMOTIONS_GROUPS.values())) == 28
    assert set(GOEMOTIONS_GROUPS) == set(EMOTIONS)
    stored = (data / "text" / "goemotions_labels.txt").read_text().split()
    assert tuple(stored) == text_formats.GOEMOTIONS_LABELS
    groups = [e for names in text.SENTIMENT_GROUPS.values() for e in names]
    assert sorted(groups) == sorted(EMOTIONS)
    assert set(GOEMOTIONS_TO_EMOTION) == set(stored)


def test_several_labels_are_measured_by_group(tmp_path: Path) -> None:
    report = run("text", write(tmp_path, "goemotions"), TextByWord())
    # Row 3 has happiness and anger, but only happiness is named: anger has no recall.
    assert report.metrics["multilabel_macro_f1"] == pytest.approx((1 + 1 + 0) / 3)
    assert "the 2 rows of one group" in report.notes[0]


def test_a_turn_sees_earlier_turns_of_its_dialogue_only(tmp_path: Path) -> None:
    lines = CONTENT["meld"].splitlines()
    shuffled = "\n".join([lines[0], lines[2], lines[3], lines[1]]) + "\n"
    model = TextByWord()
    run("text", write(tmp_path, "meld", content=shuffled), model)
    seen = {
        text: [texts[k] for k in context[i]]
        for texts, context in model.asked
        for i, text in enumerate(texts)
        if context is not None
    }
    assert seen == {"neutral": ["Oh, happiness +"], "anger -": [], "Oh, happiness +": []}


def test_dialogues_are_not_cut_between_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "BATCH", 4)
    head = CONTENT["meld"].splitlines()[0]
    rows = [f"{i},anger or neutral,A,{'anger' if i % 2 else 'neutral'},neutral,{i // 3},{i % 3}"
            for i in range(30)]  # fmt: skip
    model = TextByWord()
    report = run("text", write(tmp_path, "meld", content="\n".join([head, *rows])), model)
    contexts = [c for _, context in model.asked for c in context or []]
    assert len(model.asked) > 3
    assert sorted(map(len, contexts)) == [0] * 10 + [1] * 10 + [2] * 10
    assert report.resampled["by"] == "dialogue"


BAD = {
    "goemotions": ("fine\t3\tx\n" * 20 + "text\t99\tid\n", "line 21.*0 to 27"),
    "sst2": ("fine\t1\n" * 20 + "bad\t7\n", "line 21.*0 or 1"),
    "chnsenticorp": ("fine\tpositive\n" * 20 + "bad\tmixed\n", "line 21.*negative or positive"),
    "custrev": ("1 fine\n" * 20 + "no label here\n", "line 21.*0 to 1"),
    "sst5": ("4 fine\n" * 20 + "9 nine\n", "line 21.*0 to 4"),
    "meld": (CONTENT["meld"] + "4,hello,Joey,bored,neutral,1,1\n", "line 5.*bored"),
}


@pytest.mark.parametrize("form", BAD)
def test_an_unknown_label_is_named_with_its_line(tmp_path: Path, form: str) -> None:
    content, said = BAD[form]
    path = write(tmp_path, form, content=content)
    with pytest.raises(DataError, match=said) as caught:
        run("text", path, TextByWord())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty file"),
        ("\n\n", "empty file"),
        ("just words\nwithout labels\n", "no known text format"),
        ("good\t1\nfine\t1\n", "two classes or more"),
        ("Utterance,Emotion\nhello,joy\n", "Sentiment, Dialogue_ID, Utterance_ID missing"),
        (CONTENT["meld"] + '4,"cut sho', "line"),
        ("a\0b\t1\n", "binary"),
    ],
)
def test_a_file_that_cannot_be_measured_says_why(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        run("text", write(tmp_path, "sst2", content=content), TextByWord())


def test_a_text_of_100_000_characters_is_a_row_like_any_other(tmp_path: Path) -> None:
    content = CONTENT["sst2"] + "+ long " * 15_000 + "\t1\n"
    report = run("text", write(tmp_path, "sst2", content=content), TextByWord())
    assert (report.n, report.metrics["accuracy"]) == (3, 1.0)


def test_the_format_can_be_forced_and_a_wrong_name_lists_them(tmp_path: Path) -> None:
    path = write(tmp_path, "custrev")
    assert run("text", path, TextByWord(), form="sst5").format == "sst5"
    with pytest.raises(ChoiceError, match="goemotions, meld, sst2"):
        run("text", path, TextByWord(), form="csv")


def test_a_folder_gives_its_test_and_valid_files(tmp_path: Path) -> None:
    for name in ("a_train.tsv", "a_dev.tsv", "b_test.tsv", "README.md"):
        write(tmp_path, "sst2", name)
    found = text.files(tmp_path, Asked())
    assert [f.name for f in found] == ["a_dev.tsv", "b_test.tsv"]
    assert [f.name for f in text.files(tmp_path, Asked(split="train"))] == ["a_train.tsv"]


def test_the_training_file_is_marked(tmp_path: Path) -> None:
    assert run("text", write(tmp_path, "sst2", "a_train.tsv"), TextByWord()).trained_on
    assert not run("text", write(tmp_path, "sst2", "a_dev.tsv"), TextByWord()).trained_on


def test_a_header_and_latin_1_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"sentence\tlabel\ncaf\xe9 +\t1\nbad -\t0\n")
    assert run("text", path, TextByWord(), form="sst2").n == 2
