"""What is handed on of a closed window: the news that the model needs, and what is told of it all.

Pure. Knows windows, not the models; `actors.translate` gives the news to them.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec
import numpy as np
import numpy.typing as npt

from actors.messages import HopData, TextSpan, WindowReady
from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.modality import Modality
from streaming.packets import (
    DURATION_NS,
    T_NS,
    AudioChunk,
    FaceObservation,
    Float32Array,
    TextMessage,
    Uint8Array,
)
from streaming.results import FaceCount, LoudnessTrack, ModalityReceipt, Signals
from streaming.settings import AUDIO_RATE_HZ
from streaming.windows import View, ViewState, Window

FACE_PX = 48
LOUDNESS_STEP_NS = 50 * NS_PER_MS
SILENCE_DBFS = -120.0
DECIMALS = 4  # of every float that reaches the wire


def window_ready(
    window: Window, hop_ns: int, *, closed_at_ns: int, origin_ns: int, paced: bool
) -> WindowReady:
    """What the model needs of `window`: its new hops, and the receipts of all of it."""
    window = _without_guesses(window)
    video, audio, text = (window.view(m) for m in Modality)
    sound = _samples(audio, window.start_ns, window.end_ns)
    new = _sample_count(window.new_from_ns - window.start_ns)
    samples, real = sound[0][new:], sound[1][new:]
    per_hop = _sample_count(hop_ns)
    hops = tuple(
        HopData(
            start_ns=start,
            end_ns=start + hop_ns,
            faces=_leading_faces(video, start, start + hop_ns),
            audio=_kept(samples[i * per_hop : (i + 1) * per_hop]),
            audio_coverage=float(real[i * per_hop : (i + 1) * per_hop].mean()),
            texts=_texts_begun(text, start, start + hop_ns),
        )
        for i, start in enumerate(range(window.new_from_ns, window.end_ns, hop_ns))
    )
    looks = _face_counts(video)
    return WindowReady(
        stream=window.stream,
        index=window.index,
        start_ns=window.start_ns,
        end_ns=window.end_ns,
        closed_by=window.closed_by,
        status=window.status,
        revision=window.revision,
        hops=hops,
        receipts={v.modality: _receipt(v) for v in window.views},
        loudness=_loudness(samples, real, window.new_from_ns),
        faces=tuple(look for look in looks if look.t_ns >= window.new_from_ns),
        signals=Signals(
            faces=max((look.faces for look in looks), default=0),
            face_share=rounded(np.mean([look.faces > 0 for look in looks])) if looks else 0.0,
            loudness_dbfs=level_dbfs(sound[0][sound[1]]) if sound[1].any() else None,
            words=_word_count(text, window.start_ns, window.end_ns),
        ),
        health=window.health,
        closed_at_ns=closed_at_ns,
        origin_ns=origin_ns,
        paced=paced,
    )


@lru_cache(maxsize=64)
def _area_weights(source: int, target: int) -> Float32Array:
    """Matrix (target, source) that averages over area, for pictures of any size."""
    edges = np.linspace(0, source, target + 1)
    cells = np.arange(source)
    left = np.maximum(edges[:-1, None], cells)
    right = np.minimum(edges[1:, None], cells + 1)
    overlap = np.clip(right - left, 0, None)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)


def grey_face(pixels: Uint8Array) -> Uint8Array:
    """RGB (H, W, 3) to grey (48, 48) by ITU-R BT.601 luma and area averaging."""
    luma = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    height, width = luma.shape
    small = _area_weights(height, FACE_PX) @ luma @ _area_weights(width, FACE_PX).T
    return np.rint(small).astype(np.uint8)


def _leading_faces(view: View | None, start_ns: int, end_ns: int) -> Uint8Array:
    crops = []
    if view is not None and view.grid is not None:
        grid = view.grid
        instants = grid.start_ns + grid.step_ns * np.arange(len(grid.mask))
        due = (instants >= start_ns) & (instants < end_ns) & grid.mask
        for row in grid.left[due]:
            seen = view.payloads[row]
            if isinstance(seen, FaceObservation) and seen.faces:
                crops.append(grey_face(seen.faces[0].pixels))
    return np.stack(crops) if crops else np.empty((0, FACE_PX, FACE_PX), np.uint8)


def _sample_count(span_ns: int) -> int:
    return round(span_ns * AUDIO_RATE_HZ / NS_PER_S)


def _samples(
    view: View | None, start_ns: int, end_ns: int
) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
    """Mono samples of `[start_ns, end_ns)` with zeros in the gaps, and which are real."""
    out = np.zeros(_sample_count(end_ns - start_ns), np.float32)
    real = np.zeros(len(out), np.bool_)
    if view is not None:
        for t_ns, chunk in zip(view.header[:, T_NS], view.payloads, strict=True):
            if isinstance(chunk, AudioChunk):
                _lay(chunk, round((int(t_ns) - start_ns) * AUDIO_RATE_HZ / NS_PER_S), out, real)
    return out, real


def _lay(chunk: AudioChunk, at: int, out: Float32Array, real: npt.NDArray[np.bool_]) -> None:
    begin, end = max(at, 0), min(at + len(chunk.samples), len(out))
    if begin < end:
        out[begin:end] = chunk.samples[begin - at : end - at].mean(axis=1)
        real[begin:end] = True


def level_dbfs(samples: Float32Array) -> float:
    """RMS level; full scale is a square wave of amplitude 1."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return rounded(max(10 * np.log10(power), SILENCE_DBFS)) if power > 0 else SILENCE_DBFS


