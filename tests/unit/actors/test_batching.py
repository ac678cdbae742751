"""Batches: what goes in comes out once, in order."""

from __future__ import annotations

from actors.batching import HopBatcher
from streaming.health import Health, HealthKind
from streaming.packets import Modality, Packet, Progress, TextMessage


def word(seq: int, t_ns: int) -> Packet:
    return Packet(
        stream="s", modality=Modality.TEXT, seq=seq, t_ns=t_ns, payload=TextMessage(text=str(seq))
    )


def test_a_cut_takes_all_there_is_and_leaves_nothing() -> None:
    # text  0 . 1 | 2        cuts at |
    batcher = HopBatcher("s", [Modality.TEXT, Modality.AUDIO])
    batcher.add(word(0, 0))
    batcher.add(word(1, 200))
    text, audio = batcher.cut(500)
    batcher.add(word(2, 600))
    again, _ = batcher.cut(1000)

    assert text.header[:, 0].tolist() == [0, 1]
    assert again.header[:, 0].tolist() == [2]
    assert (len(audio.payloads), audio.progress_ns, audio.ended) == (0, 500, False)


def test_an_ended_modality_is_cut_once_more_and_then_no_more() -> None:
    batcher = HopBatcher("s", [Modality.TEXT])
    batcher.add(word(0, 10))
    batcher.add(Progress(stream="s", modality=Modality.TEXT, t_ns=11, ended=True))
    (last,) = batcher.cut(500)

    assert (last.ended, last.progress_ns, len(last.payloads)) == (True, 11, 1)
    assert batcher.cut(1000) == []
    assert batcher.finished


def test_a_modality_that_may_still_be_late_gets_no_promise() -> None:
    batcher = HopBatcher("s", [Modality.TEXT, Modality.AUDIO])
    text, audio = batcher.cut(500, unpromised={Modality.TEXT})
    assert (text.progress_ns, audio.progress_ns) == (0, 500)


def test_health_leaves_with_the_next_batch_exactly_once() -> None:
    batcher = HopBatcher("s", [Modality.TEXT, Modality.AUDIO])
    batcher.add(Health(stream="s", kind=HealthKind.GAP, t_ns=3))
    batches = [*batcher.cut(500), *batcher.cut(1000)]
    assert [h.kind for b in batches for h in b.health] == [HealthKind.GAP]


def test_a_modality_that_is_not_promised_for_has_its_sources_own_promise() -> None:
    batcher = HopBatcher("s", [Modality.TEXT, Modality.AUDIO])
    promises = []
    for t_ns in (None, 200, 100, -5):  # a promise never runs backwards
        if t_ns is not None:
            batcher.add(Progress(stream="s", modality=Modality.TEXT, t_ns=t_ns))
        promises.append([b.progress_ns for b in batcher.cut(500, {Modality.TEXT})])
    assert promises == [[0, 500], [200, 500], [200, 500], [200, 500]]
    assert [b.progress_ns for b in batcher.cut(500)] == [500, 500]


def test_what_a_device_has_reached_is_promised_from_then_on() -> None:
    batcher = HopBatcher("s", [Modality.AUDIO])
    assert batcher.cut_one(Modality.AUDIO, 520).progress_ns == 520
    batcher.add(Progress(stream="s", modality=Modality.AUDIO, t_ns=510))
    (cut,) = batcher.cut(500, {Modality.AUDIO})
    assert (cut.progress_ns, batcher.promised_ns(Modality.AUDIO)) == (520, 520)
