"""Sound to frames: hop borders leave no trace, and the VAD is Silero's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_scenes import vowel

from models import features
from models.vad import SileroVad, VadState, model_path

CUTS = st.lists(st.integers(0, 9000), max_size=6)


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    return SileroVad()


def sounds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "speech": vowel(2.0),
        "silence": np.zeros(32_000, np.float32),
        "noise": rng.normal(0, 0.1, 32_000).astype(np.float32),
    }


def probabilities(vad: SileroVad, pieces: list[np.ndarray]) -> np.ndarray:
    state, parts = VadState.initial(), []
    for piece in pieces:
        state, speech = vad.step(state, piece)
        parts.append(speech)
    return np.concatenate(parts)


@pytest.mark.parametrize("kind", ["speech", "silence", "noise"])
def test_vad_equals_the_reference(vad: SileroVad, kind: str) -> None:
    sound = sounds()[kind]
    reference = torch.jit.load(str(model_path().with_name("silero_vad.jit")))
    frames = torch.from_numpy(sound[: len(sound) // 512 * 512]).split(512)
    expected = [reference(frame, 16_000).item() for frame in frames]
    got = probabilities(vad, np.array_split(sound, 4))
    np.testing.assert_allclose(got, expected, atol=2e-3)
    assert (got.max() > 0.5) == (kind == "speech")


@settings(max_examples=15, deadline=None)
@given(CUTS)
def test_vad_does_not_see_where_hops_end(vad, cuts) -> None:
    sound = vowel(1.0)[:9000]
    whole = probabilities(vad, [sound])
    np.testing.assert_allclose(probabilities(vad, np.split(sound, sorted(cuts))), whole, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(CUTS)
def test_log_mel_does_not_see_where_hops_end(cuts: list[int]) -> None:
    sound = vowel(1.0)[:9000]
    _, whole = features.step(features.MelState.initial(), sound)
    state, parts = features.MelState.initial(), []
    for piece in np.split(sound, sorted(cuts)):
        state, frames = features.step(state, piece)
        parts.append(frames[features.CONTEXT_T :])
    np.testing.assert_allclose(
        np.concatenate(parts), whole[features.CONTEXT_T :], rtol=1e-4, atol=1e-4
    )


def test_a_tone_lands_in_its_filter() -> None:
    t = np.arange(16_000) / 16_000
    mel = features.log_mel(np.sin(2 * np.pi * 1000 * t).astype(np.float32))
    centre = 2595 * np.log10(1 + 1000 / 700)
    low, high = 2595 * np.log10(1 + np.array([60.0, 7600.0]) / 700)
    expected = (centre - low) / (high - low) * (features.MELS + 1) - 1
    assert abs(mel.mean(0).argmax() - expected) <= 1


def test_gain_of_the_microphone_does_not_matter() -> None:
    _, loud = features.step(features.MelState.initial(), vowel(2.0))
    _, soft = features.step(features.MelState.initial(), vowel(2.0) * 0.25)
    loud, soft = loud[100:], soft[100:]  # once the level has been found
    voiced = loud > 0.0  # within 5 nats of the peak, well above the floor
    assert voiced.mean() > 0.05
    np.testing.assert_allclose(loud[voiced], soft[voiced], atol=0.05)
