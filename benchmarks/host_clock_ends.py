"""Both ends of `benchmarks.host_clock --real`, each in a namespace of its own.

python -m benchmarks.host_clock_ends there|here ADDRESS KEYS LSL_CFG [SECONDS]
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from streaming.clock import SystemClock
from streaming.clock_port import ClockPort
from streaming.keys import read_server_keys
from streaming.sources.zmq_far_clock import AskedClock

EVERY_S, ZERO_NS = 0.02, 10**15


def shown(true_ns: int) -> int:
    """The other host's clock; both ends share the true one."""
    return ZERO_NS + true_ns + true_ns // 10_000


def there(address: str, keys: str, lsl: Any) -> None:
    """Tell the time until killed."""
    port = ClockPort(address, read_server_keys(Path(keys)), lambda: shown(time.monotonic_ns()))
    outlet = lsl and lsl.StreamOutlet(lsl.StreamInfo("far", "Markers", 1, 0, "string", "far"))
    port.serve(threading.Event())
    del outlet


def here(address: str, keys: str, lsl: Any, seconds: float) -> None:
    """Seconds, error and uncertainty in ns, of each clock as often as every 20 ms."""
    inlet = None
    if lsl is not None:
        (info,) = lsl.resolve_byprop("name", "far", timeout=10)
        inlet = lsl.StreamInlet(info)
        inlet.time_correction(10)
    clock = AskedClock(address, keys, SystemClock())
    found: dict[str, list[tuple[float, float, float]]] = {"host clock": []}
    begin_s = time.monotonic()
    while (past_s := time.monotonic() - begin_s) < seconds:
        true_ns = time.monotonic_ns()
        t_ns, uncertainty_ns = clock.at(shown(true_ns))
        found["host clock"].append((past_s, abs(t_ns - true_ns), uncertainty_ns))
        if inlet is not None:
            error_ns = abs(inlet.time_correction(10)) * 1e9
            found.setdefault("pylsl, no drift", []).append((past_s, error_ns, math.nan))
        time.sleep(EVERY_S)
    clock.close()
    print(json.dumps(found))


if __name__ == "__main__":
    end, address, keys, configuration, *rest = sys.argv[1:]
    os.environ["LSLAPICFG"] = configuration
    try:
        import pylsl
    except ImportError:
        pylsl = None
    if end == "there":
        there(address, keys, pylsl)
    else:
        here(address, keys, pylsl, float(rest[0]))
