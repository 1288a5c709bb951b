"""Arrivals with real rushes: the share of requests that is answered within 50 ms, by class, and what an overload leaves.

An open loop: requests come when the trace says, whether or not earlier ones were answered, and a request's time runs from
that moment. Good is an answer with status 200 and the model's own score within 50 ms. Each round is a fresh process of each
server, on the first core with all that it starts; the load generator has the second.

The arrivals are those of 300 callers who each follow the Azure trace from a place of their own, closer together or further
apart so that their mean is 50% or 90% of what the server has just answered in a closed loop. The same arrivals reach every
server, each scaled to its own capacity: a slower peer is not drowned in a load that it was never fit for, so the ratio of
the shares tells how queues are handled, not how fast the server is. What a peer makes of the arrivals that opsrail got is
told beside it. A third of the requests each is of high, normal and low criticality; peers know no such thing.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.arrivals import at_rate, on_off, reachable, read_trace, recovered_s, shares, superposed
from bench.figures import Report, machine, percentile, rounded, say, spread
from bench.peer_servers import BURST_FAMILIES, choose, told_of, tried
from bench.serve import closed
from bench.servers import LOAD_CORE, OPSRAIL, SERVER_CORE, Running, Server, recorded, started
from bench.tabular import write_model

LIMIT_MS = 50.0
CLASSES = ("high", "normal", "low")
DEADLINE = "x-opsrail-deadline-ms: 45"
"""What the caller leaves of its 50 ms to the server; 5 ms are for the way."""
OUR_HEADERS = [
    [DEADLINE, *([] if n == 0 else [f"x-opsrail-criticality: {name}"])]
    for n, name in enumerate(CLASSES)
]
PEER_HEADERS: list[list[str]] = [[] for _ in CLASSES]
CALLERS = 300
CONNECTIONS = 768
GIVE_UP_S = 1.0
LEVELS = (50, 90)
FILLED = (32, 64)
"""Connections of the closed loops that tell the capacity; the better one counts."""
CALM_SHARE = 0.99
TARGETS = {
    "goodput_50": ">= 0.99",
    "goodput_50_high": ">= 0.999",
    "goodput_90_high": ">= 0.999",
    "ratio_goodput_best_peer_90": ">= 1.3",
    "overload_goodput_ratio": ">= 0.9",
    "recovery_s": "<= 10",
    "reject_p99_ms": "<= 50",
}
Figures = dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--peers", nargs="*", choices=sorted(BURST_FAMILIES), default=["litserve", "ray"]
    )
    parser.add_argument("--rounds", type=int, default=2, help="each with arrivals of its own")
    parser.add_argument("--requests", type=int, default=20_000, help="of each replay")
    parser.add_argument("--capacity-seconds", type=float, default=2.0)
    parser.add_argument("--overload", type=float, default=5.0, help="times capacity; 0: none")
    parser.add_argument("--overload-seconds", type=float, default=30.0)
    parser.add_argument("--calm-seconds", type=float, default=15.0, help="watched after it")
    parser.add_argument("--folder", type=Path, help="where SQLite files lie (default: temporary)")


def run(asked: argparse.Namespace) -> Report:
    """Run the rounds; put medians, spreads and ratios together."""
    taken_on = machine(asked.folder) | {"server_core": SERVER_CORE, "load_core": LOAD_CORE}
    chosen, skipped = choose(BURST_FAMILIES, asked.peers)
    trace = read_trace()
    rounds: list[dict[str, Figures]] = []
    with tempfile.TemporaryDirectory(dir=asked.folder) as place:
        model = Path(place) / "model.onnx"
        write_model(model)
        for number in range(1, asked.rounds + 1):
            shape = superposed(trace, CALLERS, asked.requests, seed=number)
            ours = our_round(model, asked, shape, trace, Path(place) / f"opsrail-{number}")
            found = {"opsrail": ours}
            for server in [one for one in chosen if one.name not in skipped]:
                measure = partial(peer_round, server, model, asked, shape, trace, ours)
                measured = tried(server, measure, Path(place) / f"{server.name}-{number}")
                if isinstance(measured, str):
                    skipped[server.name] = {"skipped": measured}
                else:
                    found[server.name] = measured
            rounds.append(found)
        overload = (
            overloaded(model, asked, Path(place) / "opsrail-overload") if asked.overload else {}
        )
    names = [server.name for server in chosen if server.name not in skipped]
    figures = {name: rounded(value) for name, value in overload.items()}
    figures |= dict(ratios(rounds, names))
    for name in ["opsrail", *names]:
        prefix = "" if name == "opsrail" else f"{name.replace('-', '_')}_"
        for what in rounds[0][name]:
            figures |= spread(f"{prefix}{what}", [one[name][what] for one in rounds])
    servers = [OPSRAIL, *(server for server in chosen if server.name in names)]
    return Report("burst", figures, told_of(servers) | skipped, TARGETS, taken_on)


def ratios(
    rounds: Sequence[Mapping[str, Figures]], names: Sequence[str]
) -> Iterator[tuple[str, float]]:
    """Yield our share of good answers over the best peer's of the same round; none of a peer count as one in a thousand."""
    if not names:
        return
    for title, what, ours in (
        ("ratio_goodput_best_peer_90", "goodput_90", "goodput_90"),
        ("ratio_goodput_trace_best_peer_90", "trace_goodput_90", "trace_goodput_90"),
        ("ratio_goodput_same_arrivals_50", "same_arrivals_goodput_50", "goodput_50"),
        ("ratio_goodput_same_arrivals_90", "same_arrivals_goodput_90", "goodput_90"),
        ("ratio_good_per_s_best_peer_90", "good_90_per_s", "good_90_per_s"),
    ):
        yield from spread(
            title,
            [
                one["opsrail"][ours] / max(0.001, *(one[name][what] for name in names))
                for one in rounds
            ],
        )


