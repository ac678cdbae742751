"""What stages hand over survives its bytes, arrays included."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from actors.messages import Packets, StreamEnded, StreamOpened, decode, encode
from streaming.health import Health, HealthKind
from streaming.packets import (
    AudioChunk,
    FaceCrop,
    FaceObservation,
    Modality,
    Packet,
    PacketBatch,
    TextMessage,
)

sound = hnp.arrays(np.float32, st.tuples(st.integers(0, 30), st.integers(1, 3)))
crop = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@given(samples=sound, pixels=crop, text=st.text())
def test_packets_survive(samples: np.ndarray, pixels: np.ndarray, text: str) -> None:
    face = FaceCrop(pixels=pixels, box_px=(1, 2, 3, 4), track_id=7, score=0.5)
    payloads = [
        AudioChunk(samples=samples, sample_rate_hz=16_000),
        FaceObservation(frame_width_px=640, frame_height_px=360, faces=(face,)),
        TextMessage(text=text, speaker="Ann"),
    ]
    for payload in payloads:
        packet = Packet(
            stream="s", modality=Modality.AUDIO, seq=1, t_ns=2, duration_ns=3, payload=payload
        )
        batch = PacketBatch.of(
            "s",
            Modality.AUDIO,
            [packet],
            progress_ns=9,
            health=(Health(stream="s", kind=HealthKind.GAP, t_ns=1),),
        )
        back = decode(encode(Packets(batch))).batch
        assert np.array_equal(back.header, batch.header)
        assert (back.progress_ns, back.ended, back.health) == (9, False, batch.health)
        (again,) = back.payloads
        match again:
            case AudioChunk():
                assert again.samples.dtype == np.float32
                assert np.array_equal(again.samples, samples, equal_nan=True)
            case FaceObservation():
                assert np.array_equal(again.faces[0].pixels, pixels)
                assert again.faces[0].box_px == (1, 2, 3, 4)
            case _:
                assert again == payload


def test_control_messages_survive() -> None:
    opened = StreamOpened(stream="s", modalities=(Modality.TEXT,), origin_ns=5, paced=True)
    ended = StreamEnded(stream="s", end_ns=5, pushed=3, windowed=2, dropped={"late": 1})
    assert decode(encode(opened)) == opened
    assert decode(encode(ended)) == ended
