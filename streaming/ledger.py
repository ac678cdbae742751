"""The account of an aligner: where every packet went."""

from __future__ import annotations

import msgspec

from streaming.modality import Modality


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Where the packets of one modality went. `dropped`: by reason, reasons that occurred."""

    pushed: int
    windowed: int
    pending: int
    dropped: dict[str, int]


class Ledger(Counts, frozen=True, kw_only=True):
    """Where all packets of a stream went: pushed = windowed + sum(dropped) + pending, always."""

    modalities: dict[Modality, Counts]
