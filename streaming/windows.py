"""Windows: what the aligner makes of packets, and what the models are shown.

A window is the half-open span `[start_ns, end_ns)`, with one view for each modality of the
stream. A packet belongs to every window that its own span `[t_ns, t_ns + max(duration_ns, 1))`
touches, and is *new* in the first window that is closed after it came.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
import numpy as np
import numpy.typing as npt

from streaming.health import Health
from streaming.packets import Float32Array, Int64Array, Modality, Payload
from streaming.states import ClosedBy as ClosedBy
from streaming.states import Status as Status
from streaming.states import ViewState as ViewState


class Resampling(StrEnum):
    """How a modality is put on its grid."""

    NEAREST = "nearest"
    LINEAR = "linear"


class ModalitySpec(msgspec.Struct, frozen=True, kw_only=True):
    """How the aligner treats one modality.

    `continuous`: packets follow one another without pause (video, audio), so a hole is a gap;
    otherwise (text) silence is normal and coverage says for how long the source was there.
    `max_gap_ns`: two packets no further apart than this leave no gap between them.
    `grid_hz`: 0 for no grid. A grid point without a packet within `tolerance_ns` is masked.
    """

    modality: Modality
    continuous: bool = True
    max_gap_ns: int = 0
    grid_hz: float = 0.0
    resampling: Resampling = Resampling.NEAREST
    tolerance_ns: int = 0


class WindowSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Geometry and patience of a stream's windows.

    Window k spans `[k * hop_ns, k * hop_ns + length_ns)`; `length_ns` is a multiple of `hop_ns`.
    A packet may be `lateness_ns` older than the newest of its modality. A window that is
    `deadline_ns` past its end is closed without the modalities that have not come (0: never).
    """

    length_ns: int = 2_000_000_000
    hop_ns: int = 500_000_000
    lateness_ns: int = 0
    deadline_ns: int = 0
    modalities: tuple[ModalitySpec, ...] = ()


class Grid(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A view's packets on regular instants `start_ns + i * step_ns`, i in 0..G-1.

    `left`, `right`: int64 (G,) rows of the view, -1 where masked; `weight`: float32 (G,) share of
    `right` (0 for nearest, where left equals right); `mask`: bool (G,), True where a packet counts.
    """

    start_ns: int
    step_ns: int
    left: Int64Array
    right: Int64Array
    weight: Float32Array
    mask: npt.NDArray[np.bool_]


class View(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One modality in one window.

    `header`: int64 (n, 5) as in `PacketBatch`, sorted by (T_NS, SEQ); `payloads` row for row.
    Rows from `new_from` on were in no earlier window of this stream: their `t_ns` lies at or
    after the previous window's end. `coverage`: share of the window, 0..1.
    """

    modality: Modality
    header: Int64Array
    payloads: tuple[Payload, ...]
    new_from: int
    coverage: float
    state: ViewState
    grid: Grid | None = None
    offset_ns: int = 0
    uncertainty_ns: int = 0


class Window(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A closed window. `views` holds one view for each modality of the spec, in its order."""

    stream: str
    index: int
    start_ns: int
    end_ns: int
    new_from_ns: int
    views: tuple[View, ...]
    closed_by: ClosedBy
    status: Status = Status.FINAL
    revision: int = 0
    health: tuple[Health, ...] = ()

    def view(self, modality: Modality) -> View | None:
        """The view of `modality`, or None when the stream does not have it."""
        return next((v for v in self.views if v.modality == modality), None)
