"""A scripted sender under a hand-driven clock: what comes, when it is from, and what is told."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from media_factory import grey
from network_script import (
    BEGIN_NS,
    FRAME_NS,
    Clip,
    check_laws,
    end_ns,
    of,
    sound,
    told,
    watch,
    watched,
)

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, Progress
from streaming.sources.network_port import Arrived, Gone
from streaming.sources.network_time import WRAP_NS

DELAY_NS = 40 * NS_PER_MS  # of every packet, which nobody can see from its times of arrival


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return Clip(tmp_path / "a.ts")


def shown(packet: Packet) -> float:
    return float(packet.payload.pixels.mean())


def picture_errors(items: list, begin_ns: int = BEGIN_NS) -> list[int]:
    """How much later than shown each picture is dated; the clip's picture is told by its grey."""
    errors = []
    for packet in of(items, Modality.VIDEO):
        n = round((packet.t_ns - begin_ns - DELAY_NS) / FRAME_NS)
        if shown(packet) == pytest.approx(grey(n), abs=6):
            errors.append(packet.t_ns - begin_ns - n * FRAME_NS)
    return errors


def test_pictures_and_sound_by_the_senders_times(clip: Clip):
    sent = list(clip.sent())
    items = watch([clip.connected, *sent], seconds=3.9)
    check_laws(items)
    #  sender   |0 ms            the soonest of the first packets lays the line,
    #  arrival  |---- 40 ms and more later; both tracks are dated by it
    soonest_ns = min(a.arrival_ns - BEGIN_NS - (end_ns(a.packet) - clip.zero_ns) for a in sent)
    assert soonest_ns >= DELAY_NS
    errors = picture_errors(items)
    assert len(errors) >= 85
    assert max(abs(e - soonest_ns) for e in errors) <= 12 * NS_PER_MS
    assert np.ptp(errors) <= 3 * NS_PER_MS
    assert len(sound(items)) / 16_000 == pytest.approx(3.85, abs=0.05)
    assert told(items) == []


def test_what_a_server_has_kept_comes_at_once_and_moves_no_time(clip: Clip):
    sent = list(clip.sent(begin_ns=BEGIN_NS - 2 * NS_PER_S))
    burst = [Arrived(a.packet, max(a.arrival_ns, BEGIN_NS)) for a in sent]
    items = watch([clip.connected, *burst], seconds=1.9)
    check_laws(items)
    #  sender   |-2 s .......... 0 .......... 2 s
    #  arrival                   |all at once, then as it is made
    errors = picture_errors(items, BEGIN_NS - 2 * NS_PER_S)
    assert len(errors) >= 40
    assert max(map(abs, errors)) <= 60 * NS_PER_MS
    assert told(items) == []  # what was before the source's own beginning is nobody's loss


