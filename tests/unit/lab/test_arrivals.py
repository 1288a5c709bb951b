"""Arrivals: rates, order and shape; recordings as they were, scaled, and refused."""

from __future__ import annotations

import gzip
from itertools import islice, pairwise, takewhile
from pathlib import Path

import pytest

from opsrail.clock import chance
from opsrail.errors import InvalidInput
from opsrail.lab.arrivals import Arrivals, Bursts, Daily, Poisson, Replay

AZURE = Path(__file__).parents[3] / "bench" / "data" / "arrivals_azure_llm_2023"
CODE = AZURE / "AzureLLMInferenceTrace_code.csv.gz"
CONVERSATION = AZURE / "AzureLLMInferenceTrace_conv.csv.gz"


def until(arrivals: Arrivals, end_s: float) -> list[float]:
    moments = arrivals.moments(chance("a seed"))
    return list(takewhile(lambda at_s: at_s < end_s, moments))


@pytest.mark.parametrize(
    "arrivals",
    [
        Poisson(rate_per_s=50),
        Bursts(quiet_per_s=10, burst_per_s=200, quiet_s=8, burst_s=2.2),
        Bursts(quiet_per_s=0, burst_per_s=100, quiet_s=1, burst_s=1, is_regular=False),
        Daily(rate_per_s=50, day_s=100, peak_at_s=50),
        Replay(file=CODE, rate_per_s=50),
        Replay(file=CONVERSATION, rate_per_s=50, scaled_by="copies"),
    ],
    ids=lambda one: one.kind,
)
def test_arrivals_ascend_and_keep_their_mean_rate(arrivals: Arrivals) -> None:
    moments = until(arrivals, 1_000)

    assert all(one <= two for one, two in pairwise(moments))
    assert all(at_s >= 0 for at_s in moments)
    assert len(moments) / 1_000 == pytest.approx(arrivals.mean_per_s, rel=0.25)


def test_bursts_are_where_they_are_said_to_be() -> None:
    moments = until(Bursts(quiet_per_s=0, burst_per_s=100, quiet_s=3, burst_s=1), 40)

    assert all(at_s % 4 >= 3 for at_s in moments)


def test_a_day_has_its_peak_and_its_night() -> None:
    moments = until(Daily(rate_per_s=100, swing_ratio=1, day_s=100, peak_at_s=25), 100)
    near_peak = sum(15 < at_s < 35 for at_s in moments)
    at_night = sum(65 < at_s < 85 for at_s in moments)

    assert near_peak > 20 * at_night


def test_a_recording_is_replayed_as_it_was_and_begins_anew_at_its_end() -> None:
    moments = list(islice(Replay(file=CODE).moments(chance("any")), 8_820))

    assert moments[0] == 0.0
    assert moments[1] == pytest.approx(0.052, abs=1e-6)
    assert 3_400 < moments[8_818] < 3_500
    assert moments[8_819] > moments[8_818]


def test_copies_keep_the_seconds_in_which_bursts_were() -> None:
    """The share of requests in the busiest tenth of the seconds stays."""

    def busiest(moments: list[float]) -> float:
        counts = [0] * 3_400
        for at_s in moments:
            counts[int(at_s)] += 1
        return sum(sorted(counts)[-340:]) / len(moments)

    plain = busiest(until(Replay(file=CODE), 3_399))
    copied = busiest(until(Replay(file=CODE, rate_per_s=26, scaled_by="copies"), 3_399))

    assert copied == pytest.approx(plain, rel=0.15)


def test_a_recording_may_begin_in_its_middle() -> None:
    whole = list(islice(Replay(file=CODE).moments(chance("any")), 2_000))
    part = next(Replay(file=CODE, begin_s=whole[1_000]).moments(chance("any")))

    assert part == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("at\n1\n2\n", "no column 'TIMESTAMP'; there are: at"),
        ("TIMESTAMP\n1\nnoon\nnan\n", "'noon' is no moment"),
        ("TIMESTAMP\n5\n5\n", "two different moments"),
        ("", "no column"),
    ],
)
def test_a_recording_that_cannot_be_used_says_why(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "arrivals.csv"
    path.write_text(text)

    with pytest.raises(InvalidInput, match=fault):
        next(Replay(file=path).moments(chance("any")))


def test_a_recording_that_is_not_there_or_damaged_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.csv.gz"
    damaged.write_bytes(gzip.compress(b"TIMESTAMP\n1\n2\n" * 1_000)[:-20])

    for path in (tmp_path / "nowhere.csv", damaged):
        with pytest.raises(InvalidInput, match=path.name):
            next(Replay(file=path).moments(chance("any")))


def test_moments_may_be_iso_8601_or_seconds(tmp_path: Path) -> None:
    path = tmp_path / "arrivals.csv"
    path.write_text("when\n2026-01-01T00:00:10Z\n2026-01-01 00:00:12.5\n")
    seconds = tmp_path / "seconds.csv"
    seconds.write_text("when\n12.5\n10\n")

    for each in (path, seconds):
        moments = Replay(file=each, column="when").moments(chance("any"))
        assert list(islice(moments, 2)) == pytest.approx([0.0, 2.5])
