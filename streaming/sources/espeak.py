"""Speech for the demo scene, by espeak-ng's library.

Invariant: one utterance at a time through the library, which is not thread-safe, and the same
words in the same voice always give the same samples.
"""

from __future__ import annotations

import ctypes
import threading
from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from streaming.errors import SourceError
from streaming.packets import Float32Array
from streaming.settings import AUDIO_RATE_HZ

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, nothing is played
_DONT_EXIT = 0x8000
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_LOCK = threading.Lock()
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@lru_cache(maxsize=64)
def speak(text: str, voice: str, rate_wpm: int, pitch: int, pitch_range: int) -> Float32Array:
    """`text` spoken: float32 (N,) at 16 kHz, read-only. `pitch` and `pitch_range`: 0..100."""
    with _LOCK:
        library, rate_hz = _library()
        pieces: list[np.ndarray] = []

        def take(samples: Any, count: int, _events: Any) -> int:
            if samples and count > 0:
                pieces.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
            return 0

        callback = _CALLBACK(take)
        library.espeak_SetSynthCallback(callback)
        library.espeak_SetVoiceByName(voice.encode())
        for parameter, value in ((_RATE, rate_wpm), (_PITCH, pitch), (_RANGE, pitch_range)):
            library.espeak_SetParameter(parameter, value, 0)
        data = text.encode() + b"\0"
        library.espeak_Synth(data, len(data), 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
    if not pieces:
        raise SourceError(f"portrait scene: espeak-ng spoke nothing for {text!r} in {voice!r}")
    common = gcd(AUDIO_RATE_HZ, rate_hz)
    spoken = np.concatenate(pieces).astype(np.float64) / 32768
    samples = resample_poly(spoken, AUDIO_RATE_HZ // common, rate_hz // common).astype(np.float32)
    samples.flags.writeable = False
    return samples


@lru_cache(maxsize=1)
def _library() -> tuple[ctypes.CDLL, int]:
    """The initialised library and its sample rate."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise SourceError(
            "portrait scene: the speech synthesiser is not installed; run: "
            "pip install 'attune[demo]'"
        ) from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Initialize.argtypes = (
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
    )
    library.espeak_Synth.argtypes = (
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    )
    folder = str(Path(espeakng_loader.get_data_path()).parent).encode()
    rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, folder, _DONT_EXIT)
    if rate_hz <= 0:
        raise SourceError(
            f"portrait scene: espeak-ng finds no voices in {folder.decode()}; run: "
            "pip install --force-reinstall espeakng-loader"
        )
    return library, int(rate_hz)
