"""Files as FFmpeg sees them, on one time line: what comes out, and when."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from media_factory import TONE_HZ, grey, tone, write_clip
from source_items import HOP_NS, MS, open_media, take, take_media

from streaming.packets import Modality
from streaming.results import HealthKind

S = 1_000_000_000
PCM = {"audio_codec": "pcm_s16le"}


def brightness(packets) -> list[int]:
    return [round(float(p.payload.pixels.mean())) for p in packets]


def loudest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 16_000 / len(samples))


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("clip.mp4", {}),
        ("clip.mkv", {}),
        ("clip.avi", PCM),
        ("clip.ts", {"codec": "mpeg2video", "audio_codec": "mp2"}),
        ("clip.flv", {"codec": "flv1", "audio_codec": "pcm_s16le", "audio_rate": 44_100}),
    ],
)
def test_pictures_at_the_first_frame_after_each_tick(tmp_path, name, codecs):
    taken = take_media(write_clip(tmp_path / name, **codecs))
    start = taken.video[0].t_ns
    assert start < 40 * MS
    ticks = [tick * S // 4 for tick in range(8)]
    for packet, tick in zip(taken.video, ticks, strict=True):
        assert tick <= packet.t_ns < tick + 41 * MS
        shown = round((packet.t_ns - start) * 25 / S)
        assert brightness([packet])[0] == pytest.approx(grey(shown), abs=5)
    assert taken.in_order
    assert taken.ends[Modality.VIDEO] == pytest.approx(2 * S + start, abs=2 * MS)
    assert len(taken.samples) / 16_000 == pytest.approx(2.0, abs=0.03)
    assert loudest_hz(taken.samples[4000:20_000]) == pytest.approx(TONE_HZ, abs=2)


def test_a_picture_covers_the_time_to_the_next_tick(tmp_path):
    video = take_media(write_clip(tmp_path / "c.mp4")).video
    ends = [p.end_ns for p in video]
    assert ends == [(i + 1) * S // 4 for i in range(8)]


def test_variable_frame_rate_keeps_the_containers_times(tmp_path):
    times = [0, 40, 300, 310, 700, 1500, 1540]
    taken = take_media(write_clip(tmp_path / "v.mkv", video_ms=times, audio=False))
    assert taken.starts_ms(Modality.VIDEO) == [0, 300, 700, 1500]
    wanted = [grey(times.index(t)) for t in (0, 300, 700, 1500)]
    assert brightness(taken.video) == pytest.approx(wanted, abs=5)


def test_a_source_slower_than_the_ticks_gives_every_picture_its_own_length(tmp_path):
    taken = take_media(write_clip(tmp_path / "slow.mkv", fps=1, seconds=4, audio=False))
    assert [(p.t_ns // MS, p.duration_ns // MS) for p in taken.video] == [
        (0, 1000),
        (1000, 1000),
        (2000, 1000),
        (3000, 1000),
    ]


def test_240_pictures_a_second_are_thinned_out(tmp_path):
    taken = take_media(write_clip(tmp_path / "fast.mp4", fps=240, seconds=1, audio=False))
    assert taken.starts_ms(Modality.VIDEO) == [0, 250, 500, 750]
    assert taken.video[-1].end_ns == pytest.approx(S, abs=MS)


def test_the_last_picture_ends_with_the_track(tmp_path):
    taken = take_media(write_clip(tmp_path / "one.mp4", frames=1, audio=False))
    assert [(p.t_ns, p.end_ns) for p in taken.video] == [(0, 40 * MS)]


def test_sound_that_starts_late_starts_late(tmp_path):
    path = write_clip(tmp_path / "late.mkv", **PCM, audio_ms=[(1200, 2000)])
    taken = take_media(path)
    assert taken.audio[0].t_ns == pytest.approx(1200 * MS, abs=MS)
    assert taken.in_order
    assert not taken.health()


def test_sound_that_ends_early_does_not_hold_the_pictures_back(tmp_path):
    path = write_clip(tmp_path / "early.mkv", **PCM, seconds=6, audio_ms=[(0, 700)])
    taken = take_media(path)
    assert len(taken.video) == 24
    packets = [i for i in taken.items if i in taken.video or i in taken.audio]
    due = [p.end_ns if p.modality is Modality.AUDIO else p.t_ns for p in packets]
    assert due == sorted(due)
    assert taken.ends[Modality.AUDIO] == pytest.approx(700 * MS, abs=MS)


def test_a_hole_in_the_sound_is_a_gap_and_not_silence(tmp_path):
    taken = take_media(write_clip(tmp_path / "gap.mkv", **PCM, audio_ms=[(0, 700), (1200, 2000)]))
    (gap,) = taken.health(HealthKind.GAP)
    assert gap.t_ns == pytest.approx(700 * MS, abs=MS)
    assert gap.count == pytest.approx(8000, abs=20)
    assert len(taken.samples) == pytest.approx(1.5 * 16_000, abs=20)
    assert [(p.t_ns // MS, p.end_ns // MS) for p in taken.audio] == [
        (0, 500),
        (500, 700),
        (1200, 1500),
        (1500, 2000),
    ]


def test_a_leap_in_time_is_stitched(tmp_path):
    late = 3_601_000
    path = write_clip(
        tmp_path / "leap.mkv",
        **PCM,
        video_ms=[*range(0, 1000, 40), *range(late, late + 1000, 40)],
        audio_ms=[(0, 1000), (late, late + 1000)],
    )
    taken = take_media(path)
    jumps = taken.health(HealthKind.CLOCK_JUMP)
    assert {j.modality for j in jumps} == {Modality.VIDEO, Modality.AUDIO}
    assert all("+3600.000 s" in j.detail for j in jumps)
    assert max(taken.ends.values()) == pytest.approx(2 * S, abs=50 * MS)
    assert len(taken.samples) == 32_000
    assert taken.in_order


def test_two_recordings_joined_play_one_after_the_other(tmp_path):
    path = write_clip(tmp_path / "a.ts", codec="mpeg2video", audio_codec="mp2")
    path.write_bytes(path.read_bytes() * 2)
    taken = take_media(path)
    assert len(taken.health(HealthKind.CLOCK_JUMP)) == 2
    assert taken.ends[Modality.VIDEO] == pytest.approx(4 * S, abs=60 * MS)
    assert len(taken.samples) / 16_000 == pytest.approx(4.0, abs=0.1)
    assert taken.in_order


def test_frames_without_timestamps_are_dated_by_their_durations(tmp_path):
    path = write_clip(tmp_path / "raw.h264", codec="libx264", audio=False)
    taken = take_media(path)
    assert taken.starts_ms(Modality.VIDEO) == [0, 280, 520, 760, 1000, 1280, 1520, 1760]
    assert all(p.uncertainty_ns >= 40 * MS for p in taken.video)


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 96_000, 192_000])
def test_any_rate_becomes_16_khz(tmp_path, rate):
    path = write_clip(tmp_path / "a.wav", video=False, seconds=1, audio_rate=rate, **PCM)
    taken = take_media(path)
    assert len(taken.samples) == pytest.approx(16_000, abs=1)
    at = np.arange(4000, 12_000)
    np.testing.assert_allclose(taken.samples[at], tone(at / 16_000), atol=5e-3)


@pytest.mark.parametrize("layout", ["stereo", "3.0", "quad", "5.1", "7.1"])
def test_any_number_of_channels_becomes_one_without_clipping(tmp_path, layout):
    path = write_clip(tmp_path / "a.mkv", video=False, seconds=1, layout=layout, **PCM)
    taken = take_media(path)
    assert taken.audio[0].payload.samples.shape[1] == 1
    at = np.arange(4000, 12_000)
    np.testing.assert_allclose(taken.samples[at], tone(at / 16_000), atol=0.02)


def test_samples_that_are_not_numbers_become_zero_and_are_counted(tmp_path):
    def faulty(t: np.ndarray) -> np.ndarray:
        values = np.zeros(len(t))
        values[:3] = np.nan, np.inf, -np.inf
        return values

    path = write_clip(
        tmp_path / "nan.wav", video=False, audio_codec="pcm_f32le", seconds=1, sound=faulty
    )
    taken = take_media(path)
    assert np.all(taken.samples == 0)
    pushes = -(-48_000 // 1024)
    assert sum(h.count for h in taken.health(HealthKind.CORRUPT)) == 3 * pushes
    assert len(taken.health()) <= 3  # once for each second of stream


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("ffv1", "gray", "mkv"),
        ("ffv1", "yuv420p10le", "mkv"),
        ("ffv1", "yuv444p", "mkv"),
        ("png", "rgba", "mov"),
    ],
)
def test_any_pixel_format_becomes_rgb(tmp_path, codec, pix_fmt, suffix):
    path = tmp_path / f"p.{suffix}"
    taken = take_media(write_clip(path, codec=codec, pix_fmt=pix_fmt, seconds=1, audio=False))
    pixels = taken.video[0].payload.pixels
    assert (pixels.shape, pixels.dtype) == ((48, 64, 3), np.uint8)
    assert not pixels.flags.writeable
    assert brightness(taken.video[:2]) == pytest.approx([grey(0), grey(7)], abs=4)


def test_a_picture_of_one_pixel(tmp_path):
    path = write_clip(
        tmp_path / "t.mkv", codec="ffv1", size=(1, 1), pix_fmt="bgr0", seconds=1, audio=False
    )
    assert take_media(path).video[0].payload.pixels.shape == (1, 1, 3)


def test_8k_is_scaled_down(tmp_path):
    path = write_clip(
        tmp_path / "8k.mkv", codec="mjpeg", pix_fmt="yuvj420p", size=(7680, 4320), frames=1,
        audio=False,
    )  # fmt: skip
    assert take_media(path).video[0].payload.pixels.shape == (720, 1280, 3)


def test_a_track_can_be_left_out(tmp_path):
    path = write_clip(tmp_path / "c.mp4", seconds=1)
    assert open_media(path, audio=False).modalities == (Modality.VIDEO,)
    assert set(take_media(path, video=False).ends) == {Modality.AUDIO}


def test_damage_in_the_middle_is_counted_and_survived(tmp_path):
    path = write_clip(tmp_path / "c.mkv", seconds=4)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 4, len(data), 1501):
        data[at] ^= 0xFF
    path.write_bytes(data)
    taken = take_media(path)
    corrupt = taken.health(HealthKind.CORRUPT)
    assert sum(h.count for h in corrupt) >= 1
    seconds = [(h.modality, h.t_ns // S) for h in corrupt]
    assert len(corrupt) <= 2 * 5, seconds
    assert len(taken.video) >= 8
    assert set(taken.ends) == {Modality.VIDEO, Modality.AUDIO}
    assert taken.in_order


def test_a_file_cut_short_gives_what_there_is_and_says_so(tmp_path):
    path = write_clip(tmp_path / "c.mp4", seconds=6, options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    taken = take_media(path)
    assert 1 * S < taken.ends[Modality.VIDEO] < 5 * S
    assert len(taken.video) >= 4
    assert any("is cut short" in h.detail and "of 6.0 s" in h.detail for h in taken.health())


def test_only_a_little_is_decoded_ahead(tmp_path):
    path = write_clip(tmp_path / "long.mkv", seconds=30, fps=10, **PCM)
    source = open_media(path)
    items = source.items()
    first = next(items)
    assert first.t_ns == 0
    decoded = max(track.decoded_ns for track in source._tracks)
    assert decoded < 3 * S
    source.close()


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = write_clip(tmp_path / "long.mkv", seconds=60, fps=10, size=(320, 240), **PCM)
    tracemalloc.start()
    for _ in open_media(path).items():
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    all_pictures = 240 * 320 * 240 * 3
    assert peak < all_pictures / 4


def test_nothing_is_written_to_stderr(tmp_path, capfd):
    path = write_clip(tmp_path / "c.mkv")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :: 997] = b"\xff" * len(data[len(data) // 2 :: 997])
    path.write_bytes(data)
    take_media(path)
    assert capfd.readouterr().err == ""


def test_seq_and_hops_of_sound(tmp_path):
    taken = take(open_media(write_clip(tmp_path / "c.mp4", seconds=3)))
    assert [p.seq for p in taken.audio] == list(range(len(taken.audio)))
    assert all(p.t_ns // HOP_NS == (p.end_ns - 1) // HOP_NS for p in taken.audio)
