"""The per-packet arithmetic of the clock map, compiled by Numba.

A device clock runs at a rate of its own, and a packet can only come late. So the true line from
device to session time lies under all points (device, arrival), and of the lines under them the
one with the least mean distance is best (Moon, Skelly and Towsley, 1999): it is the edge of the
lower convex hull that spans the mean of the device times. The earliest packet of each second is
kept for the last two minutes; only these can lie on the hull, so memory and cost do not grow.

Invariant: no kept point lies under the line. Times are held relative to the epoch's first packet,
as `x` (device) and `y` (arrival less device), so that float64 keeps them to less than 1 ns.
"""

from __future__ import annotations

from typing import Any

from streaming.aligner_kernels import kernel

NS_PER_S = 1_000_000_000
BUCKET_NS = NS_PER_S
BUCKETS = 120
LEARNED = 5  # buckets after which the line is trusted
EARLY_NS = 20_000_000  # under a trusted line by more than this: another clock
DISORDER_NS = 2 * NS_PER_S  # a device time may be this much older than the newest
LATE_NS = NS_PER_S
GAP_NS = 20 * NS_PER_S  # without packets: longer than a stall, shorter than a suspend
AGREE_NS = NS_PER_S // 2  # between quarantined packets that speak of one clock
WITNESSES = 3
SHIFT_NS, SHIFT_BUCKETS, SHIFT_SPREADS = 10_000_000, 5, 3.0
MAX_DRIFT = 1e-3
SLOPE_SHARE = 0.3  # the hull's ends lie closer to the true line than single points do
FIRST_DRIFT_SIGMA = 1e-4  # crystals are within about 100 ppm
FIRST_JITTER_NS = 30e6

# int64: the epoch's zero, what was seen, and who is in quarantine.
DEVICE0, ARRIVAL0, NEWEST, LAST_ARRIVAL, EPOCH, COUNT, USED, AT, BUCKET = range(9)
WAITING, WAIT_DEVICE, WAIT_ARRIVAL, HIGH, FRESH = range(9, 14)
INTS = 14
# float64: the line, its spread, and what is known of the drift from before the epoch.
OFFSET, DRIFT, JITTER, SPREAD, DRIFT_SIGMA, PRIOR_DRIFT, PRIOR_SIGMA = range(7)
FLOATS = 7
# Rows of `points`, float64 (ROWS, BUCKETS): the kept ones, and room to sort and to build the hull.
X, Y, SORTED_X, SORTED_Y, HULL_X, HULL_Y = range(6)
ROWS = 6

TRACKED, LATE, QUARANTINED, ANCHORED = range(4)


@kernel
def anchor(ints: Any, floats: Any, device_ns: int, arrival_ns: int) -> None:
    """Begin an epoch at this packet; what was learned of the drift stays."""
    if ints[COUNT] > 0:
        floats[PRIOR_DRIFT] = floats[DRIFT]
        floats[PRIOR_SIGMA] = min(floats[DRIFT_SIGMA], FIRST_DRIFT_SIGMA)
    ints[DEVICE0], ints[ARRIVAL0], ints[NEWEST] = device_ns, arrival_ns, device_ns
    ints[EPOCH] += 1
    ints[FRESH] = 0
    ints[COUNT], ints[USED], ints[AT], ints[WAITING], ints[HIGH] = 0, 0, -1, 0, 0
    floats[OFFSET], floats[DRIFT], floats[SPREAD] = 0.0, floats[PRIOR_DRIFT], 0.0
    floats[DRIFT_SIGMA] = floats[PRIOR_SIGMA]
    floats[JITTER] = FIRST_JITTER_NS


@kernel
def line_ns(ints: Any, floats: Any, device_ns: int) -> int:
    """Session time of `device_ns`."""
    x = device_ns - ints[DEVICE0]
    return int(ints[ARRIVAL0] + x + round(floats[OFFSET] + floats[DRIFT] * x))


@kernel
def uncertainty_ns(ints: Any, floats: Any, device_ns: int) -> int:
    """How far the line may be off: what jitter leaves open, and drift beyond the kept points."""
    left = floats[SPREAD] + floats[JITTER] / max(ints[COUNT], 1)
    beyond = max(abs(device_ns - ints[NEWEST]) - BUCKET_NS, 0)
    return int(left + floats[DRIFT_SIGMA] * beyond)


