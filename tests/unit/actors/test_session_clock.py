"""Session time on a node whose clock is another one, driven by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.align import AlignStage
from actors.messages import Assigned, Beginning, Packets, StreamEnded, StreamOpened, WindowReady
from actors.session_clock import SessionClock, assigned_here, sent_on, told
from streaming.clock import NS_PER_S, HandClock
from streaming.packets import Modality, PacketBatch
from streaming.settings import StreamSettings, WindowSettings
from streaming.source_settings import SyntheticSettings

HOUR_NS = 3600 * NS_PER_S


class Far:
    """The driver's clock as a node knows it: `ahead_ns` of the node's at 0, faster by `ppm`."""

    def __init__(self, ahead_ns: int, ppm: float = 0.0) -> None:
        self.ahead_ns, self.ppm = ahead_ns, ppm

    def session_ns(self, own_ns: int) -> int:
        return own_ns + self.ahead_ns + round(own_ns * self.ppm / 1e6)

    def at(self, session_ns: int) -> tuple[int, int]:
        return round((session_ns - self.ahead_ns) / (1 + self.ppm / 1e6)), 0

    def doubt(self) -> None: ...
    def news(self) -> list: ...
    def close(self) -> None: ...


@given(st.integers(-(10**15), 10**15), st.floats(-500, 500), st.integers(0, 10**6))
def test_session_time_is_that_of_the_drivers_node(ahead_ns: int, ppm: float, own_s: int):
    far, own = Far(ahead_ns, ppm), HandClock(own_s * NS_PER_S)
    clock = SessionClock(own, far)
    assert abs(clock.now_ns() - far.session_ns(own.now_ns())) < 1_000_000
    own.advance(NS_PER_S)
    assert abs(clock.now_ns() - far.session_ns(own.now_ns())) < 1_000  # it gains with each reading


def test_it_never_runs_backwards_when_the_other_clock_is_known_better():
    # own      0 ... 1 s    1 s + 1 ms          1 s + 6 ms
    # ahead    5 ms         is found to be 0    still 0
    far, own = Far(5_000_000), HandClock(NS_PER_S)
    clock = SessionClock(own, far)
    first = clock.now_ns()
    far.ahead_ns = 0
    own.advance(1_000_000)
    assert clock.now_ns() == first == NS_PER_S + 5_000_000
    own.advance(5_000_000)
    assert clock.now_ns() == NS_PER_S + 6_000_000


def test_waiting_ends_when_the_drivers_node_says_so():
    far, own = Far(HOUR_NS, ppm=100), HandClock()
    clock = SessionClock(own, far)
    assert clock.wait_until(HOUR_NS + 60 * NS_PER_S)
    assert 59.9 * NS_PER_S < own.now_ns() < 60 * NS_PER_S


def test_on_the_drivers_node_it_is_the_hosts_own():
    own = HandClock(7)
    assert (SessionClock(own).now_ns(), SessionClock(own).ahead_ns()) == (7, 0)


def test_the_origin_of_a_stream_is_told_in_session_time_and_taken_back():
    opened = StreamOpened(stream="s", modalities=(Modality.TEXT,), origin_ns=1_000, paced=True)
    moved = sent_on(opened, 500)
    assert isinstance(moved, StreamOpened)
    assert moved.origin_ns == 1_500
    batch = PacketBatch.of("s", Modality.TEXT, [], progress_ns=0)
    with_packets = sent_on(Packets(batch, 0, opened), 500)
    assert isinstance(with_packets, Packets)
    assert with_packets.opened == moved
    ended = StreamEnded(stream="s", end_ns=1)
    assert sent_on(ended, 500) is ended

    beginning = Beginning(origin_ns=1_000)
    assigned = Assigned(
        stream=StreamSettings(sources=(SyntheticSettings(),)),
        beginning=told({"s": beginning}, 500)["s"],
    )
    assert assigned_here(assigned, 500).beginning == beginning
    assert assigned_here(assigned, -200).beginning == Beginning(origin_ns=1_700)  # another node


def test_the_deadline_of_a_window_follows_what_its_reader_told_last():
    # stream time 0 is at 0 s, later found to be at 1 s of the session; nothing more comes
    # window 0 ends at 2 s of the stream and waits a second: until 4 s of the session, not 3 s
    clock = HandClock()
    stage = AlignStage(WindowSettings(), clock)

    def hears(origin_ns: int, progress_ns: int) -> None:
        opened = StreamOpened(
            stream="s", modalities=(Modality.TEXT,), origin_ns=origin_ns, paced=True
        )
        batch = PacketBatch.of("s", Modality.TEXT, [], progress_ns=progress_ns)
        stage.handle(Packets(batch, 0, opened))

    hears(0, 0)
    clock.advance(NS_PER_S)
    hears(NS_PER_S, NS_PER_S)
    clock.advance(2 * NS_PER_S + NS_PER_S // 2)
    assert stage.tick() == []
    clock.advance(NS_PER_S // 2)
    (window,) = stage.tick()
    assert isinstance(window, WindowReady)
    assert window.index == 0
