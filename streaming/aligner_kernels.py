"""The aligner's inner loops, compiled by Numba.

All of a stream's aligner state stands in two integer arrays, so that one push is one call and
one closed window is one call:

    rows  (M, capacity, 5)  the held packets of each modality, sorted by (T_NS, SEQ), at HEAD..TAIL
    state (M + 1, S)        one line for each modality, then one line for the stream

Invariant: the held packets of a modality are exactly those that some window not yet closed can
show. Those with T_NS before the last closed end come first, and all of them reach past the next
window's start; so the next view is always a plain prefix of the held rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from streaming.packets import DURATION_NS, SEQ, T_NS, UNCERTAINTY_NS

HOUR_NS = 3_600_000_000_000
LATEST_NS = 1 << 62  # later times, and promises, are taken for nonsense
NEVER_NS = -(1 << 61)  # far enough in the past, and safe to subtract from any time

REASONS = ("late", "duplicate", "overflow", "invalid", "before_origin")
LATE, DUPLICATE, OVERFLOW, INVALID, BEFORE_ORIGIN = range(5)

# One line of `state` for each modality ...
HEAD, TAIL, PROMISE, SEEN, ENDED, ENDED_AT, REACH, COVER, LAST_END, PUSHED, WINDOWED = range(11)
DROPPED = 11  # one counter for each reason
NOW_DROPPED = 16  # the same, of the last push only
NOW_FIRST = 21  # time of the first drop of each reason, of the last push only
PLACE = 26  # where the last push that was no plain append began, counted from HEAD
CONTINUOUS, MAX_GAP, STEP, TOLERANCE, LINEAR, GRID_FROM, GRID_SIZE = range(27, 34)
COLUMNS = 34
# ... and one for the stream.
NEXT, CLOSED_END, HOP, LENGTH, LATENESS, DEADLINE, CAPACITY = range(7)

# What `admit` answers: a sum of these, or UNSORTED when it has done nothing.
UNSORTED = -1
REARRANGED, REFUSED, READY, FINISHED = 1, 2, 4, 8

# What `close` answers, and how `meta` is laid out: seven numbers for each modality.
NOT_YET, BY_WATERMARK, BY_DEADLINE, BY_END = range(4)
ABSENT, EMPTY, GAPPY, COMPLETE = range(4)
META = 7

Kernel = Callable[..., Any]


def kernel(function: Kernel) -> Kernel:
    """Compile at the first call; keep the machine code on disk wherever there is room for it."""
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return numba.njit()(function)


@kernel
def before(a: Any, i: int, b: Any, j: int) -> bool:
    """Whether row i of `a` comes before row j of `b`, by (T_NS, SEQ)."""
    # Scalars throughout: a row taken as an array of its own costs more than the comparison.
    if a[i, T_NS] != b[j, T_NS]:
        return a[i, T_NS] < b[j, T_NS]
    return a[i, SEQ] < b[j, SEQ]


@kernel
def _refusal(t: int, duration: int, ended: bool, closed_end: int) -> int:
    """The reason why a packet cannot be admitted, judged by its times alone; -1: none."""
    if duration < 0 or duration > HOUR_NS or t > LATEST_NS:
        return INVALID
    if t < 0:
        return BEFORE_ORIGIN
    if ended or t < closed_end:
        return LATE
    return -1


@kernel
def _first_at_or_after(held: Any, low: int, high: int, header: Any, i: int) -> int:
    if low < high and before(held, high - 1, header, i):
        return high
    while low < high:
        middle = (low + high) // 2
        if before(held, middle, header, i):
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _copy_row(source: Any, i: int, target: Any, j: int) -> None:
    target[j, 0], target[j, 1], target[j, 2] = source[i, 0], source[i, 1], source[i, 2]
    target[j, 3], target[j, 4] = source[i, 3], source[i, 4]


@kernel
def _refuse(line: Any, reason: int, t_ns: int) -> None:
    if line[NOW_DROPPED + reason] == 0:
        line[NOW_FIRST + reason] = t_ns
    line[NOW_DROPPED + reason] += 1
    line[DROPPED + reason] += 1


@kernel
def _select(line: Any, held: Any, header: Any, accepted: Any, capacity: int, closed: int) -> Any:
    """Judge the rows of `header`; return how many of `accepted` stand, and where they begin."""
    head, tail = line[HEAD], line[TAIL]
    count, first, at, seen, ended = 0, tail, -1, line[SEEN], line[ENDED] != 0
    last_end = line[LAST_END]
    for i in range(header.shape[0]):
        t, duration = header[i, T_NS], header[i, DURATION_NS]
        reason = _refusal(t, duration, ended, closed)
        if reason != INVALID and not ended:
            seen = max(seen, t)
        if reason < 0:
            if at < 0:
                at = _first_at_or_after(held, head, tail, header, i)
            while at < tail and before(held, at, header, i):
                at += 1
            again = at < tail and not before(header, i, held, at)
            if again or (count > 0 and not before(header, accepted[count - 1], header, i)):
                reason = DUPLICATE
            elif tail - head + count >= capacity:
                reason = OVERFLOW
        if reason >= 0:
            _refuse(line, reason, t)
            continue
        if count == 0:
            first = at
        accepted[count] = i
        count += 1
        last_end = max(last_end, t + max(duration, 1))
    line[SEEN], line[LAST_END] = seen, last_end
    return count, first


@kernel
def _merge(
    line: Any, held: Any, header: Any, accepted: Any, count: int, first: int, order: Any
) -> None:
    """Merge the accepted rows into HEAD..TAIL from the back; `order` says who stands where.

    `order[i]` is counted from `first` among the rows held before, then on into the batch.
    """
    old, new, to = line[TAIL] - 1, count - 1, line[TAIL] + count - 1
    while new >= 0:
        if old >= first and before(header, accepted[new], held, old):
            _copy_row(held, old, held, to)
            order[to - first] = old - first
            old -= 1
        else:
            _copy_row(header, accepted[new], held, to)
            order[to - first] = line[TAIL] - first + accepted[new]
            new -= 1
        to -= 1
    line[TAIL] += count


@kernel
def frontier(line: Any, lateness: int) -> int:
    """No packet before this instant will come: promised by the source, or by its lateness."""
    if line[ENDED]:
        return LATEST_NS
    return max(line[PROMISE], line[SEEN] - lateness)


@kernel
def _outlook(state: Any, now_ns: int) -> int:
    """How the next window can be closed now (NOT_YET, BY_...)."""
    last = state.shape[0] - 1
    stream = state[last]
    end = stream[NEXT] * stream[HOP] + stream[LENGTH]
    watermark, last_end, all_ended = LATEST_NS, 0, True
    for m in range(last):
        watermark = min(watermark, frontier(state[m], stream[LATENESS]))
        last_end = max(last_end, state[m, LAST_END])
        all_ended = all_ended and state[m, ENDED] != 0
    if all_ended:
        if end <= last_end:
            return BY_WATERMARK
        return BY_END if last_end > stream[CLOSED_END] else NOT_YET
    if watermark >= end:
        return BY_WATERMARK
    if stream[DEADLINE] > 0 and end + stream[DEADLINE] <= now_ns:
        return BY_DEADLINE
    return NOT_YET


@kernel
def _flags(state: Any) -> int:
    """READY: a window waits to be closed. FINISHED: there will be no more."""
    if _outlook(state, NEVER_NS) != NOT_YET:
        return READY
    for m in range(state.shape[0] - 1):
        if state[m, ENDED] == 0:
            return 0
    return FINISHED


@kernel
def admit(
    state: Any, rows: Any, order: Any, header: Any, m: int, progress_ns: int, ended: bool
) -> int:
    """Take one batch of modality `m`, sorted by (T_NS, SEQ); there must be room for its rows."""
    n = header.shape[0]
    for i in range(1, n):
        if before(header, i, header, i - 1):
            return UNSORTED
    line, stream, answer = state[m], state[state.shape[0] - 1], 0
    accepted = order[state.shape[0] - 1]
    line[PUSHED] += n
    for reason in range(5):
        line[NOW_DROPPED + reason] = 0
    count, first = _select(line, rows[m], header, accepted, stream[CAPACITY], stream[CLOSED_END])
    if first < line[TAIL] or count < n:
        line[PLACE] = first - line[HEAD]
        answer |= REARRANGED
    if count < n:
        answer |= REFUSED
    _merge(line, rows[m], header, accepted, count, first, order[m])
    if line[ENDED] == 0:
        line[PROMISE] = max(line[PROMISE], min(progress_ns, LATEST_NS))
        line[ENDED_AT] = max(line[PROMISE], line[SEEN], line[LAST_END])
        line[ENDED] = 1 if ended else 0
    return answer | _flags(state)


@kernel
def uncovered_ns(
    held: Any, head: int, n: int, start: int, end: int, reach: int, cover: int, max_gap: int
) -> int:
    """Length of the holes that the rows head..head+n leave in `[start, end)`.

    `reach`: where the packets before truly ended; `cover`: the same, point packets held good
    for `max_gap`. A hole no longer than `max_gap` is none.
    """
    holes = 0
    for i in range(head, head + n):
        t, duration = held[i, T_NS], held[i, DURATION_NS]
        if t > cover and t > start and t - reach > max_gap:
            holes += t - max(start, cover)
        reach = max(reach, t + duration)
        cover = max(cover, t + (duration if duration > 0 else max(max_gap, 1)))
    if end > cover and end - reach > max_gap:
        holes += end - max(start, cover)
    return holes


@kernel
def nearest(held: Any, head: int, n: int, start: int, step: int, tolerance: int, left: Any) -> None:
    """For each instant the row closest to it (of equals the first), or -1."""
    after, group, grouped = 0, 0, 0  # `group`: the first row as old as the one before `grouped`
    for i in range(left.shape[0]):
        instant = start + i * step
        while after < n and held[head + after, T_NS] < instant:
            after += 1
        if grouped < after:
            group, grouped = after - 1, after
            while group > 0 and held[head + group - 1, T_NS] == held[head + group, T_NS]:
                group -= 1
        best, distance = -1, tolerance + 1
        if after > 0:
            best, distance = group, instant - held[head + group, T_NS]
        if after < n and (best < 0 or held[head + after, T_NS] - instant < distance):
            best, distance = after, held[head + after, T_NS] - instant
        left[i] = best if distance <= tolerance else -1


@kernel
def linear(
    held: Any,
    head: int,
    n: int,
    start: int,
    step: int,
    tolerance: int,
    left: Any,
    right: Any,
    weight: Any,
) -> None:
    """For each instant the rows on both sides of it and the share of the right one, or -1."""
    after = 0
    for i in range(left.shape[0]):
        instant = start + i * step
        while after < n and held[head + after, T_NS] < instant:
            after += 1
        left[i], right[i], weight[i] = -1, -1, 0.0
        if after < n and held[head + after, T_NS] == instant:
            left[i] = right[i] = after
        elif 0 < after < n:
            t_left, t_right = held[head + after - 1, T_NS], held[head + after, T_NS]
            if instant - t_left <= tolerance and t_right - instant <= tolerance:
                left[i], right[i] = after - 1, after
                weight[i] = (instant - t_left) / (t_right - t_left)


@kernel
def resample(line: Any, held: Any, n: int, start: int, points: Any, weight: Any, mask: Any) -> None:
    """Put the `n` rows of a view on its modality's grid. `points`: (2, P) left and right rows."""
    a, b = line[GRID_FROM], line[GRID_FROM] + line[GRID_SIZE]
    head, step, tolerance = line[HEAD], line[STEP], line[TOLERANCE]
    left, right = points[0], points[1]
    if line[LINEAR]:
        linear(held, head, n, start, step, tolerance, left[a:b], right[a:b], weight[a:b])
    elif a < b:
        nearest(held, head, n, start, step, tolerance, left[a:b])
    for i in range(a, b):
        mask[i] = left[i] >= 0