def _kept(hop: Float32Array) -> Float32Array:
    """One hop without the window that it lies in; all hops without any sound are one array."""
    return hop.copy() if hop.any() else _silence(len(hop))


@lru_cache(maxsize=4)
def _silence(samples: int) -> Float32Array:
    silence = np.zeros(samples, np.float32)
    silence.flags.writeable = False
    return silence


def _loudness(samples: Float32Array, real: npt.NDArray[np.bool_], start_ns: int) -> LoudnessTrack:
    """Levels of 50 ms frames; a frame that is half missing has none."""
    step = _sample_count(LOUDNESS_STEP_NS)
    frames = [slice(i, i + step) for i in range(0, len(samples) - step + 1, step)]
    return LoudnessTrack(
        start_ns=start_ns,
        step_ns=LOUDNESS_STEP_NS,
        dbfs=tuple(level_dbfs(samples[f]) if real[f].mean() > 0.5 else None for f in frames),
    )


def _without_guesses(window: Window) -> Window:
    """`window` less the words that others will replace, so that none counts twice."""
    views = tuple(_settled_words(v) if v.modality is Modality.TEXT else v for v in window.views)
    return msgspec.structs.replace(window, views=views)


def _settled_words(view: View) -> View:
    rows = [i for i, m in enumerate(view.payloads) if isinstance(m, TextMessage) and m.is_final]
    if len(rows) == len(view.payloads):
        return view
    silent = ViewState.EMPTY if view.coverage > 0 else ViewState.ABSENT
    return msgspec.structs.replace(
        view,
        header=view.header[rows],
        payloads=tuple(view.payloads[i] for i in rows),
        new_from=sum(i < view.new_from for i in rows),
        state=view.state if rows else silent,
    )


def _texts_begun(view: View | None, start_ns: int, end_ns: int) -> tuple[TextSpan, ...]:
    if view is None:
        return ()
    return tuple(
        TextSpan(
            start_ns=int(row[T_NS]),
            end_ns=int(row[T_NS] + max(row[DURATION_NS], 1)),
            text=message.text,
            language=message.language,
        )
        for row, message in zip(view.header, view.payloads, strict=True)
        if isinstance(message, TextMessage) and start_ns <= row[T_NS] < end_ns
    )


def _word_count(view: View | None, start_ns: int, end_ns: int) -> int:
    """Words of the window; of texts whose words have times, those that were begun in it."""
    messages = [m for m in view.payloads if isinstance(m, TextMessage)] if view is not None else []
    return sum(
        sum(start_ns <= word.start_ns < end_ns for word in m.words)
        if m.words
        else len(m.text.split())
        for m in messages
    )


def _face_counts(view: View | None) -> list[FaceCount]:
    if view is None:
        return []
    return [
        FaceCount(
            t_ns=int(row[T_NS]),
            faces=len(seen.faces),
            track_id=seen.faces[0].track_id if seen.faces else -1,
        )
        for row, seen in zip(view.header, view.payloads, strict=True)
        if isinstance(seen, FaceObservation)
    ]


def _receipt(view: View) -> ModalityReceipt:
    return ModalityReceipt(
        state=ViewState(view.state),
        coverage=rounded(view.coverage),
        packets=len(view.header),
        offset_ns=view.offset_ns,
        uncertainty_ns=view.uncertainty_ns,
    )


def rounded(value: float | np.floating) -> float:
    """`value` as the wire carries it."""
    return round(float(value), DECIMALS)