@dataclass(frozen=True)
class Replayed:
    """What became of each request of a replay.

    Attributes:
        good: Answered as it should be, in time.
        answered: Answered as it should be, however late.
    """

    moments_s: Sequence[float]
    classes: Sequence[int]
    told: Mapping[str, Any]
    good: Sequence[bool] = field(init=False)
    answered: Sequence[bool] = field(init=False)

    def __post_init__(self) -> None:
        ends, took_ms = self.told["ends"], self.told["took_ms"]
        answered = [end == 0 for end in ends]
        good = [is_ok and ms <= LIMIT_MS for is_ok, ms in zip(answered, took_ms, strict=True)]
        object.__setattr__(self, "answered", answered)
        object.__setattr__(self, "good", good)

    @property
    def share(self) -> float:
        return sum(self.good) / len(self.good)

    @property
    def late_ms(self) -> float:
        """How late the generator itself was, p99."""
        return percentile(self.told["late_ms"] or [0.0], 0.99)


def replay(
    running: Running, moments_s: Sequence[float], headers: Sequence[Sequence[str]]
) -> Replayed:
    """Send a request at each moment, a third of each class."""
    classes = random.Random(11).choices(range(len(CLASSES)), k=len(moments_s))
    (told,) = running.load(
        [
            {
                "moments_s": [round(moment_s, 6) for moment_s in moments_s],
                "classes": classes,
                "class_headers": headers,
                "connections": CONNECTIONS,
                "give_up_s": GIVE_UP_S,
            }
        ]
    )
    return Replayed(moments_s, classes, told)


def capacity(running: Running, seconds: float) -> float:
    """Return how many requests a second it answers when there is always one waiting."""
    return max(
        figures[f"c{connections}|per_s"]
        for connections in FILLED
        for _, figures in [closed(running, connections, seconds)]
    )


def at_level(
    running: Running, shape: Sequence[float], level: int, asked: argparse.Namespace
) -> tuple[Replayed, Figures]:
    """Replay arrivals at so many percent of the capacity that the server has at this moment."""
    able = capacity(running, asked.capacity_seconds)
    headers = OUR_HEADERS if running.server is OPSRAIL else PEER_HEADERS
    done = replay(running, at_rate(shape, able * level / 100), headers)
    in_order, at_most = reachable(done.moments_s, able, LIMIT_MS / 1000)
    rate = able * level / 100
    say(
        f"{running.server.name} {level}% of {able:,.0f}/s: {done.share:.2%} within {LIMIT_MS:.0f} ms "
        f"(in order at most {in_order:.1%}, refusing at most {at_most:.1%}), {done.told['errors']}, "
        f"generator late p99 {done.late_ms:.2f} ms"
    )
    return done, {
        f"goodput_{level}": done.share,
        f"good_{level}_per_s": rate * done.share,
        f"capacity_{level}_per_s": able,
        f"reachable_in_order_{level}": in_order,
        f"reachable_{level}": at_most,
        f"answered_{level}": sum(done.answered) / len(done.answered),
        f"load_late_p99_{level}_ms": done.late_ms,
    }