@kernel
def retire(line: Any, held: Any, n: int, next_start: int, order: Any) -> Any:
    """Let go of those among the first `n` held rows that end at or before `next_start`.

    The others close up to the right. Returns how many went, and whether others had to move;
    then `order[gone:n]` says which rows stayed.
    """
    head, to, moved = line[HEAD], n, False
    for i in range(n - 1, -1, -1):
        t, duration = held[head + i, T_NS], held[head + i, DURATION_NS]
        if t + max(duration, 1) > next_start:
            to -= 1
            order[to] = i
            if to != i:
                _copy_row(held, head + i, held, head + to)
                moved = True
        else:
            line[REACH] = max(line[REACH], t + duration)
            nominal = duration if duration > 0 else max(line[MAX_GAP], 1)
            line[COVER] = max(line[COVER], t + nominal)
    line[HEAD] = head + to
    return to, moved


@kernel
def survey(line: Any, held: Any, start: int, end: int, lateness: int) -> Any:
    """Count the rows of the view on `[start, end)`; return also its covered time and state."""
    head, n = line[HEAD], 0
    while head + n < line[TAIL] and held[head + n, T_NS] < end:
        n += 1
    if line[CONTINUOUS]:
        if n == 0:
            return n, 0, ABSENT
        holes = uncovered_ns(held, head, n, start, end, line[REACH], line[COVER], line[MAX_GAP])
        covered = end - start - holes
        return n, covered, COMPLETE if 10 * covered >= 9 * (end - start) else GAPPY
    alive = line[ENDED_AT] if line[ENDED] else frontier(line, lateness)
    covered = max(min(alive, end) - start, 0)
    if n > 0:
        return n, covered, COMPLETE
    return n, covered, EMPTY if covered > 0 else ABSENT


