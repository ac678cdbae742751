"""Configuration: later layers win, unknown keys are refused with the nearest known one named."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from attune import config
from attune.forward import from_arguments
from attune.run import from_options
from streaming.errors import UsageError
from streaming.forward_settings import ForwardSettings
from streaming.settings import AttuneSettings, StreamSettings
from streaming.source_settings import MediaSettings, MicrophoneSettings, TextSettings

ROOT = Path(__file__).parents[2]
MEDIA = {"kind": "media", "url": "clip.mp4"}
NO_OPTIONS = {
    "config": None,
    "media": None,
    "text": None,
    "stream": None,
    "publish": None,
    "output": None,
    "fast": False,
    "inline": False,
    "assignments": [],
}


FORWARD = ROOT / "configs" / "forward.yaml"
RUNS = sorted(set((ROOT / "configs").glob("*.yaml")) - {FORWARD})


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.name)
def test_every_shipped_configuration_is_valid(path: Path) -> None:
    assert config.settings(config.load(path)).streams


def test_the_shipped_configuration_of_a_forwarder_is_valid() -> None:
    settings = from_arguments([str(FORWARD)], publish=None, keys=None, assignments=[])
    assert [one.label for one in settings.upstreams] == ["tcp://127.0.0.1:7100", "porch"]


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"windws": {}}, "'windws'; did you mean 'windows'?"),
        ({"windows": {"hop": 1}}, "'windows.hop'; did you mean 'hop_ms'?"),
        ({"streams": [{"sources": [{**MEDIA, "ulr": "x"}]}]}, "did you mean 'url'?"),
        (
            {"output": {"zzz": 1}},
            "known here: audit, file, heartbeat_ms, journal, keys, publish, replay_mb, replay_s, "
            "retain_folder, retain_h",
        ),
        ({"windows": {"hop_ms": "fast"}}, "windows.hop_ms: expected a number, got the text 'fast'"),
        ({"windows": {"hop_ms": "1e-3"}}, "got the text '1e-3'; write it without quotes"),
        ({"windows": {"hop_ms": 1}}, "windows.hop_ms: expected a number >= 100.0, got 1"),
        ({"windows": None}, "windows: expected keys and values, got nothing; give it a value"),
        ({"pipeline": {"standby": "yes"}}, "expected true or false, got 'yes'"),
        ({"model": {"text": {"labels": {"a": 5}}}}, "a text or nothing, got a whole number"),
        ({"streams": [{"sources": [{"kind": "media"}]}]}, "sources[0]: expected the key 'url'"),
        ({"windows": {5: 1}}, "`key` in `windows`"),
        ({"streams": [{"name": "a b", "sources": [MEDIA]}]}, "streams[0].name"),
        ({"streams": [{"sources": []}]}, "streams[0].sources"),
        (
            {"pipeline": {"pace": "slow"}},
            "pipeline.pace: expected one of fast, realtime; got 'slow'",
        ),
        ({"streams": [{"sources": [{"kind": "film"}]}]}, "camera, media, microphone, synthetic"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(tree: dict, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        config.settings(tree)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n- b\n", "expected keys and values at the top, got a list"),
        ("a: [1\n", "is not YAML: line 2, column 1: expected"),
        ("a: !!python/object/apply:os.system [true]\n", "is not YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        config.load(path)


def test_what_is_no_text_is_refused_without_a_codecs_words(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\x8a\xff")
    with pytest.raises(UsageError, match="expected YAML in UTF-8, got other bytes"):
        config.load(path)
    with pytest.raises(UsageError, match="expected a YAML file, got: Is a directory"):
        config.load(tmp_path)


def test_a_refused_value_is_cut_and_a_word_for_a_number_gets_no_advice_on_numbers() -> None:
    with pytest.raises(UsageError, match="expected a number") as refused:
        config.settings({"windows": {"hop_ms": "x" * 1000}})
    assert 60 < len(str(refused.value)) < 160
    assert "0.001" not in str(refused.value)


def test_a_refused_value_is_shown_without_its_secrets() -> None:
    source = {"kind": "text", "path": "ws+listen://[::1]:1", "origins": ["http://me:secret@h/"]}
    with pytest.raises(UsageError, match="origins") as refused:
        config.settings({"streams": [{"sources": [source]}]})
    assert "secret" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothere\.yaml not found"):
        config.load(tmp_path / "nothere.yaml")


def test_options_win_over_the_file_and_set_wins_over_options(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("windows: {hop_ms: 250, length_ms: 1000}\noutput: {file: a.jsonl}\n")
    settings, asked = from_options(
        **{
            **NO_OPTIONS,
            "config": path,
            "media": "clip.mp4",
            "text": "clip.srt",
            "stream": "cam",
            "output": "b.jsonl",
            "fast": True,
            "assignments": ["windows.hop_ms=500", "streams.0.sources.1.speaker=Ann"],
        }
    )
    media, text = settings.streams[0].sources
    assert (settings.windows.hop_ms, settings.windows.length_ms) == (500, 1000)
    assert Path(settings.output.file).name == "b.jsonl"
    assert Path(settings.output.file).is_absolute()
    assert settings.pipeline.pace == "fast"
    assert settings.streams[0].name == "cam"
    assert isinstance(media, MediaSettings) and Path(media.url).is_absolute()
    assert isinstance(text, TextSettings) and text.speaker == "Ann"
    assert not asked


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing to analyse"),
        ({"media": "x", "assignments": ["hop"]}, "expected key=value"),
        ({"media": "x", "assignments": ["windows.hop_ms.x=1"]}, "a number, got keys and values"),
        ({"media": "x", "assignments": ["a=1", "a.b=1"]}, "'a' has no keys below it"),
        ({"media": "x", "assignments": ["streams.7.name=a"]}, "expected an index below 1"),
        ({"media": "x", "assignments": ["windows.hop_ms=300"]}, "must be a multiple"),
        ({"media": "x", "output": "-"}, "--inline only"),
        ({"stream": "cam"}, "no such stream"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        from_options(**{**NO_OPTIONS, **options})


def test_words_are_taken_from_files_that_grow_and_from_addresses(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    sources = [
        {"kind": "text", "path": "tail:chat.txt"},
        {"kind": "text", "path": "zmq+sub://127.0.0.1:7200/chat", "keys": "keys/bot"},
        {"kind": "text", "path": "-"},
    ]
    (stream,) = config.settings({"streams": [{"sources": sources}]}).streams
    tail, address, typed = stream.sources
    assert (tail.path, tail.follow) == (str(tmp_path / "chat.txt"), True)
    assert (address.path, address.follow) == ("zmq+sub://127.0.0.1:7200/chat", False)
    assert address.keys == str(tmp_path / "keys" / "bot")
    assert (typed.path, typed.follow, typed.keys) == ("-", False, "")


@pytest.mark.parametrize(
    ("others", "stated", "awaited"),
    [
        ((), None, True),
        ((TextSettings(path="-"),), None, True),
        ((MicrophoneSettings(),), None, False),
        ((MicrophoneSettings(),), True, True),
        ((), False, False),
    ],
)
def test_late_tracks_are_awaited_where_nothing_else_may_give_them(
    others: tuple, stated: bool | None, awaited: bool
) -> None:
    camera = MediaSettings(url="udp://127.0.0.1:5000", late_tracks=stated)
    settled = StreamSettings(sources=(camera, *others)).settled_sources
    assert [s.late_tracks for s in settled if isinstance(s, MediaSettings)] == [awaited]
    assert settled[1:] == others


def numbers(kind: msgspec.inspect.Type, path: str) -> Iterator[tuple[str, msgspec.inspect.Type]]:
    """Every number among the settings, by its path."""
    match kind:
        case msgspec.inspect.StructType(fields=fields, cls=cls):
            for field in fields:
                yield from numbers(field.type, f"{path or cls.__name__}.{field.encode_name}")
        case msgspec.inspect.UnionType(types=types):
            for member in types:
                yield from numbers(member, path)
        case msgspec.inspect.VarTupleType(item_type=item):
            yield from numbers(item, f"{path}[]")
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            yield path, kind


@pytest.mark.parametrize("top", [AttuneSettings, ForwardSettings])
def test_every_number_has_a_least_and_a_greatest_value(top: type) -> None:
    times = ("for_s", "hang_s", "confirm", "lost_after_s", "cooldown_s")
    by_rules = {f"AttuneSettings.events.rules[].{name}" for name in times}
    found = list(numbers(msgspec.inspect.type_info(top), ""))
    assert len(found) >= 7
    for path, kind in found:
        if path in by_rules or path.endswith(".device"):
            continue  # at most rules.GREATEST, by line and column; one of the list of devices
        bounds = [(kind.ge, kind.gt), (kind.le, kind.lt)]
        assert all(any(b is not None and math.isfinite(b) for b in pair) for pair in bounds), path


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("windows.length_ms=60001", "windows.length_ms: expected a number <= 60000.0, got 60001"),
        ("windows.deadline_ms=.inf", "windows.deadline_ms: expected a number <= 60000.0, got inf"),
        ("windows.lateness_ms=.nan", "windows.lateness_ms: expected a number >= 0.0, got nan"),
        ("pipeline.carry_kb=65537", "pipeline.carry_kb: expected a number <= 65536.0, got 65537"),
        ("output.replay_mb=65537", "output.replay_mb: expected a number <= 65536.0, got 65537"),
        (
            "events.silence_min_ms=.inf",
            "events.silence_min_ms: expected a number <= 1000000000.0, got inf",
        ),
        (
            "events.face_confirm=1000001",
            "events.face_confirm: expected a whole number <= 1000000, got 1000001",
        ),
    ],
)
def test_a_number_without_measure_is_refused_by_name(assignment: str, words: str) -> None:
    tree: dict = {}
    config.assign(tree, assignment)
    with pytest.raises(UsageError, match=re.escape(words)):
        config.settings(tree)


@pytest.mark.parametrize(
    "key",
    [
        "output.file",
        "output.journal",
        "output.keys",
        "output.retain_folder",
        "output.audit",
        "control.keys",
        "model.path",
    ],
)
def test_every_path_of_a_run_is_the_same_in_other_processes(key: str) -> None:
    section, name = key.split(".")

    def found(value: str) -> str:
        made = config.settings({"streams": [], section: {name: value}})
        return getattr(getattr(made, section), name)

    assert found("here/that") == str(Path("here/that").absolute())
    assert found("/here/that") == "/here/that"
    assert found("") == ""
