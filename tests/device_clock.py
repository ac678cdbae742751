"""A device with a clock of its own, simulated: what it stamps, and when its packets come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

NS_PER_S = 1_000_000_000
Int64Array = npt.NDArray[np.int64]
BOOT_NS = 5_000 * NS_PER_S  # session time at which the device is switched on


def packets(
    seconds: float,
    *,
    seed: int,
    rate_hz: float = 30.0,
    drift_ppm: float = 100.0,
    jitter_ms: float = 30.0,
    loss: float = 0.02,
    begin_ns: int = BOOT_NS,
    device_zero_ns: int = 0,
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """(true session time, device time, arrival), in the order of arrival.

    The device's clock runs fast by `drift_ppm`. Delays are uniform up to `jitter_ms`, so that
    packets overtake each other.
    """
    random = np.random.default_rng(seed)
    true = begin_ns + (np.arange(int(seconds * rate_hz)) * NS_PER_S / rate_hz).astype(np.int64)
    true = true[random.random(len(true)) >= loss]
    device = device_zero_ns + ((true - BOOT_NS) * (1 + drift_ppm * 1e-6)).astype(np.int64)
    arrival = true + random.uniform(0, jitter_ms * 1e6, len(true)).astype(np.int64)
    order = np.argsort(arrival, kind="stable")
    return true[order], device[order], arrival[order]
