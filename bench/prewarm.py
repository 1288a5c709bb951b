"""Pre-warming judged in virtual time, on real arrivals: on demand, after the last half minute, by the forecast.

A hundred devices, one model that takes 10 s to load and 20 ms a row; an answer is good within a second, nobody waits above
two. The Azure traces keep their time, and of each request come as many as give the wanted rate; the day is a cosine that
falls to a twentieth, an hour long, seen twice. `reactive-wide` is the reactive policy with as much room as makes it cost
about what the forecast with no further room does (`forecast-narrow`): bought room against foresight.
"""

from __future__ import annotations

import argparse
from typing import Any

from bench.figures import Report, machine, rounded, say
from bench.rounds import ROOT
from opsrail.lab import (
    Daily,
    Devices,
    Line,
    Model,
    Point,
    Policy,
    Replay,
    Scenario,
    simulate,
)

TRACES = ROOT / "bench" / "data" / "arrivals_azure_llm_2023"
TRACE_S = 3_400.0
HOUR_S = 3_600.0
POLICIES: dict[str, dict[str, Any]] = {
    "none": {"prewarm": "none"},
    "reactive": {"prewarm": "reactive"},
    "reactive_wide": {"prewarm": "reactive", "load_ratio": 0.17},
    "forecast": {"prewarm": "forecast"},
    "forecast_narrow": {"prewarm": "forecast", "load_ratio": 1.0},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policies", nargs="+", choices=list(POLICIES), default=list(POLICIES))


def run(asked: argparse.Namespace) -> Report:
    """Run each policy on each trace; nothing here depends on the machine."""
    traces = {
        "code": (_trace("code", 40.0), TRACE_S, 86_400.0),
        "conversation": (_trace("conv", 80.0), TRACE_S, 86_400.0),
        "day": (Daily(rate_per_s=60, swing_ratio=0.95, day_s=HOUR_S, peak_at_s=1_800), 2 * HOUR_S, HOUR_S),
    }  # fmt: skip
    figures: dict[str, float] = {}
    for name, (arrivals, duration_s, season_s) in traces.items():
        for policy in asked.policies:
            report = simulate(
                Scenario(
                    duration_s=duration_s,
                    arrivals=arrivals,
                    points=(Point(name="ask", model="model", deadline_ms=2_000, slo_ms=1_000),),
                    models=(
                        Model(
                            name="model", load_s=10, service={"cpu": Line(fixed_ms=20, row_ms=20)}
                        ),
                    ),
                    devices=(Devices(name="cpu", count=100, cost_usd_per_s=1e-5),),
                    policy=Policy(max_batch=8, season_s=season_s, **POLICIES[policy]),
                )
            )
            whole, use = report.whole, report.devices["cpu"]
            found = {
                "cold_count": whole.cold,
                "good_ratio": whole.good_ratio,
                "p99_ms": whole.p99_ms or 0.0,
                "warm_mean": use.warm_mean,
                "cost_usd": report.cost_usd,
            }
            say(
                f"{name} {policy}: {', '.join(f'{key} {value:.4g}' for key, value in found.items())}"
            )
            figures |= {f"{name}_{policy}_{key}": rounded(value) for key, value in found.items()}
    return Report("prewarm", figures, machine=machine())


def _trace(name: str, rate_per_s: float) -> Replay:
    file = TRACES / f"AzureLLMInferenceTrace_{name}.csv.gz"
    return Replay(file=file, rate_per_s=rate_per_s, scaled_by="copies")