def our_round(
    model: Path,
    asked: argparse.Namespace,
    shape: Sequence[float],
    trace: Sequence[float],
    folder: Path,
) -> Figures:
    """Replay the arrivals at each level, then the lone trace at each."""
    found: Figures = {}
    answered = 0
    with started(OPSRAIL, model, folder) as running:
        for level in LEVELS:
            done, figures = at_level(running, shape, level, asked)
            by_class = shares(done.good, done.classes, len(CLASSES))
            found |= figures
            found |= {
                f"goodput_{level}_{name}": share
                for name, share in zip(CLASSES, by_class, strict=True)
            }
            answered += sum(done.answered)
        for level in LEVELS:
            done, figures = at_level(running, trace, level, asked)
            found |= {
                f"trace_{name}": figures[name]
                for name in (
                    f"goodput_{level}",
                    f"reachable_in_order_{level}",
                    f"reachable_{level}",
                )
            }
            answered += sum(done.answered)
    kept = asyncio.run(recorded(folder))
    assert kept >= answered, f"{answered} decisions were answered, {kept} are recorded"
    return found


def peer_round(
    server: Server,
    model: Path,
    asked: argparse.Namespace,
    shape: Sequence[float],
    trace: Sequence[float],
    ours: Figures,
    folder: Path,
) -> Figures:
    """Replay the arrivals at 90% of the peer's own capacity, and those that opsrail got."""
    with started(server, model, folder) as running:
        _, found = at_level(running, shape, 90, asked)
        _, alone = at_level(running, trace, 90, asked)
        found["trace_goodput_90"] = alone["goodput_90"]
        for level in LEVELS:
            rate = ours[f"capacity_{level}_per_s"] * level / 100
            done = replay(running, at_rate(shape, rate), PEER_HEADERS)
            found[f"same_arrivals_goodput_{level}"] = done.share
            say(f"{server.name} at opsrail's {level}%, {rate:,.0f}/s: {done.share:.2%}")
    return found


def overloaded(model: Path, asked: argparse.Namespace, folder: Path) -> Figures:
    """Let far more come than can be answered; return what is answered meanwhile, and how soon all is well again."""
    calm_s, rush_s, after_s = 5.0, asked.overload_seconds, asked.calm_seconds
    with started(OPSRAIL, model, folder) as running:
        able = capacity(running, asked.capacity_seconds)
        moments_s = on_off(able / 2, able * asked.overload, (calm_s, rush_s, after_s))
        done = replay(running, moments_s, OUR_HEADERS)
    return overload_figures(done, able, (calm_s, rush_s))


def overload_figures(done: Replayed, able: float, spans_s: tuple[float, float]) -> Figures:
    """Return the figures of an overload between two calms.

    Args:
        able: Capacity, per second.
        spans_s: How long it was calm, and how long the rush was.
    """
    begin_s, end_s = spans_s[0], sum(spans_s)
    rush = [place for place, at_s in enumerate(done.moments_s) if begin_s <= at_s < end_s]
    classes = [done.classes[place] for place in rush]
    by_class = shares([done.good[place] for place in rush], classes, len(CLASSES))
    told = done.told
    refused_ms = [
        took_ms - waited_ms
        for took_ms, waited_ms, end in zip(
            told["took_ms"], told["waited_ms"], told["ends"], strict=True
        )
        if end == 1
    ]
    say(f"overload of {able:,.0f}/s: {told['errors']}, generator late p99 {done.late_ms:.2f} ms")
    return {
        "overload_goodput_ratio": sum(done.good[place] for place in rush) / spans_s[1] / able,
        "overload_answered_ratio": sum(done.answered[place] for place in rush) / spans_s[1] / able,
        **{f"overload_goodput_{name}": one for name, one in zip(CLASSES, by_class, strict=True)},
        "overload_unsent_ratio": sum(told["waited_ms"][place] < 0 for place in rush) / len(rush),
        "overload_refused_ratio": sum(told["ends"][place] == 1 for place in rush) / len(rush),
        "reject_p99_ms": percentile(refused_ms or [0.0], 0.99),
        "recovery_s": recovered_s(done.moments_s, done.good, end_s, CALM_SHARE),
        "overload_capacity_per_s": able,
        "overload_load_late_p99_ms": done.late_ms,
    }
