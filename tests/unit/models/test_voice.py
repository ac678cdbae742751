"""The voice encoder: hops on their own, pooling under masks, clips that are hardly clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_scenes import vowel

from models import features, weights
from models.data.speech import TEST_SPEAKERS, sex_of
from models.encoders.voice import SPEECH, VoiceEncoder, fold_calm
from models.predictors.speech import Neural
from models.train.voice_hops import disturb, hops_of


@pytest.fixture(scope="module")
def encoder() -> VoiceEncoder:
    return weights.load(VoiceEncoder(), weights.SHIPPED, "voice")


@pytest.fixture(scope="module")
def predictor() -> Neural:
    return Neural(weights.SHIPPED)


def frames(count: int, length: int = 74) -> torch.Tensor:
    return torch.randn(count, length, features.MELS, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_a_hop_does_not_know_who_shares_its_batch(encoder: VoiceEncoder) -> None:
    hops = frames(5)
    together = encoder(hops)
    assert (together.std(0) > 1e-4).any()
    for i in range(5):
        torch.testing.assert_close(encoder(hops[i : i + 1])[0], together[i], atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_masked_hops_count_for_nothing(encoder: VoiceEncoder) -> None:
    tokens = encoder(frames(3)).unsqueeze(0)
    longer = torch.cat([tokens, torch.full((1, 2, 128), 7.0)], 1)
    mask = torch.tensor([[True, True, True, False, False]])
    alone = encoder.pool(tokens, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(encoder.pool(longer, mask), alone, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(encoder.pool(longer, torch.ones_like(mask)), alone, atol=1e-3)


@torch.inference_mode()
def test_nothing_present_is_finite(encoder: VoiceEncoder) -> None:
    pooled = encoder.pool(torch.zeros(1, 1, 128), torch.zeros(1, 1, dtype=torch.bool))
    assert torch.isfinite(encoder.logits(pooled)).all()


@torch.inference_mode()
@pytest.mark.parametrize("length", [25, 26, 49, 74, 124, 424])
def test_a_hop_of_any_length_gives_one_token(encoder: VoiceEncoder, length: int) -> None:
    token = encoder(frames(2, length))
    assert token.shape == (2, 128)
    assert torch.isfinite(token).all()


def test_calm_adds_to_neutral() -> None:
    logits = torch.randn(4, len(SPEECH), generator=torch.Generator().manual_seed(2))
    eight, seven = logits.softmax(1), fold_calm(logits).softmax(1)
    torch.testing.assert_close(seven[:, 0], eight[:, 0] + eight[:, 1])
    torch.testing.assert_close(seven[:, 1:], eight[:, 2:])


def test_what_comes_later_changes_no_earlier_hop() -> None:
    mel = np.random.default_rng(3).normal(-8, 2, (200, features.MELS)).astype(np.float32)
    speech = np.ones(200, np.float32)
    whole, _ = hops_of(mel, speech)
    loud = mel.copy()
    loud[100:] += 6
    np.testing.assert_array_equal(hops_of(loud, speech)[0][:2], whole[:2])
    assert np.abs(hops_of(loud, speech)[0][2] - whole[2]).max() > 0.1


def test_the_gain_of_a_clip_does_not_matter(predictor: Neural) -> None:
    sound = vowel(2.0)
    loud, quiet = predictor.predict([sound, sound * 0.5])
    assert loud.std() > 1e-3
    np.testing.assert_allclose(loud, quiet, atol=1e-3)


def test_clips_without_speech_are_no_evidence(predictor: Neural) -> None:
    broken = np.full(16_000, np.nan, np.float32)
    clips = [*(np.zeros(n, np.float32) for n in (0, 80, 16_000)), broken]
    assert np.isnan(predictor.predict(clips)).all()


def test_odd_clips_give_probabilities(predictor: Neural) -> None:
    sound = vowel(2.0)
    holed = sound.copy()
    holed[5000:5100] = np.inf
    found = predictor.predict([np.tile(sound, 30), holed])
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert np.isnan(predictor.predict([sound[:80]])).all()  # 5 ms


def test_disturbed_copies_differ_only_by_what_was_asked_for() -> None:
    mel = np.random.default_rng(4).normal(-8, 2, (150, features.MELS)).astype(np.float32)
    speech = np.ones(150, np.float32)
    same, _ = disturb(mel, speech, np.random.default_rng(0), ())
    np.testing.assert_array_equal(same, mel)
    faster, heard = disturb(mel, speech, np.random.default_rng(0), ("speed",))
    assert len(faster) == len(heard) != len(mel)


def test_sex_is_told_only_where_the_corpus_tells_it() -> None:
    assert sex_of("ravdess-01") == "male"
    assert sex_of("emodb-14") == "female"
    assert sex_of("nemo-EB0") == ""
    assert len({name.split("-")[0] for name in TEST_SPEAKERS}) == 3


@torch.inference_mode()
def test_the_temperature_is_of_whole_clips_alone() -> None:
    torch.manual_seed(0)
    encoder, pooled = VoiceEncoder().eval(), torch.rand(3, 128)
    live, clips = encoder.logits(pooled), encoder.speech_logits(pooled)
    encoder.temperature.fill_(2.0)
    torch.testing.assert_close(encoder.logits(pooled), live)
    torch.testing.assert_close(encoder.speech_logits(pooled) * 2, clips)