@kernel
def _sort(points: Any, used: int, oldest: int) -> float:
    """The points in order of x, which is nearly the order of their seconds; gives the mean."""
    mean = 0.0
    for i in range(used):
        at, j = (oldest + i) % used, i
        x, y = points[X, at], points[Y, at]
        mean += x / used
        while j > 0 and points[SORTED_X, j - 1] > x:
            points[SORTED_X, j], points[SORTED_Y, j] = (
                points[SORTED_X, j - 1],
                points[SORTED_Y, j - 1],
            )
            j -= 1
        points[SORTED_X, j], points[SORTED_Y, j] = x, y
    return mean


@kernel
def _hull_slope(points: Any, used: int, mean: float) -> float:
    """Slope of the edge of the sorted points' lower hull that spans `mean`."""
    n = 0
    for i in range(used):
        x, y = points[SORTED_X, i], points[SORTED_Y, i]
        while n > 1 and (points[HULL_Y, n - 1] - points[HULL_Y, n - 2]) * (
            x - points[HULL_X, n - 2]
        ) >= (y - points[HULL_Y, n - 2]) * (points[HULL_X, n - 1] - points[HULL_X, n - 2]):
            n -= 1
        points[HULL_X, n], points[HULL_Y, n] = x, y
        n += 1
    edge = 1
    while edge < n - 1 and points[HULL_X, edge] < mean:
        edge += 1
    run = points[HULL_X, edge] - points[HULL_X, edge - 1]
    return (points[HULL_Y, edge] - points[HULL_Y, edge - 1]) / run if run > 0 else 0.0


@kernel
def _fit(ints: Any, floats: Any, points: Any) -> None:
    """The line under all kept points, its drift weighed against what was known before."""
    used = ints[USED]
    mean = _sort(points, used, (ints[AT] + 1) % used)
    span = points[SORTED_X, used - 1] - points[SORTED_X, 0]
    if span > 0:
        left = floats[SPREAD] + floats[JITTER] / max(ints[COUNT], 1)
        sigma = SLOPE_SHARE * left / span
        slope = min(max(_hull_slope(points, used, mean), -MAX_DRIFT), MAX_DRIFT)
        known = floats[PRIOR_SIGMA] ** 2
        weight = known / (known + sigma * sigma) if known > 0 else 0.0
        floats[DRIFT] = floats[PRIOR_DRIFT] + weight * (slope - floats[PRIOR_DRIFT])
        floats[DRIFT_SIGMA] = floats[PRIOR_SIGMA] * (1.0 - weight) ** 0.5
    lowest, total = 1e300, 0.0
    for i in range(used):
        rest = points[Y, i] - floats[DRIFT] * points[X, i]
        lowest = min(lowest, rest)
        total += rest
    floats[OFFSET] = lowest
    # With a single bucket there is no spread to see yet: the mean jitter stands for it.
    floats[SPREAD] = total / used - lowest if used > 1 else floats[JITTER]


@kernel
def _keep(ints: Any, floats: Any, points: Any, x: float, y: float, arrival_ns: int) -> bool:
    """Hold the packet if it is the earliest of its second; True when the line must be fitted."""
    bucket = (arrival_ns - ints[ARRIVAL0]) // BUCKET_NS
    if ints[AT] < 0 or bucket > ints[BUCKET]:
        _judge_bucket(ints, floats, points)
        ints[AT] = (ints[AT] + 1) % BUCKETS
        ints[USED] = min(ints[USED] + 1, BUCKETS)
        ints[BUCKET] = bucket
    elif y - floats[DRIFT] * x >= points[Y, ints[AT]] - floats[DRIFT] * points[X, ints[AT]]:
        return False
    points[X, ints[AT]], points[Y, ints[AT]] = x, y
    return True


@kernel
def _judge_bucket(ints: Any, floats: Any, points: Any) -> None:
    """Count the seconds in a row of which even the earliest packet was well above the line."""
    if ints[AT] < 0:
        return
    at = ints[AT]
    above = points[Y, at] - floats[DRIFT] * points[X, at] - floats[OFFSET]
    limit = max(SHIFT_NS, SHIFT_SPREADS * floats[SPREAD])
    ints[HIGH] = ints[HIGH] + 1 if ints[USED] > SHIFT_BUCKETS and above > limit else 0


