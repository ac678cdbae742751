"""What is slow the first time is done before the first packet.

torch is imported only where an analyser is loaded: the aligner's process needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from actors.messages import Packets, decode, encode
from models.errors import ModelError
from models.types import Hop, Text, WindowInput
from streaming.errors import UsageError
from streaming.packets import Modality, Packet, PacketBatch, TextMessage
from streaming.settings import ModelSettings, WindowSettings

if TYPE_CHECKING:
    from models.analyser import Analyser, Runtime
    from models.encoders.external import External

HOP_NS = 500_000_000


def warm_aligner() -> None:
    """Load or compile every kernel by aligning a few words."""
    from streaming.aligner import Aligner

    aligner = Aligner("warmup", WindowSettings().spec(tuple(Modality), paced=True))
    word = TextMessage(text="hello")
    for modality in Modality:
        packets = [
            Packet(stream="warmup", modality=modality, seq=i, t_ns=i * HOP_NS, payload=word)
            for i in range(8)
        ]
        batch = PacketBatch.of("warmup", modality, packets, progress_ns=4_000_000_000)
        aligner.push(batch)
        carried = decode(encode(Packets(batch)))  # its arrays are read-only: kernels of their own
        assert isinstance(carried, Packets)
        aligner.push(carried.batch)
    aligner.poll(None)


def open_encoders(settings: ModelSettings) -> list[External]:
    """The encoders from outside that the settings ask for."""
    from models.encoders.external import ExternalSpec, load

    found = []
    for key, modality in (("text", "text"), ("faces", "video")):
        asked = getattr(settings, key)
        if asked is not None:
            try:
                found.append(load(ExternalSpec(modality=modality, **msgspec.structs.asdict(asked))))
            except ModelError as error:
                raise UsageError(f"model.{key}: {error}") from None
    return found


def load_analyser(settings: ModelSettings, runtime: Runtime = "auto") -> Analyser:
    """The analyser, on one thread for each process, having scored one made-up window."""
    from models.analyser import Analyser
    from models.threads import limit_threads

    limit_threads()
    external = open_encoders(settings)
    try:
        analyser = Analyser.load(
            settings.path or None, device=settings.device, runtime=runtime, external=external
        )
    except ModelError as error:
        raise UsageError(f"model.path: {error}") from None
    rng = np.random.default_rng(0)
    for start_ns in range(0, 4 * HOP_NS, HOP_NS):
        hop = Hop(
            start_ns=start_ns,
            end_ns=start_ns + HOP_NS,
            faces=rng.integers(0, 255, (2, 48, 48), dtype=np.uint8),
            audio=rng.normal(0, 0.1, 8000).astype(np.float32),
            audio_coverage=1.0,
            texts=(Text(start_ns=start_ns, end_ns=start_ns + 1, text="hello"),),
        )
        end_ns = start_ns + HOP_NS
        window = WindowInput(
            stream="warmup", start_ns=max(0, end_ns - 4 * HOP_NS), end_ns=end_ns, new_hops=(hop,)
        )
        analyser.step([window])
    analyser.forget("warmup")
    return analyser
