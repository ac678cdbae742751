"""One conformance suite, run against every source that needs no device."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
from media_factory import Captions, write_clip

from streaming.packets import AudioChunk, Modality, Packet, Progress, VideoFrame
from streaming.settings import VisionSettings
from streaming.source_settings import MediaSettings, SyntheticSettings, TextSettings
from streaming.sources.base import Source, due_ns
from streaming.sources.open import open_source

KINDS = (
    "media",
    "media-video",
    "media-audio",
    "captions",
    "srt",
    "jsonl",
    "card",
    "portrait",
    "sync",
)
Opener = Callable[[], Source]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=3)


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory):
    track = Captions([(400, 900, "one"), (1200, 2000, "two")])
    folder = tmp_path_factory.mktemp("captioned")
    return write_clip(folder / "clip.mkv", seconds=3, captions=[track])


@pytest.fixture(params=KINDS)
def opener(request: pytest.FixtureRequest, tmp_path, clip, captioned) -> Opener:
    """Opens the same source anew each time."""
    kind = request.param
    (tmp_path / "a.srt").write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nA: one\n\n2\n00:00:03,000 --> 00:00:09,000\ntwo\n"
    )
    (tmp_path / "a.jsonl").write_text('{"t": 1, "text": "one"}\n{"t": 0.5, "text": "two"}\nbad\n')
    if kind == "portrait" and not all(
        importlib.util.find_spec(m) for m in ("skimage", "espeakng_loader")
    ):
        pytest.skip("needs the packages of attune[demo]: scikit-image and espeakng-loader")
    settings = {
        "media": MediaSettings(url=str(clip)),
        "media-video": MediaSettings(url=str(clip), audio=False),
        "media-audio": MediaSettings(url=str(clip), video=False),
        "captions": MediaSettings(url=str(captioned)),
        "srt": TextSettings(path=str(tmp_path / "a.srt")),
        "jsonl": TextSettings(path=str(tmp_path / "a.jsonl")),
        "card": SyntheticSettings(duration_s=4),
        "portrait": SyntheticSettings(scene="portrait", duration_s=4),
        "sync": SyntheticSettings(scene="sync", duration_s=4),
    }[kind]
    return lambda: open_source(
        settings, stream="studio", vision=VisionSettings(), hop_ns=500_000_000
    )


def test_it_says_what_it_delivers(opener: Opener):
    source = opener()
    items = list(source.items())
    assert {i.modality for i in items if isinstance(i, Packet)} == set(source.modalities)
    assert len(set(source.modalities)) == len(source.modalities)
    assert {i.stream for i in items} == {"studio"}
    assert source.live is False
    assert source.ordered is True


def test_seq_counts_from_zero(opener: Opener):
    source = opener()
    packets = [i for i in source.items() if isinstance(i, Packet)]
    for modality in source.modalities:
        seqs = [p.seq for p in packets if p.modality is modality]
        assert seqs == list(range(len(seqs)))
        assert seqs


def test_items_come_when_they_are_due(opener: Opener):
    dues = [due_ns(i) for i in opener().items()]
    assert dues == sorted(dues)


def test_times_are_sound(opener: Opener):
    last: dict[Modality, int] = {}
    for item in opener().items():
        assert isinstance(item.t_ns, int)
        assert 0 <= item.t_ns < 3600 * 10**9
        if isinstance(item, Packet):
            assert item.duration_ns >= 0
            assert item.uncertainty_ns >= 0
            assert item.t_ns >= last.get(item.modality, 0)
            last[item.modality] = item.t_ns


def test_each_modality_ends_once_and_last(opener: Opener):
    source = opener()
    ended: dict[Modality, int] = {}
    latest: dict[Modality, int] = {}
    for item in source.items():
        assert item.modality not in ended
        if isinstance(item, Progress) and item.ended:
            ended[item.modality] = item.t_ns
        elif isinstance(item, Packet):
            latest[item.modality] = item.t_ns
    assert set(ended) == set(source.modalities)
    assert all(ended[m] >= t_ns for m, t_ns in latest.items())


def test_payloads_have_their_shapes(opener: Opener):
    for item in opener().items():
        match item:
            case Packet(payload=VideoFrame(pixels=pixels)):
                assert pixels.dtype == np.uint8
                assert pixels.ndim == 3
                assert pixels.shape[2] == 3
                assert not pixels.flags.writeable
            case Packet(payload=AudioChunk(samples=samples, sample_rate_hz=rate)):
                assert (samples.dtype, samples.ndim, rate) == (np.float32, 2, 16_000)
                assert np.abs(samples).max() <= 1
                assert item.t_ns // 500_000_000 == (item.end_ns - 1) // 500_000_000


def test_closing_twice_is_allowed(opener: Opener):
    source = opener()
    source.close()
    source.close()
    assert list(source.items()) == []


def test_closing_in_the_middle_ends_the_iteration(opener: Opener):
    source = opener()
    items = source.items()
    next(items)
    source.close()
    assert list(items) == []
    source.close()


def test_two_openings_give_the_same(opener: Opener):
    first, second = list(opener().items()), list(opener().items())
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert type(a) is type(b)
        assert (a.modality, a.t_ns) == (b.modality, b.t_ns)
        if isinstance(a, Packet):
            assert (a.seq, a.duration_ns, a.uncertainty_ns) == (
                b.seq,
                b.duration_ns,
                b.uncertainty_ns,
            )
            assert content(a) == content(b)


def content(packet: Packet) -> object:
    match packet.payload:
        case VideoFrame(pixels=pixels):
            return pixels.tobytes()
        case AudioChunk(samples=samples):
            return samples.tobytes()
    return packet.payload
