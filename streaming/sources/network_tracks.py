"""The tracks of a network stream: decoded as media of a file are, put out without waiting.

Invariant: a picture leaves with the frame that shows it, not with the next one, and each frame
that is not looked at is a promise that nothing older comes; sound stays at
its mapped time, as a microphone's does, over any number of connections.
"""

from __future__ import annotations

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame as AvVideoFrame
from av.video.stream import VideoStream

from streaming.clock import NS_PER_S
from streaming.health import HealthKind
from streaming.packets import Modality, Progress
from streaming.settings import VisionSettings
from streaming.sources.media_audio import NOT_FINITE, MonoResampler, finite
from streaming.sources.media_time import TimeLine
from streaming.sources.media_tracks import Track
from streaming.sources.media_video import VideoTrack
from streaming.sources.sound_run import SoundRun


class NetworkVideo(VideoTrack):
    """Pictures: the first frame at or after each tick, at once."""

    def __init__(
        self, track: VideoStream, *, stream: str, time_line: TimeLine, vision: VisionSettings
    ) -> None:
        super().__init__(track, stream=stream, time_line=time_line, vision=vision)
        self._tick_ns = round(NS_PER_S / vision.rate_hz)
        self._size: tuple[int, int] | None = None

    def _take(
        self, frame: AudioFrame | AvVideoFrame, t_ns: int, duration_ns: int, uncertainty_ns: int
    ) -> None:
        assert isinstance(frame, AvVideoFrame)
        before, self._size = self._size, (frame.width, frame.height)
        if before not in (None, self._size):
            words = f"pictures are {frame.width} x {frame.height} from now on"
            self.say(HealthKind.FORMAT, words)
        super()._take(frame, t_ns, duration_ns, uncertainty_ns)
        pending, self._pending = self._pending, None
        if pending is not None:
            self._put(pending, pending.t_ns + self._tick_ns)
        else:
            self.queue.append(
                Progress(stream=self._stream, modality=self.modality, t_ns=self._last_ns)
            )


class NetworkSound(Track):
    """Sound at its own rate into `run`, which outlives the connection.

    `changed`: its rate or layout did, by which FFmpeg goes on to reckon times within a packet.
    """

    modality = Modality.AUDIO

    def __init__(
        self, track: AudioStream, *, stream: str, time_line: TimeLine, run: SoundRun
    ) -> None:
        super().__init__(track, stream=stream, time_line=time_line)
        self._run = run
        self.changed = False
        self._mixer: MonoResampler | None = None

    @property
    def floor_ns(self) -> int:
        return self._run.end_ns

    def rest(self) -> None:
        """End the run and put out the partial chunk."""
        self.queue += self._run.end()

    def _take(
        self, frame: AudioFrame | AvVideoFrame, t_ns: int, duration_ns: int, uncertainty_ns: int
    ) -> None:
        assert isinstance(frame, AudioFrame)
        frame, bad = finite(frame)
        if bad:
            self.count_corrupt(bad, NOT_FINITE)
        if self._mixer is None or not self._mixer.accepts(frame):
            if self._mixer is not None:
                words = f"sound is {frame.sample_rate} Hz {frame.layout.name} from now on"
                self.say(HealthKind.FORMAT, words)
                self.changed = True
            self._mixer = MonoResampler(frame, out_hz=frame.sample_rate)
        frame.pts = None  # the run counts samples
        samples = self._mixer.convert(frame)
        self.queue += self._run.push(
            t_ns, samples, frame.sample_rate, uncertainty_ns=uncertainty_ns
        )

    def _duration_ns(self, frame: AudioFrame | AvVideoFrame) -> int:
        assert isinstance(frame, AudioFrame)
        return frame.samples * NS_PER_S // frame.sample_rate
