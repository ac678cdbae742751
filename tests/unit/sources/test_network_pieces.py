"""A scripted web server that sends in pieces, under a hand-driven clock, with a delay."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from network_script import BEGIN_NS, FRAME_NS, Clip, check_laws, of, sound, told, watch, watched

from streaming.clock import NS_PER_MS, NS_PER_S
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, Progress
from streaming.sources.network_pace import Pace
from streaming.sources.network_port import Arrived, Gone


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return Clip(tmp_path / "a.ts")


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
