"""Words are sent by streams that may send them, each once, and by no other."""

from __future__ import annotations

import msgspec
import pytest

from actors.align import AlignStage
from actors.infer import InferStage
from actors.ingest import Ingest
from actors.messages import Cargo, Packets, Scored, StreamOpened, decode, encode
from streaming.clock import HandClock
from streaming.packets import Modality, Packet, PacketBatch, TextMessage
from streaming.settings import AttuneSettings, PipelineSettings, StreamSettings, WindowSettings
from streaming.source_settings import SyntheticSettings
from tests.unit.actors.test_backlog import MS, SlowModel


def text(seq: int, t_ms: int, said: str, *, is_final: bool = True) -> Packet:
    return Packet(
        stream="s",
        modality=Modality.TEXT,
        seq=seq,
        t_ns=t_ms * MS,
        duration_ns=100 * MS,
        payload=TextMessage(text=said, is_final=is_final),
    )


@pytest.mark.parametrize("sends", [True, False])
def test_each_text_is_in_one_result_if_words_may_be_sent(sends: bool) -> None:
    # length 2000, hop 500
    # text    a  guess        b         c         |
    # ms      100  200        1200      2100      3000
    opened = StreamOpened(
        stream="s", modalities=(Modality.TEXT,), origin_ns=0, paced=False, sends_words=sends
    )
    packets = [
        text(0, 100, "I am glad"),
        text(1, 200, "I am gl", is_final=False),
        text(2, 1200, "really"),
        text(3, 2100, "are you"),
    ]
    batch = PacketBatch.of("s", Modality.TEXT, packets, progress_ns=3000 * MS, ended=True)
    clock = HandClock()
    align = AlignStage(WindowSettings(), clock)
    align.handle(opened)
    ready = [decode(encode(cargo)) for cargo in align.handle(Packets(batch))]
    out = InferStage(SlowModel(clock, 0), clock).handle(ready)
    said = [c.prediction.result.words for c in out if isinstance(c, Scored)]
    expected = [("I am glad", "really"), ("are you",)]
    assert said == (expected if sends else [None, None])


@pytest.mark.parametrize("sends", [None, "scores", "words"])
def test_a_stream_sends_words_only_if_it_says_so(sends: str | None) -> None:
    source = SyntheticSettings(duration_s=0.5)
    said = {} if sends is None else {"sends": sends}
    stream = msgspec.convert(
        {"name": "s", "sources": [msgspec.to_builtins(source)], **said}, StreamSettings
    )
    out: list[Cargo] = []
    settings = AttuneSettings(streams=(stream,), pipeline=PipelineSettings(pace="fast"))
    ingest = Ingest((stream,), settings, HandClock(), lambda cargo: out.append(cargo) or True)
    ingest.start()
    assert ingest.join(30)
    assert isinstance(out[0], StreamOpened)
    assert out[0].sends_words is (sends == "words")
