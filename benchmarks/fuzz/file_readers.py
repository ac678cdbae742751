"""Readers of files: configuration, rules, journals and recordings."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import msgspec
import numpy as np

from actors.messages import Packets, StreamOpened
from actors.messages import encode as encode_cargo
from actors.recording import without_media
from actors.replaying import Replay
from attune import config, rules
from attune.record import about
from attune.replay import recorded_tree
from benchmarks.fuzz.reader import Reader, folder
from benchmarks.publish import RESULT
from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.events.engine import KIND_NAMES
from streaming.events.expressions import ExpressionError, Type, compile_expression
from streaming.events.quantities import known_names
from streaming.journal import Journal
from streaming.packets import (
    AudioChunk,
    FaceObservation,
    Modality,
    Packet,
    PacketBatch,
    TextMessage,
)
from streaming.settings import AttuneSettings, StreamSettings
from streaming.sinks.recording import OPENED, PACKETS, TICK, RecordingWriter
from streaming.source_settings import MediaSettings
from streaming.sources.recording import Entry, Recording
from streaming.wire import encode as encode_message

CONFIGS = Path(config.__file__).parent.parent / "configs"
SETTINGS = AttuneSettings(streams=(StreamSettings(name="s", sources=(MediaSettings(url="x"),)),))
KNOWN = known_names(KIND_NAMES)
FOUR_SECONDS = range(8)  # half seconds


def _file(name: str, data: bytes) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


def _configuration(data: bytes) -> None:
    """A YAML file, and its first line as what stands after --set."""
    tree = config.load(_file("settings.yaml", data))
    config.agree(tree)
    config.assign(tree, data.split(b"\n", 1)[0].decode(errors="replace"))
    config.settings(tree)


def _rules(data: bytes) -> None:
    """`attune rules check`, whose complaints are said, not raised."""
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        rules.check_rules(_file("rules.yaml", data))
    if any(not line.startswith("attune: ") for line in said.getvalue().splitlines()):
        raise AssertionError(f"a complaint is not one line: {said.getvalue()!r}")


def _expressions(data: bytes) -> None:
    """A condition, compiled and judged by values of all kinds."""
    text = data.decode(errors="replace")
    for across in (False, True):
        try:
            found = compile_expression(text, KNOWN, Type.TRUTH, across=across)
        except ExpressionError as error:
            if "\n" in str(error) or not 0 <= error.offset <= len(text):
                raise AssertionError(f"{error!r} at {error.offset} of {text!r}") from None
            continue
        for number in (None, 0.0, -1.0, 1e308, 5e-324):
            values = {
                name: number if kind is Type.NUMBER else number and number > 0
                for name, kind in KNOWN.items()
            }
            if found.across([values, values]) not in (None, True, False):
                raise AssertionError(f"{text!r} is neither true nor false nor unknown")


def _journal(data: bytes) -> None:
    """An SQLite file that somebody else wrote."""
    for old in folder().glob("journal*"):
        old.unlink()
    path = _file("journal", data)
    kept = Journal(str(path), span_ns=10**12, max_bytes=1000)
    try:
        kept.between(7, "cam", 1, 2**63 - 1, 1000)
        kept.left_open()
        for seq in (1, 2):
            kept.add(7, "cam", seq, (b"result/cam", b"{}"))
        kept.between(7, "cam", 1, 5, 1000)
        kept.news()
    finally:
        kept.close()


def _journal_seeds() -> Iterator[bytes]:
    path = folder() / "journal"
    kept = Journal(str(path), span_ns=10**12, max_bytes=10**6)
    for seq in range(1, 4):
        kept.add(7, "cam", seq, (b"result/cam", b"{}" * 20))
    kept.close()
    yield path.read_bytes()


def _recording(data: bytes) -> None:
    """An MCAP file, replayed as far as it goes."""
    recording = Recording(_file("session.mcap", data))
    _replayed(recording, config.settings(recorded_tree(recording), "the recording"))


def _replayed(recording: Recording, settings: AttuneSettings) -> None:
    for same in (True, False):
        for _ in Replay(recording, settings, None, same_windows=same).run():
            pass


def _recording_seeds() -> Iterator[bytes]:
    for keep in (False, True):
        path = folder() / f"seed-{keep}.mcap"
        path.unlink(missing_ok=True)
        writer = RecordingWriter(path, about(SETTINGS, "none", keep_media=keep))
        for topic, data, now_ns in _session(keep):
            writer.admit(topic, data, now_ns)
        writer.send(*encode_message(RESULT))
        writer.close()
        yield path.read_bytes()


def _session(keep: bool) -> Iterator[tuple[str, bytes, int]]:
    """What goes into the aligner in four seconds of one stream."""
    modalities = (Modality.VIDEO, Modality.AUDIO, Modality.TEXT)
    opened = StreamOpened(stream="s", modalities=modalities, origin_ns=0, paced=True)
    yield f"{OPENED}/s", encode_cargo(opened), 1
    payloads = (
        FaceObservation(frame_width_px=64, frame_height_px=36, faces=()),
        AudioChunk(samples=np.zeros((8, 1), np.float32), sample_rate_hz=16_000),
        TextMessage(text="here"),
    )
    for i in FOUR_SECONDS:
        for modality, payload in zip(modalities, payloads, strict=True):
            packet = Packet(
                stream="s", modality=modality, seq=i, t_ns=i * 500 * NS_PER_MS,
                duration_ns=500 * NS_PER_MS if modality is not Modality.AUDIO else 500_000,
                payload=payload,
            )  # fmt: skip
            end_ns = (i + 1) * 500 * NS_PER_MS
            batch = PacketBatch.of(
                "s", modality, [packet], progress_ns=end_ns, ended=i == FOUR_SECONDS[-1]
            )
            cargo = Packets(batch, i, opened)
            yield f"{PACKETS}/s", encode_cargo(cargo if keep else without_media(cargo)), end_ns
    yield TICK, b"", 5 * NS_PER_S


class _Entries:
    """A recording whose file could be read; what stands in it may be anything."""

    whole = True

    def __init__(self, entries: list[Entry]) -> None:
        self.about: dict[str, str] = {}
        self._entries = entries

    def entries(self) -> Iterator[Entry]:
        return iter(self._entries)


def _entries(data: bytes) -> None:
    """msgpack: topics, hand-overs as trees, and times."""
    try:
        found = msgspec.msgpack.decode(data, type=list[tuple[str, msgspec.Raw, int]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    entries = [Entry(topic, bytes(cargo), abs(now_ns) % 10**12) for topic, cargo, now_ns in found]
    _replayed(_Entries(entries[:40]), SETTINGS)  # type: ignore[arg-type]  # it reads as one


def _entry_seeds() -> Iterator[bytes]:
    for keep in (False, True):
        session = [
            (topic, msgspec.msgpack.decode(data) if data else {}, now_ns)
            for topic, data, now_ns in _session(keep)
        ]
        yield msgspec.msgpack.encode(session)
        yield msgspec.msgpack.encode(session[:4])


def _config_seeds() -> list[bytes]:
    return [path.read_bytes() for path in sorted(CONFIGS.glob("*.yaml"))]


KEYS = tuple({name for kind in (AttuneSettings, StreamSettings) for name in kind.__struct_fields__})
TAGS = ("&a ", "*a", "<<: ", "!!int ", "!!binary ", "!!timestamp ", "? ", "- ", "{", "}", "|", "%")
SIGNS = (*KNOWN, "and ", "or ", "not ", "count(", "any(", "mean(", "<=", "==", "**", "lambda ")
READERS = {
    reader.name: reader
    for reader in (
        Reader("configuration", _configuration, _config_seeds, words=(*KEYS, *TAGS)),
        Reader("rules", _rules, _config_seeds, words=(*TAGS, "events", "when", "until", *SIGNS)),
        Reader(
            "expressions",
            _expressions,
            lambda: [
                b"sentiment < -0.4 and (arousal > 0.3 or event.speech)",
                b"count(event.speech) >= 2 and mean(sentiment) < 0",
            ],
            words=SIGNS,
        ),
        Reader("journal", _journal, _journal_seeds, words=("SQLite format 3", "message", "epoch")),
        Reader("recording", _recording, _recording_seeds, words=("attune", "settings", "tick")),
        Reader("entries", _entries, _entry_seeds, "msgpack"),
    )
}