def test_what_was_kept_is_waited_out_and_nothing_else(tmp_path: Path, clip: Clip):
    sent = list(clip.sent())
    came = watched([clip.connected, *sent], seconds=3.9)
    first_ns = next(now_ns for now_ns, i in came if isinstance(i, Packet))
    #  arrival  |first ... none comes sooner after its time for 100 ms |given
    assert 0.1 <= (first_ns - sent[0].arrival_ns) / NS_PER_S <= 0.17
    kept_ns = BEGIN_NS - 2 * NS_PER_S
    again = Clip(tmp_path / "b.ts")
    trickle = [
        a._replace(arrival_ns=max(a.arrival_ns, BEGIN_NS + (a.arrival_ns - kept_ns) // 10))
        for a in again.sent(begin_ns=kept_ns)
    ]
    items = watch([again.connected, *trickle], seconds=1.9)
    #  sender   |-2 s ............ 0 ..... 2 s
    #  arrival                     |-2 to 0.2 s within 0.2 s, then as it is made
    errors = picture_errors(items, kept_ns)
    assert len(errors) >= 40
    assert max(map(abs, errors)) <= 60 * NS_PER_MS


def test_between_two_pictures_each_frame_is_a_promise(clip: Clip):
    # frames   | | | | | | |      each 40 ms, one in 250 ms is looked at
    # told     p . . . . . p
    items = watch([clip.connected, *clip.sent()], seconds=3.9, rate_hz=4.0)
    check_laws(items)
    assert len(of(items, Modality.VIDEO)) == pytest.approx(15, abs=1)
    told_ns = [
        i.t_ns for i in items if isinstance(i, Packet | Progress) and i.modality is Modality.VIDEO
    ]
    assert max(np.diff(told_ns[:-1])) <= FRAME_NS + 12 * NS_PER_MS


def test_a_stream_that_goes_is_told_of_and_comes_back(tmp_path: Path, clip: Clip):
    again = Clip(tmp_path / "b.ts", seconds=3)
    back_ns = BEGIN_NS + 9 * NS_PER_S
    refused = [Gone("refused"), NS_PER_S // 2] * 4
    script = [clip.connected, *clip.sent(), Gone("it broke"), 2 * NS_PER_S, *refused]
    items = watch([*script, again.connected, *again.sent(begin_ns=back_ns)], seconds=11.9)
    check_laws(items)
    #  0 ......... 4 s |gone   refused, refused, ...   8 s |connected  9 s |back
    #  packets         |promises follow 0.2 s behind       |none           |packets
    lost = [i for i in items if isinstance(i, Health) and i.kind is HealthKind.SOURCE_LOST]
    assert [i.modality for i in lost] == [Modality.VIDEO, Modality.AUDIO]
    assert all("it broke" in i.detail and "secret" not in i.detail for i in lost)
    assert all(i.t_ns <= BEGIN_NS + 4.2 * NS_PER_S for i in lost)
    back = [i for i in items if isinstance(i, Health) and i.kind is HealthKind.RECOVERED]
    assert {i.modality for i in back} == {Modality.VIDEO, Modality.AUDIO}
    assert all(back_ns < i.t_ns <= back_ns + NS_PER_S for i in back)
    promised = [i for i in items if isinstance(i, Progress) and not i.ended]
    at_most = max(p.t_ns for p in promised)
    assert back_ns - 2 * NS_PER_S <= at_most <= back_ns
    times = [p.t_ns for p in of(items, Modality.VIDEO)]
    assert sum(t > back_ns for t in times) >= 60
    gaps = [i for i in items if isinstance(i, Health) and i.kind is HealthKind.GAP]
    assert sum(g.count for g in gaps) / 16_000 == pytest.approx(5, abs=0.2)


def test_sound_that_stops_is_lost_alone(clip: Clip):
    half_ns = BEGIN_NS + NS_PER_S
    script = [a for a in clip.sent() if a.packet.stream.type == "video" or a.arrival_ns < half_ns]
    items = watch([clip.connected, *script], seconds=3.9)
    check_laws(items)
    #  video  0 ......................... 4 s
    #  audio  0 ... 1 s |nothing    3 s |lost: promised on
    assert told(items) == [(HealthKind.SOURCE_LOST, Modality.AUDIO)]
    assert len(of(items, Modality.VIDEO)) >= 85
    promised = [i.t_ns for i in items if isinstance(i, Progress) and not i.ended]
    assert promised and max(promised) >= BEGIN_NS + 3 * NS_PER_S


@pytest.mark.parametrize("leap_s", [-3.0, 3.0, 1000.0, -1000.0, -0.5])
def test_times_that_leap_are_told_of_and_followed(clip: Clip, leap_s: float):
    sent, zero_ns = list(clip.sent()), clip.zero_ns
    for arrived in sent:
        if arrived.arrival_ns >= BEGIN_NS + 2 * NS_PER_S:
            clip.moved(arrived.packet, round(leap_s * NS_PER_S))
    assert clip.zero_ns == zero_ns
    items = watch([clip.connected, *sent], seconds=3.9)
    check_laws(items)
    #  sender's times  0 ...... 2 s |leap ......
    #  arrival         0 ...... 2 s ......... 4 s   as if nothing had happened
    jumps = [kind for kind, _ in told(items) if kind is HealthKind.CLOCK_JUMP]
    assert 1 <= len(jumps) <= 2
    errors = picture_errors(items)
    assert len(errors) >= 80
    assert max(map(abs, errors)) <= 60 * NS_PER_MS


def test_a_counter_that_wraps_is_no_leap(clip: Clip):
    for packet in clip.packets:
        clip.moved(packet, WRAP_NS - 2 * NS_PER_S)
        if packet.dts >= 1 << 33:
            packet.dts -= 1 << 33
        if packet.pts >= 1 << 33:
            packet.pts -= 1 << 33
    first_ns = clip.packets[0].pts * NS_PER_S // 90_000
    sent = []
    for a in copy.copy(clip.packets):
        t_ns = (a.pts % (1 << 33)) * NS_PER_S // 90_000
        t_ns += WRAP_NS if t_ns < WRAP_NS // 2 else 0
        sent.append(Arrived(a, BEGIN_NS + t_ns - first_ns + 100 * NS_PER_MS))
    items = watch([clip.connected, *sent], seconds=3.9)
    check_laws(items)
    assert told(items) == []
    assert len(of(items, Modality.VIDEO)) >= 85


def test_packets_without_times_are_dated_by_their_arrival(clip: Clip):
    sent = list(clip.sent())
    for arrived in sent:
        arrived.packet.pts = arrived.packet.dts = None
    items = watch([clip.connected, *sent], seconds=3.9)
    check_laws(items)
    times = [p.t_ns for p in of(items, Modality.VIDEO)]
    assert len(times) >= 80
    assert min(times) >= BEGIN_NS and max(times) <= BEGIN_NS + 4 * NS_PER_S


def test_packets_that_nobody_had_room_for_are_counted(clip: Clip):
    sent = list(clip.sent())
    sent[200] = sent[200]._replace(passed=7)
    items = watch([clip.connected, *sent], seconds=3.9)
    drops = [i for i in items if isinstance(i, Health) and i.kind is HealthKind.DROP]
    assert drops[0].count == 7


def test_a_codec_that_changes_is_connected_to_anew(tmp_path: Path, clip: Clip):
    other = Clip(tmp_path / "b.ts", seconds=4, size=(96, 64), audio_rate=44_100)
    sent = list(clip.sent())
    for arrived in sent:
        if arrived.arrival_ns > BEGIN_NS + NS_PER_S:
            arrived.packet.update(bytes(arrived.packet.size))
    begin_ns = BEGIN_NS + 33 * NS_PER_S // 10
    script = [clip.connected, *sent, Gone("renewed"), other.connected]
    items = watch([*script, *other.sent(begin_ns=begin_ns)], seconds=7.9)
    check_laws(items)
    #  0 .... 1 s |nothing can be decoded, up to 4 s   3 s |connected anew, not waiting for the end
    lost = [i for i in items if isinstance(i, Health) and i.kind is HealthKind.SOURCE_LOST]
    assert {i.modality for i in lost} == {Modality.VIDEO, Modality.AUDIO}
    assert all(i.t_ns <= BEGIN_NS + 3.5 * NS_PER_S for i in lost)
    back = [i for i in items if isinstance(i, Health) and i.kind is HealthKind.RECOVERED]
    assert {i.modality for i in back} == {Modality.VIDEO, Modality.AUDIO}
    assert all(i.t_ns <= BEGIN_NS + 3.9 * NS_PER_S for i in back)
    assert any(
        shown(p) and p.payload.pixels.shape == (64, 96, 3) for p in of(items, Modality.VIDEO)
    )


@pytest.mark.parametrize("late_tracks", [True, False])
def test_sound_that_comes_later(tmp_path: Path, clip: Clip, late_tracks: bool):
    again = Clip(tmp_path / "b.ts", seconds=3)
    alone = clip.connected._replace(audio=None)
    back_ns = BEGIN_NS + 9 * NS_PER_S // 2
    script = [alone, *clip.sent(keep="video"), Gone("it has changed")]
    if not late_tracks:
        again.connected = again.connected._replace(audio=None)
    keep = None if late_tracks else "video"
    script += [again.connected, *again.sent(begin_ns=back_ns, keep=keep)]
    items = watch(script, seconds=7.4, late_tracks=late_tracks)
    #  video   0 .................... 4 s |made anew  4.5 s ........ 7.5 s
    #  audio   |promised up to now         |told       4.5 s ........ 7.5 s
    assert len(of(items, Modality.VIDEO)) >= 160
    kinds = [(HealthKind.SOURCE_LOST, "video"), (HealthKind.RECOVERED, "video")]
    if not late_tracks:
        assert told(items) == kinds
        assert {i.modality for i in items} == {Modality.VIDEO}
        return
    check_laws(items)
    assert told(items) == [kinds[0], (HealthKind.FORMAT, "audio"), kinds[1]]
    assert len(sound(items)) / 16_000 == pytest.approx(2.9, abs=0.2)
    promised = [
        i.t_ns
        for i in items
        if isinstance(i, Progress) and i.modality is Modality.AUDIO and not i.ended
    ]
    assert max(np.diff([BEGIN_NS, *promised])) <= 100 * NS_PER_MS
    assert max(promised) >= BEGIN_NS + 4 * NS_PER_S


def test_garbage_is_counted_and_the_rest_goes_on(clip: Clip):
    sent = list(clip.sent())
    for arrived in sent[100:140]:
        arrived.packet.update(bytes(arrived.packet.size))
    items = watch([clip.connected, *sent], seconds=3.9)
    check_laws(items)
    assert told(items) == [
        (HealthKind.CORRUPT, Modality.AUDIO),
        (HealthKind.GAP, Modality.AUDIO),
    ]
    assert len(of(items, Modality.VIDEO)) >= 50
