"""How the label sets of the corpora map to the seven emotions, and emotions to coordinates.

Every mapping is written out here, once, so the model card and the code cannot disagree.
"""

from __future__ import annotations

import numpy as np

from models.types import EMOTIONS

# Pleasure and arousal of Russell & Mehrabian (1977), "Evidence for a three-factor theory of
# emotions", J. Research in Personality 11, as quoted in later work, for happy, sad, angry, fearful,
# disgusted and surprised; neutral is the origin. One deliberate departure: the table has
# surprise at pleasure +0.40, but MELD's annotators find 614 of 1,205 surprised utterances
# negative and 591 positive, so its pleasure is taken as 0 here.
VALENCE = {
    "neutral": 0.0,
    "happiness": 0.81,
    "sadness": -0.63,
    "anger": -0.51,
    "fear": -0.64,
    "disgust": -0.60,
    "surprise": 0.0,
}
AROUSAL = {
    "neutral": 0.0,
    "happiness": 0.51,
    "sadness": -0.27,
    "anger": 0.59,
    "fear": 0.60,
    "disgust": 0.35,
    "surprise": 0.67,
}
VALENCE_VECTOR = np.array([VALENCE[e] for e in EMOTIONS], np.float32)
AROUSAL_VECTOR = np.array([AROUSAL[e] for e in EMOTIONS], np.float32)

# FER+ votes over ten classes; the head has the first eight, "unknown" and "not_face" are left out.
FERPLUS = ("neutral", "happy", "surprised", "sad", "angry", "disgust", "fearful", "contempt")
FERPLUS_TO_EMOTION = {
    "neutral": "neutral",
    "happy": "happiness",
    "surprised": "surprise",
    "sad": "sadness",
    "angry": "anger",
    "disgust": "disgust",
    "fearful": "fear",
    "contempt": "disgust",
}

SPEECH_TO_EMOTION = {
    "neutral": "neutral",
    "calm": "neutral",
    "happy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "fearful": "fear",
    "disgust": "disgust",
    "surprised": "surprise",
}
# What else people call the classes of acted speech.
SPEECH_SYNONYMS = {
    "neutral": ("neutrality",),
    "calm": ("calmness", "calmed"),
    "happy": ("happiness", "joy", "joyful"),
    "sad": ("sadness",),
    "angry": ("anger",),
    "fearful": ("fear", "anxiety", "anxious", "afraid", "scared"),
    "disgust": ("disgusted",),
    "surprised": ("surprise",),
}
SPEECH_CLASS_OF = {w: name for name, words in SPEECH_SYNONYMS.items() for w in (name, *words)}

# ESC-10 (Piczak 2015), as its manifest spells the labels; "other" is what is none of them.
SOUNDS = (
    "dogbark", "rain", "seawaves", "babycry", "clocktick",
    "personsneeze", "helicopter", "chainsaw", "rooster", "firecrackling",
)  # fmt: skip
SOUND_OTHER = "other"

MELD_TO_EMOTION = {
    "neutral": "neutral",
    "joy": "happiness",
    "sadness": "sadness",
    "anger": "anger",
    "fear": "fear",
    "disgust": "disgust",
    "surprise": "surprise",
}
# The seven by any of these names, as people label data of their own.
EMOTION_OF = {
    **{word: SPEECH_TO_EMOTION[name] for word, name in SPEECH_CLASS_OF.items()},
    **FERPLUS_TO_EMOTION,
    **MELD_TO_EMOTION,
    **{name: name for name in EMOTIONS},
}
MELD_SENTIMENT = {"negative": -0.7, "neutral": 0.0, "positive": 0.7}

# GoEmotions (Demszky et al. 2020): the authors' Ekman grouping and sentiment grouping.
GOEMOTIONS_GROUPS = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "happiness": (
        "joy",
        "amusement",
        "approval",
        "excitement",
        "gratitude",
        "love",
        "optimism",
        "relief",
        "pride",
        "admiration",
        "desire",
        "caring",
    ),
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "surprise": ("surprise", "realization", "confusion", "curiosity"),
    "neutral": ("neutral",),
}
GOEMOTIONS_TO_EMOTION = {label: e for e, group in GOEMOTIONS_GROUPS.items() for label in group}
# Their sentiment groups, which are unions of the Ekman groups.
GOEMOTIONS_TONES = ("positive", "negative", "ambiguous", "neutral")
_TONE_OF = {"happiness": "positive", "surprise": "ambiguous", "neutral": "neutral"}
GOEMOTIONS_TO_TONE = {
    label: _TONE_OF.get(emotion, "negative") for label, emotion in GOEMOTIONS_TO_EMOTION.items()
}
GOEMOTIONS_SENTIMENT = {
    "happiness": 0.7,
    "anger": -0.7,
    "disgust": -0.7,
    "fear": -0.7,
    "sadness": -0.7,
    "surprise": 0.0,
    "neutral": 0.0,
}
SST5_SENTIMENT = (-1.0, -0.5, 0.0, 0.5, 1.0)
CR_SENTIMENT = (-0.7, 0.7)
CHNSENTICORP_SENTIMENT = (-0.7, 0.7)


def emotion_index(name: str) -> int:
    """Position of an emotion in EMOTIONS."""
    return EMOTIONS.index(name)


def ferplus_matrix() -> np.ndarray:
    """(8, 7) 0/1 matrix that sums FER+ probabilities into the seven emotions."""
    matrix = np.zeros((len(FERPLUS), len(EMOTIONS)), np.float32)
    for row, name in enumerate(FERPLUS):
        matrix[row, emotion_index(FERPLUS_TO_EMOTION[name])] = 1.0
    return matrix
