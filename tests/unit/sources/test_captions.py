"""Captions in a container are words on its own clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
from media_factory import Captions, write_clip
from source_items import MS, Taken, open_media, take, take_media

from actors.ingest import open_sources
from streaming.errors import AttuneError, SourceError
from streaming.packets import Modality
from streaming.results import HealthKind
from streaming.settings import AttuneSettings, SpeechSettings, StreamSettings
from streaming.source_settings import MediaSettings, TextSettings
from streaming.sources.media_time import Stitcher

CUES = [(500, 1500, "Eve: I am {\\i1}so{\\i0} happy\\Ntoday"), (1800, 2600, "and you?")]


def said(taken: Taken) -> list[tuple[int, int, str, str]]:
    return [
        (p.t_ns // MS, p.duration_ns // MS, p.payload.speaker, p.payload.text) for p in taken.text
    ]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mkv", "subrip"),
        ("a.mkv", "webvtt"),
        ("a.mkv", "ass"),
        ("a.mp4", "mov_text"),
        ("a.mov", "mov_text"),
    ],
)
def test_each_caption_is_words_at_its_time(tmp_path: Path, name, codec):
    # pictures, sound |0 ------------------------------ 3.0|
    # captions              |0.5 ---- 1.5|  |1.8 - 2.6|
    track = Captions(CUES, codec=codec, language="ger")
    source = open_media(write_clip(tmp_path / name, seconds=3, captions=[track]))
    assert source.modalities == (Modality.VIDEO, Modality.AUDIO, Modality.TEXT)
    taken = take(source)
    assert said(taken) == [(500, 1000, "Eve", "I am so happy today"), (1800, 800, "", "and you?")]
    assert [p.payload.language for p in taken.text] == ["ger", "ger"]
    assert taken.in_order
    assert taken.ends[Modality.TEXT] >= 2900 * MS
    assert not taken.health()


def test_captions_count_from_the_same_zero_as_pictures_and_sound(tmp_path: Path):
    # container  |.....1.0 first picture ... 1.5 words ... 2.0|
    # stream     |      0                    0.5           1.0|
    path = write_clip(
        tmp_path / "late.mkv",
        video_ms=range(1000, 2000, 40),
        audio_ms=[(1000, 2000)],
        captions=[Captions([(1500, 1900, "late")])],
    )
    taken = take_media(path)
    assert said(taken) == [(500, 400, "", "late")]
    flash = min(p.t_ns for p in taken.video)
    assert flash == 0


def test_long_silence_between_captions_holds_nothing_back(tmp_path: Path):
    # captions        |0.1 one|                                   |7.0 two|
    # handed out by then: every picture and sound up to here      ^
    cues = [(100, 300, "one"), (7000, 7500, "two")]
    path = write_clip(tmp_path / "a.mkv", seconds=8, fps=10, captions=[Captions(cues)])
    taken = take_media(path)
    at = next(n for n, item in enumerate(taken.items) if item is taken.text[1])
    before = Taken(taken.items[:at])
    assert before.video[-1].t_ns >= 6700 * MS
    assert taken.in_order


def test_who_speaks_in_an_ssa_script(tmp_path: Path):
    track = Captions([(0, 900, "hello")], codec="ass", speaker="Eve")
    assert said(take_media(write_clip(tmp_path / "a.mkv", captions=[track]))) == [
        (0, 900, "Eve", "hello")
    ]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (None, "ja"),  # the first that is not for foreign parts only
        (True, "ja"),
        (False, None),
        (0, "forced"),
        (2, "yes"),
        ("ENG", "yes"),
    ],
)
def test_captions_are_chosen(tmp_path: Path, wanted, words):
    path = write_clip(tmp_path / "a.mkv", captions=three_tracks())
    taken = take_media(path, captions=wanted)
    assert [p.payload.text for p in taken.text] == ([words] if words else [])


@pytest.mark.parametrize("wanted", [3, "fre"])
def test_captions_that_are_not_there_are_a_clear_error(tmp_path: Path, wanted):
    path = write_clip(tmp_path / "a.mkv", captions=three_tracks())
    with pytest.raises(SourceError, match="found 0: ger, 1: ger, 2: eng") as told:
        open_media(path, captions=wanted)
    assert f"expected captions {wanted!r}" in str(told.value)
    plain = write_clip(tmp_path / "plain.mkv")
    with pytest.raises(SourceError, match="found no track of text"):
        open_media(plain, captions=True)
    assert open_media(plain).modalities == (Modality.VIDEO, Modality.AUDIO)


def test_a_caption_that_cannot_be_read_costs_itself(tmp_path: Path):
    # one   | far too long | (no time) | three
    cues = [(0, 400, "one"), (400, 900, "x" * 10_001), (1000, 1200, "three")]
    path = write_clip(tmp_path / "a.mkv", captions=[Captions(cues)])
    source = open_media(path)
    timeless = av.Packet(b"when?")
    timeless.stream = source._captions.track
    source._captions.feed(timeless)
    taken = take(source)
    assert [len(p.payload.text) for p in taken.text] == [3, 10_000, 5]
    assert [p.seq for p in taken.text] == [0, 1, 2]
    told = taken.health(HealthKind.CORRUPT)
    assert sum(h.count for h in told) == 2
    assert {h.detail for h in told} == {
        "a caption has no time",
        "a caption has 10001 characters; cut to 10000",
    }


def test_captions_leap_with_the_newest_clock():
    line = Stitcher(zero_ns=0)
    assert line.follow(5) == 5
    line.place("video", 0, MS)
    _, _, leapt_ns = line.place("video", 100_000 * MS, MS)
    assert line.follow(100_000 * MS + 5) == 100_000 * MS + 5 - leapt_ns


@pytest.mark.parametrize(
    ("beside", "captions", "modalities"),
    [
        ({}, None, 3),
        ({"sources": (TextSettings(path="words.jsonl"),)}, None, 3),
        ({"speech_to_text": SpeechSettings(engine="pocketsphinx")}, None, 2),
        ({"sources": (TextSettings(path="words.jsonl"),)}, True, "text comes from two sources"),
    ],
)
def test_other_words_go_before_captions_that_were_not_asked_for(
    tmp_path: Path, monkeypatch, beside: dict[str, Any], captions, modalities
):
    monkeypatch.chdir(tmp_path)
    Path("words.jsonl").write_text('{"t": 1, "text": "hello"}\n')
    path = write_clip(tmp_path / "a.mkv", captions=[Captions(CUES)])
    media = MediaSettings(url=str(path), captions=captions)
    stream = StreamSettings(
        sources=(media, *beside.get("sources", ())), speech_to_text=beside.get("speech_to_text")
    )
    if isinstance(modalities, str):
        with pytest.raises(AttuneError, match=modalities):
            open_sources(stream, AttuneSettings())
        return
    sources = open_sources(stream, AttuneSettings())
    assert sum(len(source.modalities) for source in sources) == modalities
    assert len(sources[0].modalities) == (2 if beside else 3)
    for source in sources:
        source.close()


def three_tracks() -> list[Captions]:
    return [
        Captions([(0, 500, "forced")], language="ger", forced=True),
        Captions([(0, 500, "ja")], language="ger"),
        Captions([(0, 500, "yes")], language="eng"),
    ]