@kernel
def close(
    state: Any,
    rows: Any,
    order: Any,
    now_ns: int,
    out: Any,
    points: Any,
    weight: Any,
    mask: Any,
    meta: Any,
) -> int:
    """Close the next window if it can be; write its rows to `out` and its figures to `meta`."""
    by = _outlook(state, now_ns)
    if by == NOT_YET:
        return by
    last = state.shape[0] - 1
    stream = state[last]
    start = stream[NEXT] * stream[HOP]
    end, total = start + stream[LENGTH], 0
    for m in range(last):
        line, held, head = state[m], rows[m], state[m, HEAD]
        n, covered, kind = survey(line, held, start, end, stream[LATENESS])
        resample(line, held, n, start, points, weight, mask)
        new_from, uncertainty = n, 0
        for i in range(n):
            _copy_row(held, head + i, out, total + i)
            uncertainty = max(uncertainty, held[head + i, UNCERTAINTY_NS])
            if new_from == n and held[head + i, T_NS] >= stream[CLOSED_END]:
                new_from = i
        total += n
        gone, moved = retire(line, held, n, start + stream[HOP], order[m])
        line[WINDOWED] += n - new_from
        at = m * META
        meta[at], meta[at + 1], meta[at + 2], meta[at + 3] = n, new_from, covered, kind
        meta[at + 4], meta[at + 5], meta[at + 6] = uncertainty, gone, moved
    stream[CLOSED_END] = end
    stream[NEXT] += 1
    meta[last * META] = total
    meta[last * META + 1] = _flags(state)
    return by
