"""Faces in the real clips: seen when they are there, and never when they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_items import take_media

from streaming.settings import VisionSettings
from streaming.sources.faces import FaceReducer

S = 1_000_000_000
ALWAYS = [
    "grid_bbaf2n", "grid_brbk7n", "grid_lbax4n", "grid_lbbc2a", "grid_lrwp9a", "grid_lwbsza",
    "grid_pwij3p", "grid_sbia1a", "silent_expressions", "single_face", "talk_1", "talk_2",
    "talk_3", "webcam_24s",
]  # fmt: skip
# First frame after the cut, found by looking at each frame.
FACE_GONE_NS = 2_400_000_000
FACE_COMES_NS = 3_941_666_667


@pytest.fixture(params=["haar", "yunet"])
def vision(request: pytest.FixtureRequest, data: Path) -> VisionSettings:
    if request.param == "haar":
        return VisionSettings()
    path = data / "models" / "yunet.onnx"
    if not path.exists():
        pytest.skip(f"needs the YuNet model {path.name} in the data folder's models/")
    return VisionSettings(detector=str(path))


def faces(path: Path, vision: VisionSettings) -> list[tuple[int, int, set[int]]]:
    """(time, faces, track ids) of each look."""
    reducer = FaceReducer(vision)
    seen = [(p.t_ns, reducer.observe(p).payload.faces) for p in take_media(path, audio=False).video]
    return [(t_ns, len(found), {f.track_id for f in found}) for t_ns, found in seen]


@pytest.mark.parametrize("name", ALWAYS)
def test_one_face_under_one_id_from_the_second_look_on(media, vision, name):
    seen = faces(media / f"{name}.mp4", vision)
    share = sum(count > 0 for _, count, _ in seen[1:]) / len(seen[1:])
    assert share >= 0.95
    assert len(set().union(*(ids for *_, ids in seen))) == 1


def test_nobody_in_the_clip_without_faces(media, vision):
    assert all(count == 0 for _, count, _ in faces(media / "no_face.mp4", vision))


def test_a_face_that_goes(media, vision):
    for t_ns, count, _ in faces(media / "face_noface.mp4", vision)[1:]:
        if t_ns < FACE_GONE_NS:
            assert count == 1, t_ns
        elif t_ns >= FACE_GONE_NS + S // 2:
            assert count == 0, t_ns


def test_a_face_that_comes(media, vision):
    for t_ns, count, _ in faces(media / "noface_face.mp4", vision):
        if t_ns < FACE_COMES_NS:
            assert count == 0, t_ns
        elif t_ns >= FACE_COMES_NS + S // 2:
            assert count == 1, t_ns


def test_late_sound_of_a_real_clip(media):
    taken = take_media(media / "face_noface.mp4")
    assert taken.audio[0].t_ns == pytest.approx(2.408 * S, abs=S // 1000)
    assert taken.video[0].t_ns == 0
    assert taken.in_order
    assert not taken.health()
