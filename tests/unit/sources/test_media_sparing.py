"""Files while the machine is short: key pictures only, and all again from the next one on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from media_factory import grey, write_clip
from source_items import MS, Taken, open_media

from streaming.packets import Modality, Packet, Progress
from streaming.results import HealthKind
from streaming.sources.base import Sparing

PICTURE_MS = 40


def taken_sparing(path: Path, *spans_ms: tuple[int, int], rate_hz: float = 25.0) -> Taken:
    """All items; from the first picture in each span to the first after it the source spares."""
    source, taken = open_media(path, rate_hz=rate_hz), Taken()
    assert isinstance(source, Sparing)
    for item in source.items():
        taken.items.append(item)
        if isinstance(item, Packet) and item.modality is Modality.VIDEO:
            source.spare(any(a * MS <= item.t_ns < b * MS for a, b in spans_ms))
    return taken


@pytest.mark.parametrize("name", ["c.mp4", "c.mkv", "c.ts"])
def test_key_pictures_only_and_all_again_from_the_next_one_on(tmp_path: Path, name: str) -> None:
    clip = write_clip(
        tmp_path / name, codec="libx264", seconds=6, audio=False, keys_every=10
    )  # with B-frames
    taken = taken_sparing(clip, (1000, 3000))

    # spares                    1.0 ............... 3.0
    # key pictures     |    |    |    |    |    |    |    |    |    |   every 0.4 s
    # given            all         |  |    |    |    |    |all     what was in hand, too
    starts = taken.starts_ms(Modality.VIDEO)
    in_hand = [t for t in starts if 1000 < t < 1200]
    assert len(in_hand) <= 4
    assert starts == [
        *range(0, 1001 + PICTURE_MS * len(in_hand), PICTURE_MS),
        *(1200, 1600, 2000, 2400, 2800, 3200),
        *range(3600, 6000, PICTURE_MS),
    ]
    for packet in taken.video:
        shown = round(packet.t_ns / MS / PICTURE_MS)
        assert float(packet.payload.pixels.mean()) == pytest.approx(grey(shown), abs=6)
    overload = taken.health(HealthKind.OVERLOAD)
    assert sum(h.count for h in overload) + len(starts) == 150
    assert {h.detail for h in overload} == {"reading is behind: pictures not decoded"}
    assert not taken.health(HealthKind.CORRUPT)
    assert taken.in_order
    assert [p.seq for p in taken.video] == list(range(len(starts)))


def test_sound_and_its_times_are_as_ever(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", codec="libx264", seconds=6)
    whole, spared = taken_sparing(clip, rate_hz=4), taken_sparing(clip, (1000, 4000), rate_hz=4)
    assert (spared.samples == whole.samples).all()
    assert spared.starts_ms(Modality.AUDIO) == whole.starts_ms(Modality.AUDIO)
    assert spared.ends == whole.ends
    assert len(spared.video) < len(whole.video)
    assert spared.in_order


def test_sound_does_not_wait_for_a_key_picture_that_never_comes(tmp_path: Path) -> None:
    # key picture at 0 only; sparing from 1 s on: no more pictures, all sound, told of at the end
    clip = write_clip(tmp_path / "c.mp4", codec="libx264", seconds=8, keys_every=1000)
    source, taken, waited_ms = open_media(clip, rate_hz=4), Taken(), []
    for item in source.items():
        taken.items.append(item)
        if isinstance(item, Packet) and item.modality is Modality.VIDEO:
            source.spare(item.t_ns >= 1000 * MS)
        elif isinstance(item, Packet):
            read_ns = max(track.decoded_ns for track in source._tracks)
            waited_ms.append((read_ns - item.end_ns) / MS)
    assert len(taken.samples) / 16_000 == pytest.approx(8.0, abs=0.05)
    assert max(taken.starts_ms(Modality.VIDEO)) < 4000
    assert sum(h.count for h in taken.health(HealthKind.OVERLOAD)) > 80
    assert taken.in_order
    assert max(waited_ms) < 2500


def test_a_track_that_ends_while_it_is_spared_is_over_then(tmp_path: Path) -> None:
    # pictures 0 .. 2 s, spared from 0.5 s on | sound 0 ................. 8 s
    # over                     2 s
    clip = write_clip(
        tmp_path / "c.mp4",
        codec="libx264",
        frames=50,
        audio_ms=[(0, 8000)],
        keys_every=1000,
    )
    items = taken_sparing(clip, (500, 100_000), rate_hz=4).items
    over = next(i for i, x in enumerate(items) if isinstance(x, Progress) and x.modality == "video")
    late = [x for x in items[:over] if isinstance(x, Packet) and x.t_ns > 4000 * MS]
    assert not late


def test_a_track_with_one_key_picture_is_decoded_again_after_twenty_seconds(tmp_path: Path) -> None:
    # spares  1.0 .. 2.0 | left out until 21 .. 22 s | whatever the decoder makes of it
    clip = write_clip(
        tmp_path / "c.mp4", codec="mpeg4", seconds=30, audio=False, fps=10, keys_every=1000
    )
    starts = taken_sparing(clip, (1000, 1100), rate_hz=10).starts_ms(Modality.VIDEO)
    gap_ms = max(b - a for a, b in pairwise(starts))
    assert 19_900 <= gap_ms <= 21_000
    assert max(starts) == 29_900
