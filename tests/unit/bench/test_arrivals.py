"""The arrivals of `bench burst`, and how its answers are counted."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from statistics import fmean, pvariance

import pytest

from bench.arrivals import (
    TRACE,
    at_rate,
    on_off,
    poisson,
    reachable,
    read_trace,
    recovered_s,
    shares,
    superposed,
)


def dispersion(moments_s: list[float]) -> float:
    """Return the index of dispersion of the counts of one second."""
    counted = Counter(map(int, moments_s))
    counts = [counted[second] for second in range(int(moments_s[-1]))]
    return pvariance(counts) / fmean(counts)


def test_the_trace_is_as_bursty_as_its_source_says() -> None:
    trace = read_trace()
    assert len(trace) == 8_819
    assert trace == sorted(trace)
    assert dispersion(trace) == pytest.approx(13.2, abs=0.2)


def test_a_trace_that_was_changed_is_refused(tmp_path: Path) -> None:
    for file in TRACE.parent.iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    copy = tmp_path / TRACE.name
    copy.write_bytes(copy.read_bytes() + b"\0")
    with pytest.raises(SystemExit, match="copy it anew"):
        read_trace(copy)


def test_many_callers_together_keep_the_dispersion_of_one() -> None:
    # Over spans far shorter than the trace one draw says little, so several are averaged.
    trace = read_trace()
    found = [dispersion(superposed(trace, 300, 40_000, seed)) for seed in range(8)]
    assert 6 < fmean(found) < 20


def test_the_same_seed_gives_the_same_arrivals_and_another_seed_others() -> None:
    trace = read_trace()
    first = superposed(trace, 20, 500, seed=1)
    assert len(first) == 500
    assert first == sorted(first)
    assert first == superposed(trace, 20, 500, seed=1)
    assert first != superposed(trace, 20, 500, seed=2)


def test_arrivals_at_a_rate_keep_their_shape() -> None:
    scaled = at_rate([5.0, 6.0, 9.0, 10.0], rate=8.0)
    assert scaled == pytest.approx([0.0, 0.1, 0.4, 0.5])


def test_a_rush_comes_between_two_calms() -> None:
    moments_s = on_off(100, 1_000, (2.0, 3.0, 4.0))
    assert moments_s == sorted(moments_s)
    counts = [sum(a <= moment_s < b for moment_s in moments_s) for a, b in ((0, 2), (2, 5), (5, 9))]
    assert counts == pytest.approx([200, 3_000, 400], rel=0.15)
    assert len(poisson(100, 2.0, seed=0)) == counts[0]


def test_a_server_that_refuses_what_would_be_late_answers_more_in_time() -> None:
    # Ten at once, each takes 10 ms, 50 ms are allowed: five in time, and the five behind them hold up all that follow.
    rush = [0.0] * 10
    assert reachable(rush, capacity=100, limit_s=0.0501) == (0.5, 0.5)
    followed = [*rush, 0.051, 0.061, 0.071, 0.081]
    in_order, refusing = reachable(followed, capacity=100, limit_s=0.0501)
    assert in_order == pytest.approx(5 / 14)
    assert refusing == pytest.approx(9 / 14)


def test_shares_are_counted_by_class() -> None:
    good = [True, False, True, True]
    assert shares(good, [0, 0, 1, 1], 3) == [0.5, 1.0, 1.0]


def test_recovery_counts_from_the_end_of_the_rush_to_the_first_lasting_calm() -> None:
    moments_s = [n / 10 for n in range(100)]
    good = [not (2.0 <= moment_s < 4.0 or moment_s in (4.7,)) for moment_s in moments_s]
    assert recovered_s(moments_s, good, 3.0, share=0.99) == 2.0
    assert recovered_s(moments_s, good, 3.0, share=0.5) == 1.0
    assert recovered_s(moments_s, [False] * 100, 3.0, share=0.99) == 7.0
