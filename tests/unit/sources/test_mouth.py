"""Motion of a mouth: what is taken of pictures between the looks, and what of them is its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from media_factory import write_clip
from source_items import HOP_NS, MS, take
from test_camera import BEGIN_NS, FRAME_NS, shots

from streaming.clock import NS_PER_S, HandClock
from streaming.packets import AudioChunk, Glance, Packet, Trace, VideoFrame
from streaming.settings import VisionSettings
from streaming.source_settings import CameraSettings, MediaSettings, SyntheticSettings
from streaming.sources.camera import CameraSource
from streaming.sources.face_tracking import FaceTrack
from streaming.sources.mouth import MouthFollower, mouth_motion
from streaming.sources.open import open_source
from streaming.sources.scripted_devices import ScriptedFrames

ALL = VisionSettings(mouth_hz=60)
BOX = (100.0, 60.0, 120.0, 120.0)
ACROSS, DOWN, BRIGHTER = slice(0, 3), slice(3, 6), slice(6, 9)


def face(drop_px: float = 0.0, shift: tuple[float, float] = (0, 0), scale: float = 1.0):
    """A textured head whose part below 110 px is lower by `drop_px`: grey (240, 320), scaled."""
    rng = np.random.default_rng(1)
    texture = cv2.GaussianBlur(rng.uniform(0, 255, (240, 320)).astype(np.float32), (0, 0), 3)
    texture = (texture - texture.mean()) * 6 + 128
    y, x = np.mgrid[0:240, 0:320].astype(np.float32)
    moved = y - shift[1] - drop_px * np.clip((y - 125) / 20, 0, 1)
    drawn = cv2.remap(texture, x - shift[0], moved, cv2.INTER_LINEAR)
    size = (round(320 * scale), round(240 * scale))
    return np.clip(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), 0, 255).astype(np.uint8)


def test_a_jaw_that_drops_moves_down_and_one_that_rises_moves_up():
    dropped = mouth_motion(face(), face(drop_px=2), BOX)
    risen = mouth_motion(face(drop_px=2), face(), BOX)
    # the box is 120 px high, and three quarters of the mouth's part of it move by 2 px
    assert dropped[DOWN][0] == pytest.approx(0.75 * 2 / 120, rel=0.15)
    assert risen[DOWN][0] == pytest.approx(-0.75 * 2 / 120, rel=0.15)
    assert abs(dropped[ACROSS]).max() < 0.15 * dropped[DOWN][0]


def test_a_head_that_moves_moves_no_mouth():
    moved = mouth_motion(face(), face(shift=(3, 2)), BOX)
    assert abs(moved[ACROSS]).max() < 0.0015
    assert abs(moved[DOWN]).max() < 0.0015
    both = mouth_motion(face(), face(drop_px=2, shift=(3, 2)), BOX)
    still = mouth_motion(face(), face(drop_px=2), BOX)
    assert np.allclose(both[DOWN], still[DOWN], atol=0.003)


def test_the_size_of_the_face_does_not_matter():
    small = mouth_motion(face(), face(drop_px=2), BOX)
    large_box = tuple(2 * v for v in BOX)
    large = mouth_motion(face(scale=2), face(drop_px=2, scale=2), large_box)
    assert np.allclose(large, small, atol=0.003)


def look(pictures: list[tuple[int, np.ndarray]], t_ms: int) -> tuple[VideoFrame, int]:
    glances = tuple(Glance(before_ns=(t_ms - at) * MS, grey=grey) for at, grey in pictures)
    return VideoFrame(pixels=np.zeros((240, 320, 3), np.uint8), glances=glances), t_ms * MS


def test_motion_is_dated_between_its_two_pictures_and_counted_in_seconds():
    # ms         0    40   80    120        280      a look at 120 and one at 280
    # picture    up   up   down  down       down
    # motion       0     v     0      nothing: too far apart
    follower, track = MouthFollower(), FaceTrack(0, BOX, 1.0)
    up, down = face(), face(drop_px=2)
    first = follower.follow(*look([(0, up), (40, up), (80, down), (120, down)], 120), [track])
    assert (first.at_ns + 120 * MS).tolist() == [20 * MS, 60 * MS, 100 * MS]
    assert first.values.shape == (3, 9)
    speeds = first.values[:, 3]
    assert speeds[1] == pytest.approx(0.75 * 2 / 120 / 0.04, rel=0.15)
    assert abs(speeds[[0, 2]]).max() < 0.02
    assert follower.follow(*look([(280, down)], 280), [track]) is None
    again = follower.follow(*look([(320, up)], 320), [track])
    assert again.values[0, 3] == pytest.approx(-0.75 * 2 / 120 / 0.04, rel=0.15)


def test_where_nobody_is_seen_no_mouth_is():
    follower, track = MouthFollower(), FaceTrack(0, BOX, 1.0)
    assert follower.follow(*look([(0, face()), (40, face())], 40), []) is None
    assert follower.follow(*look([(80, face())], 80), [track]) is None  # no picture before it
    assert follower.follow(*look([(120, face())], 120), [track]) is not None
    assert follower.follow(*look([], 160), [track]) is None


def test_every_picture_of_a_file_goes_with_the_next_look_at_its_own_time(tmp_path):
    path = write_clip(tmp_path / "c.mp4")
    spec = MediaSettings(url=str(path))
    seen = take(open_source(spec, stream="s", vision=ALL, hop_ns=HOP_NS)).video
    dated = [p.t_ns - g.before_ns for p in seen for g in p.payload.glances]
    assert dated == [i * FRAME_NS for i in range(45)]  # as the light is: to the last look
    height, width = seen[0].payload.pixels.shape[:2]
    assert {g.grey.shape for p in seen for g in p.payload.glances} == {(height, width)}
    off = take(open_source(spec, stream="s", vision=VisionSettings(), hop_ns=HOP_NS))
    assert all(p.payload.glances == () for p in off.video)
    assert all(p.payload.voice is None for p in off.audio)


def test_a_camera_gives_pictures_that_nobody_looks_at_small_and_grey():
    clock = HandClock(BEGIN_NS)
    picture = lambda i: np.full((720, 1280, 3), 10 + i, np.uint8)  # noqa: E731
    port = ScriptedFrames(clock, FRAME_NS, shots(2, driver="session", picture=picture))
    settings = CameraSettings(device=3, duration_s=1)
    source = CameraSource(settings, stream="s", vision=ALL, clock=clock, open_port=lambda: port)
    packets = [i for i in source.items() if isinstance(i, Packet)]
    found = [(p.t_ns - g.before_ns, g.grey) for p in packets for g in p.payload.glances]
    assert len(found) == pytest.approx(25, abs=8)
    for t_ns, grey in found:
        assert grey.shape == (360, 640)
        assert grey.mean() == 10 + round((t_ns - BEGIN_NS) / FRAME_NS)


def test_a_scene_gives_pictures_and_its_sound_a_colour():
    spec = SyntheticSettings(duration_s=3)
    taken = take(open_source(spec, stream="s", vision=VisionSettings(mouth_hz=20), hop_ns=HOP_NS))
    dated = [p.t_ns - g.before_ns for p in taken.video for g in p.payload.glances]
    assert dated == [i * NS_PER_S // 20 for i in range(round(taken.video[-1].t_ns / 50 / MS) + 1)]
    voices = [p.payload.voice for p in taken.audio if isinstance(p.payload, AudioChunk)]
    assert sum(len(v.at_ns) for v in voices if isinstance(v, Trace)) == (48_000 - 512) // 320 + 1
