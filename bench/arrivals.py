"""When requests come, and what can be answered of them: the arrivals of `bench burst`, without a clock or a socket.

The trace is `AzureLLMInferenceTrace_code` (bench/data/arrivals_azure_llm_2023): 8,819 requests of 57 minutes, 2.6 a second
on average and up to 67, counts of one second 13 times as spread as those of independent requests.
"""

from __future__ import annotations

import gzip
import hashlib
import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

TRACE = (
    Path(__file__).parent
    / "data"
    / "arrivals_azure_llm_2023"
    / "AzureLLMInferenceTrace_code.csv.gz"
)
WINDOW_S = 0.5
CALM_WINDOWS = 4


def read_trace(path: Path = TRACE) -> list[float]:
    """Return the moments of a trace in seconds, the first at 0.

    Raises:
        SystemExit: the file is not the one that its SHA256SUMS names.
    """
    packed = path.read_bytes()
    digest = hashlib.sha256(packed).hexdigest()
    if f"{digest}  {path.name}" not in (path.parent / "SHA256SUMS").read_text().splitlines():
        raise SystemExit(f"{path} is not what SHA256SUMS beside it says; copy it anew")
    lines = gzip.decompress(packed).decode().splitlines()[1:]
    moments = [datetime.fromisoformat(line[:26]) for line in lines]  # 100 ns, of which 1 us is read
    return [(moment - moments[0]).total_seconds() for moment in moments]


def superposed(trace: Sequence[float], callers: int, count: int, seed: int) -> list[float]:
    """Return the first arrivals of some callers who each follow the trace, round and round, from a place of their own.

    Independent callers added up keep the trace's index of dispersion, its rushes and lulls and its own seconds, which one
    trace played faster does not.
    """
    chance, length_s = random.Random(seed), trace[-1]
    begins_s = [chance.random() * length_s for _ in range(callers)]
    span_s = count * length_s / (callers * len(trace))
    moments_s: list[float] = []
    while len(moments_s) < count:  # rushes and lulls: nobody knows beforehand how long so many take
        span_s *= 1.5
        moments_s = [at_s for begin_s in begins_s for at_s in _followed(trace, begin_s, span_s)]
    return sorted(moments_s)[:count]


def _followed(trace: Sequence[float], begin_s: float, span_s: float) -> Iterator[float]:
    place = bisect_left(trace, begin_s)
    while (at_s := trace[place % len(trace)] + place // len(trace) * trace[-1] - begin_s) < span_s:
        yield at_s
        place += 1


def at_rate(moments_s: Sequence[float], rate: float) -> list[float]:
    """Return the same arrivals, closer together or further apart, so that so many come a second on average."""
    factor = len(moments_s) / rate / (moments_s[-1] - moments_s[0])
    return [factor * (moment_s - moments_s[0]) for moment_s in moments_s]


def poisson(rate: float, seconds: float, *, seed: int, begin_s: float = 0.0) -> list[float]:
    """Return moments that come independently of each other, the same at each call, seconds."""
    chance, moments_s, at_s = random.Random(seed), [], begin_s
    while (at_s := at_s + chance.expovariate(rate)) < begin_s + seconds:
        moments_s.append(round(at_s, 6))
    return moments_s


def on_off(calm: float, rush: float, spans_s: tuple[float, float, float]) -> list[float]:
    """Return moments at a calm rate, then in a rush, then calm again.

    Args:
        calm: Requests a second.
        rush: Requests a second.
        spans_s: How long each of the three lasts.
    """
    begins_s = (0.0, spans_s[0], spans_s[0] + spans_s[1])
    return [
        moment_s
        for seed, (rate, span_s, begin_s) in enumerate(
            zip((calm, rush, calm), spans_s, begins_s, strict=True)
        )
        for moment_s in poisson(rate, span_s, seed=seed, begin_s=begin_s)
    ]


def reachable(moments_s: Sequence[float], capacity: float, limit_s: float) -> tuple[float, float]:
    """Return the shares of requests that a server of so many a second could answer in time.

    Returns:
        In the order they come; and when it does not begin what it could not answer in time.
    """
    each_s, before_s, waits_s, kept_s, in_time, kept = 1 / capacity, 0.0, 0.0, 0.0, 0, 0
    for moment_s in moments_s:
        waits_s = max(0.0, waits_s - (moment_s - before_s)) + each_s
        in_time += waits_s <= limit_s
        kept_s = max(0.0, kept_s - (moment_s - before_s))
        if kept_s + each_s <= limit_s:
            kept_s += each_s
            kept += 1
        before_s = moment_s
    return in_time / len(moments_s), kept / len(moments_s)


def shares(good: Sequence[bool], classes: Sequence[int], class_count: int) -> list[float]:
    """Return the share of each class that is good; 1 of a class that nobody is of."""
    found = []
    for number in range(class_count):
        mine = [is_good for is_good, one in zip(good, classes, strict=True) if one == number]
        found.append(sum(mine) / len(mine) if mine else 1.0)
    return found


def recovered_s(
    moments_s: Sequence[float], good: Sequence[bool], from_s: float, share: float
) -> float:
    """Return how long after a moment it is until all is well again and stays so for some windows.

    Args:
        share: Of the requests of each window of WINDOW_S, so many must be good.

    Returns:
        Seconds, a multiple of WINDOW_S; when it is never well again, all the time that was left.
    """
    windows: dict[int, list[bool]] = {}
    for moment_s, is_good in zip(moments_s, good, strict=True):
        if moment_s >= from_s:
            windows.setdefault(int((moment_s - from_s) / WINDOW_S), []).append(is_good)
    count = max(windows, default=-1) + 1
    well = [sum(windows.get(n, ())) >= share * len(windows.get(n, ())) for n in range(count)]
    for number in range(count):
        if all(well[number : number + CALM_WINDOWS]):
            return number * WINDOW_S
    return count * WINDOW_S
