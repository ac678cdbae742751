"""A scripted sender under a hand-driven clock: what comes, when it is from, and what is told."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from media_factory import grey
from network_script import BEGIN_NS, FRAME_NS, Clip, end_ns, of, watch, watched

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, Progress
from streaming.sources.network_pace import Pace
from streaming.sources.network_port import Arrived, Gone
from streaming.sources.network_time import WRAP_NS

DELAY_NS = 40 * NS_PER_MS  # of every packet, which nobody can see from its times of arrival


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return Clip(tmp_path / "a.ts")


def told(items: list) -> list[tuple[HealthKind, Modality | None]]:
    return [(i.kind, i.modality) for i in items if isinstance(i, Health)]


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


def sound(items: list) -> np.ndarray:
    return np.concatenate([p.payload.samples[:, 0] for p in of(items, Modality.AUDIO)])


def check_laws(items: list) -> None:
    """What holds for whatever is sent: numbers, order, promises, and the ends."""
    floor = {}
    for modality in (Modality.VIDEO, Modality.AUDIO):
        packets = of(items, modality)
        assert [p.seq for p in packets] == list(range(len(packets)))
    for item in items:
        if isinstance(item, Packet | Progress):
            assert item.t_ns >= floor.get(item.modality, BEGIN_NS)
            floor[item.modality] = item.t_ns
    assert [i.modality for i in items[-3:] if isinstance(i, Progress) and i.ended] == [
        Modality.VIDEO,
        Modality.AUDIO,
    ]


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


def in_pieces(
    arrivals: Iterable[Arrived], late_s: dict[int, float] | None = None, *, length_s: int = 1
) -> list:
    """Pieces of what a sender makes, each at once when it is complete; piece `n` comes `late_s[n]`
    seconds later than that."""
    script: list = []
    now_ns = BEGIN_NS
    for arrived in arrivals:
        piece = -(-(arrived.arrival_ns - BEGIN_NS) // (length_s * NS_PER_S))
        at_ns = BEGIN_NS + round((piece * length_s + (late_s or {}).get(piece, 0)) * NS_PER_S)
        if at_ns > now_ns:
            script.append(at_ns - now_ns)
            now_ns = at_ns
        script.append(arrived._replace(arrival_ns=at_ns))
    return script


def told_at(came: list, kind: HealthKind) -> dict[Modality, float]:
    """When news of this kind came out, in seconds."""
    return {
        i.modality: (now_ns - BEGIN_NS) / NS_PER_S
        for now_ns, i in came
        if isinstance(i, Health) and i.kind is kind
    }


def test_a_server_that_sends_in_pieces_comes_in_time_with_a_delay(clip: Clip):
    script = [clip.connected, *in_pieces(clip.sent())]
    came = watched(script, seconds=9, delay_ms=1500)
    items = [item for _, item in came]
    check_laws(items)
    #  sender   0 ....... 1 ....... 2 ....... 3 ....... 4 s |nothing
    #  arrival            |0 to 1   |1 to 2   |2 to 3   |3 to 4   |4 to 4.1
    #  given              . 0 + 1.5 s ..................... 4 + 1.5 s
    #  lost                                                        5 + 1.5 * 1 + 0.5 = 7 s
    pictures = [
        (t, i.t_ns) for t, i in came if isinstance(i, Packet) and i.modality is Modality.VIDEO
    ]
    assert len(pictures) >= 85
    assert all(0 <= now_ns - t_ns <= 150 * NS_PER_MS for now_ns, t_ns in pictures[10:])
    assert told_at(came, HealthKind.SOURCE_LOST) == {
        Modality.VIDEO: pytest.approx(7.0, abs=0.2),
        Modality.AUDIO: pytest.approx(7.0, abs=0.2),
    }
    rest = [i for i in items if isinstance(i, Health) and i.kind is not HealthKind.SOURCE_LOST]
    assert [(i.kind, i.count) for i in rest] == [
        (HealthKind.DROP, 1)
    ]  # what the decoder still held


def test_of_a_server_that_sends_in_pieces_a_loss_is_told_while_pictures_still_wait(
    tmp_path: Path, clip: Clip
):
    again = Clip(tmp_path / "b.ts", seconds=3)
    refused = [Gone("broke off"), NS_PER_S // 10, *[Gone("refused"), NS_PER_S // 2] * 10]
    back = in_pieces(again.sent(begin_ns=BEGIN_NS + 10 * NS_PER_S))
    back[0] -= round(10.2 * NS_PER_S)
    script = [clip.connected, *in_pieces(clip.sent()), *refused, again.connected, *back]
    came = watched(script, seconds=16.5, delay_ms=3000)
    items = [item for _, item in came]
    check_laws(items)
    #  arrival   1   2   3   4   5 |gone, 5.1 refused ...     10.2 |connected 11  12  13
    #  told                          |lost                                    |back      16.1 |lost
    #  given     |3 s later .................... 7             13 ...................... 16
    first = [(t, i) for t, i in came if t < BEGIN_NS + 10 * NS_PER_S]
    both = {Modality.VIDEO, Modality.AUDIO}
    assert told_at(first, HealthKind.SOURCE_LOST) == dict.fromkeys(
        both, pytest.approx(5.1, abs=0.15)
    )
    assert told_at(came, HealthKind.RECOVERED) == dict.fromkeys(both, pytest.approx(11.1, abs=0.2))
    assert told_at(came, HealthKind.SOURCE_LOST) == dict.fromkeys(
        both, pytest.approx(16.1, abs=0.2)
    )
    assert len([k for k, _ in told(items) if k is HealthKind.SOURCE_LOST]) == 4
    assert any("refused" in i.detail for _, i in first if isinstance(i, Health))
    given = [t for t, i in came if isinstance(i, Packet) and i.modality is Modality.VIDEO]
    assert sum(t > BEGIN_NS + 5.3 * NS_PER_S for t in given if t < BEGIN_NS + 9 * NS_PER_S) >= 35
    assert sum(t > BEGIN_NS + 13 * NS_PER_S for t in given) >= 70
    #  from when all is out until the first is due again, promises follow 0.2 s behind
    promised = [
        (now_ns - BEGIN_NS, i.t_ns - BEGIN_NS)
        for now_ns, i in came
        if isinstance(i, Progress) and not i.ended
    ]
    away = [(now, t) for now, t in promised if 8 * NS_PER_S < now < 10 * NS_PER_S]
    assert len(away) >= 20
    assert all(now - t == 200 * NS_PER_MS for now, t in away)
    assert max(t for now, t in promised if now < 13 * NS_PER_S) >= 12.5 * NS_PER_S


def test_a_break_that_is_mended_at_once_is_no_loss_and_gives_nothing_twice(
    tmp_path: Path, clip: Clip
):
    again = Clip(tmp_path / "a.ts")  # the same once more: what the server has kept
    first = [a for a in clip.sent() if a.arrival_ns < BEGIN_NS + 2 * NS_PER_S]
    kept = [
        a._replace(arrival_ns=max(a.arrival_ns, BEGIN_NS + round(2.2 * NS_PER_S)))
        for a in again.sent()
    ]
    script = [clip.connected, *first, Gone("broke off"), NS_PER_S // 10, again.connected, *kept]
    items = watch(script, seconds=9, delay_ms=3000)
    check_laws(items)
    #  0 ........ 2 s |broke, 0.1 s later there again
    #                   |0 to 2.2 at once, the rest as it is made
    pictures = [p.t_ns for p in of(items, Modality.VIDEO)]
    assert len(pictures) == pytest.approx(98, abs=3)
    # the second line may lie some ms after the first: one picture may seem to be a new one
    assert sum(np.diff(pictures) < FRAME_NS // 2) <= 1
    assert len(sound(items)) / 16_000 == pytest.approx(4.0, abs=0.05)
    assert {kind for kind, _ in told(items)} == {HealthKind.DROP}


@pytest.mark.parametrize(("late_s", "lost"), [(1.2, set()), (1.8, {"video", "audio"})])
def test_a_slow_server_is_not_lost_until_one_and_a_half_pieces_have_not_come(
    tmp_path: Path, late_s: float, lost: set
):
    clip = Clip(tmp_path / "long.ts", seconds=10)
    script = [clip.connected, *in_pieces(clip.sent(), {4: late_s}, length_s=2)]
    came = watched(script, seconds=12, delay_ms=5000)
    check_laws([i for _, i in came])
    #  arrival    2     4     6         9.2 or 9.8  10     nothing is missing either way
    #  lost                          6 + 1.5 * 2 + 0.5
    assert set(told_at(came, HealthKind.SOURCE_LOST)) == lost
    assert set(told_at(came, HealthKind.RECOVERED)) == lost
    pictures = of([i for _, i in came], Modality.VIDEO)
    assert len(pictures) >= 165
    assert max(np.diff([p.t_ns for p in pictures])) <= 2 * FRAME_NS


def test_no_pause_between_pieces_makes_a_loss_wait_longer_than_without_any():
    pace = Pace(3 * NS_PER_S)
    #  0        20       40       60 s: 3 + 2 s later at the most
    for n in range(4):
        pace.note(n * 20 * NS_PER_S)
    assert not pace.is_silent(65 * NS_PER_S)
    assert pace.is_silent(65 * NS_PER_S + 1)


def test_a_piece_of_which_only_pictures_come_and_a_break_are_bridged(tmp_path: Path, clip: Clip):
    again = Clip(tmp_path / "b.ts", seconds=8)
    first = in_pieces(clip.sent())
    at_ns = BEGIN_NS + 6 * NS_PER_S
    flush = first[-1]._replace(packet=clip.packets[-2], arrival_ns=at_ns)
    assert flush.packet.stream.type == "video"
    kept = [a for a in in_pieces(again.sent()) if isinstance(a, Arrived)]
    kept = [a._replace(arrival_ns=max(a.arrival_ns, BEGIN_NS + 36 * NS_PER_S // 5)) for a in kept]
    script = [*first, NS_PER_S, flush, 105 * NS_PER_S // 100, Gone("503"), NS_PER_S // 10]
    items = watch([clip.connected, *script, again.connected, *kept], seconds=8.5, delay_ms=3000)
    check_laws(items)
    #  pieces   1   2   3   4   5   6: a picture   7.1 |503  7.2 |there again
    assert {kind for kind, _ in told(items)} <= {HealthKind.DROP, HealthKind.GAP}


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
