"""Two hosts, as network namespaces that are joined by a wire with delay and jitter.

The wire is this program: it takes each packet from one namespace's TUN device and puts it into the
other's when its time has come, in order, as tc's netem would, which many kernels are built without.

    python benchmarks/two_hosts.py HERE THERE THERE_MS BACK_MS JITTER_MS
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEVICE, MTU = "wire", 1500
HERE_IP, THERE_IP = "10.77.0.1", "10.77.0.2"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
CLONE_NEWNET = 0x40000000


def why_not() -> str:
    """Why there can be no namespaces here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "the wire between namespaces needs /dev/net/tun"
    name = f"try{os.getpid()}"
    try:
        done = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    except FileNotFoundError:
        return "network namespaces need ip (Debian: iproute2)"
    return "" if done.returncode == 0 else "this kernel or container permits no network namespaces"


@contextmanager
def two_hosts(there_ms: float, back_ms: float, jitter_ms: float) -> Iterator[tuple[str, str]]:
    """The names of two namespaces, `HERE_IP` and `THERE_IP`, joined by a wire."""
    names = tuple(f"attune{os.getpid()}{end}" for end in "ab")
    for name, ip in zip(names, (HERE_IP, THERE_IP), strict=True):
        _ip("netns", "add", name)
        _ip("-n", name, "tuntap", "add", "dev", DEVICE, "mode", "tun")
        _ip("-n", name, "addr", "add", f"{ip}/24", "dev", DEVICE)
        _ip("-n", name, "link", "set", DEVICE, "up")
    wire = subprocess.Popen(
        [sys.executable, __file__, *names, *map(str, (there_ms, back_ms, jitter_ms))]
    )
    try:
        yield names[0], names[1]
    finally:
        wire.kill()
        wire.wait()
        for name in names:
            _ip("netns", "del", name)


def within(name: str, *command: object) -> list[str]:
    """`command`, to be run in a namespace."""
    return ["ip", "netns", "exec", name, *map(str, command)]


def carry(here: str, there: str, delays_s: tuple[float, float], jitter_s: float) -> None:
    """Carry packets both ways until killed."""
    ends = [_open(here), _open(there)]
    waiting: list[tuple[float, int, int, bytes]] = []
    last_s, count = [0.0, 0.0], 0
    while True:
        timeout_s = max(waiting[0][0] - time.monotonic(), 0) if waiting else None
        for end in select.select(ends, [], [], timeout_s)[0]:
            way = ends.index(end)
            packet = os.read(end, MTU)
            due_s = time.monotonic() + delays_s[way] + random.uniform(0, jitter_s)
            last_s[way] = max(due_s, last_s[way])
            count += 1
            heapq.heappush(waiting, (last_s[way], count, ends[1 - way], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(waiting)
            os.write(end, packet)


def _open(name: str) -> int:
    """The TUN device of a namespace; it stays open when this process enters the next."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/run/netns", name).open() as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {name}")
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    return end


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


if __name__ == "__main__":
    there_ms, back_ms, jitter_ms = map(float, sys.argv[3:])
    carry(sys.argv[1], sys.argv[2], (there_ms / 1e3, back_ms / 1e3), jitter_ms / 1e3)
