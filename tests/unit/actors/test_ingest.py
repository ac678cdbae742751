"""Ingest: streams are opened, spread over the hop, and one that is gone ends alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.ingest import Ingest, open_sources, phase_ns
from actors.messages import Assigned, Beginning, Cargo, Packets
from actors.nodes import IngestNode
from actors.wires import Wires
from streaming.clock import NS_PER_MS as MS
from streaming.clock import HandClock
from streaming.errors import UsageError
from streaming.health import HealthKind
from streaming.packets import Modality
from streaming.settings import AttuneSettings, PipelineSettings, StreamSettings
from streaming.source_settings import MediaSettings, SyntheticSettings


def test_streams_spread_their_hops_over_one_hop() -> None:
    # hop    |--------------------|
    # s0     ^    s1   ^    s2    ^    s3   (four streams, a quarter of a hop apart)
    source = MediaSettings(url="x")
    streams = tuple(StreamSettings(name=f"s{i}", sources=(source,)) for i in range(4))
    settings = AttuneSettings(streams=streams)
    assert [phase_ns(s.name, settings) for s in streams] == [0, 125 * MS, 250 * MS, 375 * MS]


def test_a_modality_from_two_sources_is_refused() -> None:
    card = SyntheticSettings(duration_s=1)
    stream = StreamSettings(name="s", sources=(card, card))
    with pytest.raises(UsageError, match="comes from two sources"):
        open_sources(stream, AttuneSettings(streams=(stream,)))


def test_a_stream_that_cannot_be_opened_again_ends_alone_and_says_why(tmp_path: Path) -> None:
    # stream   was read from 0 s | its process was lost | its file is gone: ends at 3.5 s
    clock = HandClock(3200 * MS)
    lost = Assigned(
        stream=StreamSettings(name="gone", sources=(MediaSettings(url=f"{tmp_path}/no.mp4"),)),
        beginning=Beginning(origin_ns=1, modalities=(Modality.VIDEO, Modality.AUDIO)),
    )
    good = Assigned(
        stream=StreamSettings(name="s", sources=(SyntheticSettings(duration_s=1),)),
        beginning=Beginning(origin_ns=1, modalities=tuple(Modality)),
    )
    settings = AttuneSettings(pipeline=PipelineSettings(pace="realtime"))
    node = IngestNode(settings, Wires(), "ingest-0", 1, [lost, good])
    assert node.ready() is None
    sent: list[Cargo] = []
    ingest = Ingest((), settings, clock, lambda cargo: not sent.append(cargo))
    ingest.give_up(lost, "no.mp4: no such file")
    ingest.start()
    ingest.join(10)
    batches = [c.batch for c in sent if isinstance(c, Packets)]
    assert {b.modality for b in batches if b.ended} == {Modality.VIDEO, Modality.AUDIO}
    (health,) = {h for b in batches for h in b.health}
    assert (health.kind, health.detail) == (HealthKind.SOURCE_LOST, "no.mp4: no such file")


def test_a_stream_that_cannot_be_opened_at_first_is_a_complaint(tmp_path: Path) -> None:
    stream = StreamSettings(name="gone", sources=(MediaSettings(url=f"{tmp_path}/no.mp4"),))
    node = IngestNode(AttuneSettings(), Wires(), "ingest-0", 0, [Assigned(stream=stream)])
    said = node.ready()
    assert said is not None
    assert "no such file" in said[0]
