"""What the fuzzer found (docs/fuzzing.md), so that it stays found: bytes that others wrote."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import numpy as np
import pytest

from actors.messages import Packets, StreamOpened, decode, encode
from actors.recorded import LEAP_NS, Checked
from attune import config, yaml_text
from attune.rules import check_rules
from streaming import clock_exchange, replay, wire
from streaming.control import decode_reply, decode_request
from streaming.errors import AttuneError, SinkError, SourceError, UsageError, WireError
from streaming.health import Health, HealthKind
from streaming.journal import Journal
from streaming.packets import AudioChunk, Modality, Packet, PacketBatch, TextMessage
from streaming.sources.recording import Entry, Recording
from streaming.sources.text_message import read_message

DEEP = b'{"a":' * 2000
S = 10**9
LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcd", "bcde", strict=True)
)  # fmt: skip


def test_nesting_deeper_than_the_stack_is_refused_by_every_reader_of_json() -> None:
    for read in (wire.parse_json_line, decode_request, decode_reply):
        with pytest.raises(WireError, match="recursion"):
            read(DEEP)
    with pytest.raises(WireError, match="recursion"):
        wire.decode(b"heartbeat", DEEP)
    assert "recursion" in str(read_message(DEEP))
    assert clock_exchange.decode_request(DEEP) is None
    asking = clock_exchange.Asking("there", 0)
    asking.ask(0)
    asking.hear(DEEP, 1)
    deep = b'{"x":' + b"[" * 4000
    (reply,) = replay.Ring(span_ns=S, max_bytes=1000).answer(deep)
    assert msgspec.json.decode(reply, type=replay.Reply).reason.count("recursion") == 1


def test_numbers_beyond_those_of_a_journal_are_refused(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal"), span_ns=S, max_bytes=1000)
    ring = replay.Ring(span_ns=S, max_bytes=1000, journal=journal)
    for field in ("epoch", "first", "last"):
        asked = {"type": "replay", "stream": "s", "epoch": 7, "first": 1, "last": 2} | {
            field: 2**63
        }
        (reply,) = ring.answer(msgspec.json.encode(asked))
        refusal = msgspec.json.decode(reply, type=replay.Refusal)
        assert f"$.{field}" in refusal.reason


def test_what_others_wrote_cannot_make_an_error_two_lines_or_command_a_terminal() -> None:
    with pytest.raises(WireError) as caught:
        decode_request(b'{"type": "\\n\\u001b[2J"}')
    assert str(caught.value).isprintable()
    assert str(AttuneError("a\nb\x1b")) == r"a b\x1b"
    (reply,) = replay.Ring(span_ns=S, max_bytes=1000).answer(b'{"type": "\\n"}')
    assert b"\\n" not in reply


def test_a_journal_that_is_another_programs_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE message (epoch, stream, seq, words)")
    with pytest.raises(SinkError, match=r"no such column.*give another output\.journal"):
        Journal(str(path), span_ns=S, max_bytes=1000)
    assert [p.name for p in tmp_path.glob("*damaged*")] == []


@pytest.mark.parametrize("column", ["epoch", "stream", "seq", "unix_ns", "topic", "payload"])
def test_a_journal_with_values_of_a_wrong_kind_is_set_aside(tmp_path: Path, column: str) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path), span_ns=S, max_bytes=1000)
    journal.add(7, "cam", 1, (b"result/cam", b"{}"))
    journal.close()
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE message SET {column} = x'00'")
        if column in ("topic", "payload"):
            database.execute(f"UPDATE message SET {column} = 5")
    database.close()
    with_what_is_wrong = Journal(str(path), span_ns=S, max_bytes=1000)
    assert with_what_is_wrong.between(7, "cam", 1, 2, 1000) == ([], False)
    assert with_what_is_wrong.left_open() == ()
    assert len(list(tmp_path.glob("journal.damaged-*"))) == 1


def test_a_journal_whose_schema_is_no_text_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(str(path), span_ns=S, max_bytes=1000).close()
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CRE\xacTE TABLE"))
    Journal(str(path), span_ns=S, max_bytes=1000).close()
    assert len(list(tmp_path.glob("journal.damaged-*"))) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 3000, "deeper than 30"),
        ("- " * 3000 + "x", "deeper than 30"),
        ("a: " + "9" * 5000, "4300 digits"),
        ("a: 2026-99-99", "month must be in 1..12"),
        ("a: !!bool x", "x"),
        ("a: !!int ''", "index out of range"),
        ("a: !!timestamp x", "groupdict"),
        ("? !!omap [a: [b]]\n", "'str' object|unhashable|cannot|unexpected|expected"),
        ("x" * 262_145, "at most 262144"),
        ("a: &a [*a, *a]", "more than 100000 values"),
        (LAUGHS, "more than 100000 values"),
    ],
)  # fmt: skip
def test_what_is_no_bounded_yaml_is_refused_in_one_line(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "attune.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        config.load(path)
    assert "\n" not in str(caught.value)


def test_aliases_are_taken_where_they_save_words() -> None:
    tree = yaml_text.parse("a: &a {kind: text, path: x.srt}\nb: [*a, *a]\n")
    assert tree["b"] == [tree["a"]] * 2


@pytest.mark.parametrize("text", ["streams: 5", "streams: {a: b}", "streams: x", "events: 5"])
def test_a_tree_of_another_shape_is_refused_after_consent(tmp_path: Path, text: str) -> None:
    path = tmp_path / "attune.yaml"
    path.write_text(text)
    tree = config.load(path)
    config.agree(tree)
    with pytest.raises(UsageError):
        config.settings(tree)
    with pytest.raises(UsageError):
        check_rules(path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("rules: x\n  rules:\n  - {name: a, when: nonsense}\n", ":4:21"),
        ("<<: {rules: [{name: a, when: nonsense}]}\n", ""),
    ],
)
def test_a_rule_is_found_where_keys_come_twice_or_are_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, place: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"events:\n  {text}")
    assert check_rules(path) == UsageError.exit_code
    assert f"{path}{place}: rule 'a'" in capsys.readouterr().err


# --- recordings


def opened(**changes: object) -> Entry:
    fields = {
        "stream": "s", "modalities": (Modality.AUDIO, Modality.TEXT), "origin_ns": 0, "paced": True,
    } | changes  # fmt: skip
    return Entry("opened/s", encode(StreamOpened(**fields)), 1)


def sound(samples: np.ndarray, t_ns: int = 0, **changes: object) -> Entry:
    payload = AudioChunk(samples=samples, sample_rate_hz=16_000)
    packet = Packet(
        stream="s", modality=Modality.AUDIO, seq=0, t_ns=t_ns, duration_ns=S, payload=payload
    )
    batch = PacketBatch.of("s", Modality.AUDIO, [packet], progress_ns=S)
    return Entry("packets/s", encode(Packets(msgspec.structs.replace(batch, **changes))), 2)


GOOD = np.zeros((8, 1), np.float32)


def test_hand_overs_that_the_aligner_can_take_pass() -> None:
    checked = Checked()
    checked.cargo(opened())
    assert checked.cargo(sound(GOOD)).batch.payloads[0].samples.shape == (8, 1)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (sound(GOOD, t_ns=2 * LEAP_NS), "leap ahead"),
        (sound(GOOD, progress_ns=2 * LEAP_NS), "leap ahead"),
        (sound(GOOD, t_ns=2**62), "times cannot be"),
        (sound(GOOD[:, 0]), "pictures, sound or words"),
        (sound(np.full((8, 1), np.inf, np.float32)), "pictures, sound or words"),
        (sound(GOOD, payloads=(TextMessage(text="x"),)), "pictures, sound or words"),
        (sound(GOOD, payloads=()), "one line of times"),
        (sound(GOOD, header=np.zeros((1, 5), np.float32)), "one line of times"),
        (sound(GOOD, modality=Modality.VIDEO), "nothing has been said"),
        (sound(GOOD, stream="t"), "nothing has been said"),
        (opened(modalities=()), "each modality once"),
        (opened(origin_ns=-1), "beginning cannot be"),
        (Entry("packets/s", DEEP, 2), "cannot be read"),
    ],
)
def test_hand_overs_that_would_break_the_aligner_are_refused(entry: Entry, words: str) -> None:
    checked = Checked()
    checked.cargo(opened())
    with pytest.raises(SourceError, match=words):
        checked.cargo(entry)


def test_recorded_time_that_leaps_is_refused() -> None:
    checked = Checked()
    assert checked.time(Entry("tick", b"", 5)) == 5
    with pytest.raises(SourceError, match="more than an hour"):
        checked.time(Entry("tick", b"", 6 + LEAP_NS))
    with pytest.raises(SourceError, match="cannot be"):
        checked.time(Entry("tick", b"", 2**62))


def test_an_array_of_another_type_is_none() -> None:
    data = encode(Packets(PacketBatch.of("s", Modality.TEXT, [])))
    with pytest.raises(msgspec.ValidationError, match="expected an array of one of"):
        decode(data.replace(b"<i8", b"|O8"))


@pytest.mark.parametrize("data", [b"", b"\0", b"\x89MCAP0\r\n", b"\x89MCAP0\r\n\x01\xff"])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "session.mcap"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"session\.mcap"):
        Recording(path)


def test_health_of_a_stream_named_by_others_survives() -> None:
    with pytest.raises(WireError, match="cannot stand in a topic"):
        wire.encode(Health(stream="a\nb", kind=HealthKind.GAP, t_ns=0))


def test_half_a_character_in_yaml_is_refused() -> None:
    for text in ('{"a\\ud800": 1}', 'a: "\\udfff"', 'a: [1, {b: "\\ud83d"}]'):
        with pytest.raises(yaml_text.YamlTextError, match="half a character"):
            yaml_text.parse(text)
    assert yaml_text.parse('a: "\\U0001F600"') == {"a": "\U0001f600"}
