"""`python -m benchmarks [NAME ...]`: all of them, or those named. The soak takes ten minutes."""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "aligner",
    "clock",
    "host_clock",
    "dtw",
    "model",
    "gpu",
    "publish",
    "forward",
    "links",
    "subscribers",
    "latency",
    "live_latency",
    "streams",
    "overload",
    "soak",
)


def main() -> int:
    """Each benchmark in a process of its own, so that none disturbs the next."""
    wanted = sys.argv[1:] or list(NAMES)
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"unknown benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    codes = [subprocess.call([sys.executable, "-m", f"benchmarks.{name}"]) for name in wanted]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
