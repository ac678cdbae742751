"""Sound of a media file: any rate, layout and format in, 16 kHz mono on hop boundaries out.

Invariant: the time of an output sample follows from its run's anchor and its index. A hole or
a change of format in the input flushes the resampler, so sound never bleeds across a hole.
"""

from __future__ import annotations

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.plane import AudioPlane
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.video.frame import VideoFrame as AvVideoFrame

from streaming.clock import NS_PER_S
from streaming.packets import Float32Array, Modality
from streaming.settings import AUDIO_RATE_HZ
from streaming.sources.audio_framing import RUN_TOLERANCE_NS, AudioFramer
from streaming.sources.media_time import TimeLine
from streaming.sources.media_tracks import Track

NOT_FINITE = "samples that are not finite numbers, replaced by 0"
FLOAT_FORMATS = {"flt": np.float32, "fltp": np.float32, "dbl": np.float64, "dblp": np.float64}


class MonoResampler:
    """One run of sound to mono float32 (N,), in [-1, 1], at `out_hz`."""

    def __init__(self, frame: AudioFrame, out_hz: int = AUDIO_RATE_HZ) -> None:
        self.rate_hz, self._out_hz = frame.sample_rate, out_hz
        self._shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        self._swr = _swr(out_hz)
        self._average = False

    def accepts(self, frame: AudioFrame) -> bool:
        """Whether `frame` has the format this run began with."""
        return self._shape == (frame.format.name, frame.layout.name, frame.sample_rate)

    def convert(self, frame: AudioFrame) -> Float32Array:
        """What the resampler gives for one more frame."""
        if not self._average:
            try:
                return _joined(self._swr.resample(frame))
            except FFmpegError:  # a layout without a known way down to mono
                self._average = True
                self._swr = _swr(self._out_hz)
        return _joined(self._swr.resample(_averaged(frame)))

    def flush(self) -> Float32Array:
        """What the resampler still holds."""
        return _joined(self._swr.resample(None))


class AudioTrack(Track):
    """The track of sound: `AudioChunk` packets of 16 kHz mono, one for each hop and run."""

    modality = Modality.AUDIO

    def __init__(
        self, track: AudioStream, *, stream: str, time_line: TimeLine, hop_ns: int
    ) -> None:
        super().__init__(track, stream=stream, time_line=time_line)
        self._framer = AudioFramer(hop_ns, stream=stream)
        self._swr: MonoResampler | None = None
        self._run_ns = 0  # time of the run's first sample
        self._samples_in = 0
        self._samples_out = 0

    @property
    def floor_ns(self) -> int:
        return self._framer.end_ns if self.frames else self._start_ns

    def rest(self) -> None:
        """End the run and put out the partial chunk."""
        self._end_run()
        self.queue += self._framer.flush()

    def _take(
        self, frame: AudioFrame | AvVideoFrame, t_ns: int, duration_ns: int, uncertainty_ns: int
    ) -> None:
        assert isinstance(frame, AudioFrame)
        if not self._continues(frame, t_ns):
            self._end_run()
            self._swr = MonoResampler(frame)
            self._run_ns, self._samples_in, self._samples_out = t_ns, 0, 0
        assert self._swr is not None
        self._samples_in += frame.samples
        frame.pts = None  # the run counts samples; a rounded time would only disturb it
        frame, bad = finite(frame)
        if bad:
            self.count_corrupt(bad, NOT_FINITE)
        self._push(self._swr.convert(frame), uncertainty_ns)

    def _continues(self, frame: AudioFrame, t_ns: int) -> bool:
        if self._swr is None or not self._swr.accepts(frame):
            return False
        expected_ns = self._run_ns + self._samples_in * NS_PER_S // self._swr.rate_hz
        return abs(t_ns - expected_ns) <= RUN_TOLERANCE_NS

    def _end_run(self) -> None:
        if self._swr is not None:
            self._push(self._swr.flush(), 0)
            self._swr = None

    def _push(self, samples: Float32Array, uncertainty_ns: int) -> None:
        if not len(samples):
            return
        t_ns = self._run_ns + self._samples_out * NS_PER_S // AUDIO_RATE_HZ
        self._samples_out += len(samples)
        before_zero = min(max(-t_ns * AUDIO_RATE_HZ // NS_PER_S, 0), len(samples))
        self.queue += self._framer.push(
            max(t_ns, 0), samples[before_zero:], uncertainty_ns=uncertainty_ns
        )

    def _duration_ns(self, frame: AudioFrame | AvVideoFrame) -> int:
        assert isinstance(frame, AudioFrame)
        return frame.samples * NS_PER_S // frame.sample_rate


def finite(frame: AudioFrame) -> tuple[AudioFrame, int]:
    """`frame`, with samples that are not numbers replaced by 0, and how many there were."""
    dtype = FLOAT_FORMATS.get(frame.format.name)
    if dtype is None or _finite_sum(frame, dtype):
        return frame, 0
    values = frame.to_ndarray()
    bad = int(values.size - np.count_nonzero(np.isfinite(values)))
    if not bad:
        return frame, 0
    clean = np.where(np.isfinite(values), values, 0.0).astype(np.float32)
    form = "fltp" if frame.format.is_planar else "flt"
    mended = AudioFrame.from_ndarray(clean, format=form, layout=frame.layout.name)
    mended.sample_rate = frame.sample_rate
    return mended, bad


def _swr(rate_hz: int) -> AudioResampler:
    # Without a limit on the mixing matrix, loud stereo would come out of it above full scale.
    options = {"rematrix_maxval": "1.0"}
    return AudioResampler(format="flt", layout="mono", rate=rate_hz, options=options)


def _finite_sum(frame: AudioFrame, dtype: type) -> bool:
    """A quick look: one bad sample makes the sum of its plane bad. Planes are padded at the end."""
    count = frame.samples * (1 if frame.format.is_planar else frame.layout.nb_channels)
    return all(bool(np.isfinite(_values(p, dtype, count).sum())) for p in frame.planes)


def _values(plane: AudioPlane, dtype: type, count: int) -> np.ndarray:
    """The first `count` values of a plane, not copied."""
    return np.frombuffer(plane, dtype, count)  # type: ignore[call-overload] # it is a buffer


def _joined(frames: list[AudioFrame]) -> Float32Array:
    parts = [_values(f.planes[0], np.float32, f.samples) for f in frames if f.samples]
    if not parts:
        return np.empty(0, np.float32)
    return np.clip(np.concatenate(parts), -1.0, 1.0).astype(np.float32, copy=False)


def _averaged(frame: AudioFrame) -> AudioFrame:
    """Mean over channels as a mono float frame."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    scale, offset = _full_scale(values.dtype)
    mono = ((values.astype(np.float32) - offset) / scale).mean(axis=0, keepdims=True)
    mixed = AudioFrame.from_ndarray(mono.astype(np.float32), format="flt", layout="mono")
    mixed.sample_rate = frame.sample_rate
    return mixed


def _full_scale(dtype: np.dtype) -> tuple[float, float]:
    if dtype.kind == "f":
        return 1.0, 0.0
    return (128.0, 128.0) if dtype == np.uint8 else (float(np.iinfo(dtype).max), 0.0)