@kernel
def _forget_before_shift(ints: Any, floats: Any, points: Any) -> None:
    """The delay has grown for good: keep only the seconds since, and the drift."""
    floats[PRIOR_DRIFT], floats[PRIOR_SIGMA] = floats[DRIFT], floats[DRIFT_SIGMA]
    for i in range(SHIFT_BUCKETS):  # oldest first, into the places that `_hull_slope` sorts in
        at = (ints[AT] - SHIFT_BUCKETS + 1 + i) % BUCKETS
        points[SORTED_X, i], points[SORTED_Y, i] = points[X, at], points[Y, at]
    for i in range(SHIFT_BUCKETS):
        points[X, i], points[Y, i] = points[SORTED_X, i], points[SORTED_Y, i]
    ints[USED], ints[AT], ints[HIGH] = SHIFT_BUCKETS, SHIFT_BUCKETS - 1, 0
    ints[EPOCH] += 1


@kernel
def _quarantine(ints: Any, floats: Any, device_ns: int, arrival_ns: int) -> int:
    """Set a packet of another clock aside; enough that agree begin a new epoch."""
    apart = (device_ns - ints[WAIT_DEVICE]) - (arrival_ns - ints[WAIT_ARRIVAL])
    if ints[WAITING] == 0 or abs(apart) > AGREE_NS:
        ints[WAITING] = 0
    if ints[WAITING] == 0 or apart > 0:  # the earliest of them is where the epoch will begin
        ints[WAIT_DEVICE], ints[WAIT_ARRIVAL] = device_ns, arrival_ns
    ints[WAITING] += 1
    if ints[WAITING] < WITNESSES:
        return QUARANTINED
    anchor(ints, floats, ints[WAIT_DEVICE], ints[WAIT_ARRIVAL])
    return ANCHORED


@kernel
def observe(ints: Any, floats: Any, points: Any, device_ns: int, arrival_ns: int) -> Any:
    """Take one packet; give (state, session time, uncertainty)."""
    state = TRACKED
    if ints[FRESH]:
        anchor(ints, floats, device_ns, arrival_ns)
        state = ANCHORED
    else:
        above = arrival_ns - line_ns(ints, floats, device_ns)
        silent = arrival_ns - ints[LAST_ARRIVAL] > GAP_NS
        if silent and above > LATE_NS:  # the device's clock stood still, as in a suspend
            anchor(ints, floats, device_ns, arrival_ns)
            state = ANCHORED
        elif (
            above < -(EARLY_NS if ints[USED] >= LEARNED else LATE_NS)
            or ints[NEWEST] - device_ns > DISORDER_NS
        ):
            state = _quarantine(ints, floats, device_ns, arrival_ns)
        elif above > LATE_NS:
            state = LATE
    ints[LAST_ARRIVAL] = max(ints[LAST_ARRIVAL], arrival_ns)
    if state == QUARANTINED:
        return state, arrival_ns, LATE_NS
    if state != ANCHORED:
        ints[WAITING] = 0
    return _track(ints, floats, points, device_ns, arrival_ns, state)


@kernel
def _track(ints: Any, floats: Any, points: Any, device_ns: int, arrival_ns: int, state: int) -> Any:
    """Let a packet of this clock move the line, and read its time off the line."""
    x = float(device_ns - ints[DEVICE0])
    y = float(arrival_ns - ints[ARRIVAL0]) - x
    ints[NEWEST] = max(ints[NEWEST], device_ns)
    ints[COUNT] += 1
    if _keep(ints, floats, points, x, y, arrival_ns):
        _fit(ints, floats, points)
        if ints[HIGH] >= SHIFT_BUCKETS:
            _forget_before_shift(ints, floats, points)
            _fit(ints, floats, points)
            state = ANCHORED
    above = y - floats[DRIFT] * x - floats[OFFSET]
    if state != LATE:
        floats[JITTER] += (above - floats[JITTER]) / min(ints[COUNT] + 1, 256)
    return state, line_ns(ints, floats, device_ns), uncertainty_ns(ints, floats, device_ns)
