"""What every bench gives back, how it is printed, and what the machine was."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FSYNCS = 100


@dataclass(frozen=True)
class Report:
    """One bench's result.

    Attributes:
        figures: Flat, `name_unit` to number.
        peers: By peer: its version, how it was set, its own figures.
        targets: `name_unit` to the bound it should keep, e.g. `<= 50`; for the reader.
    """

    bench: str
    figures: Mapping[str, float]
    peers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> str:
        """Return the report as one line of JSON."""
        return json.dumps(
            {
                "bench": self.bench,
                "figures": dict(self.figures),
                "peers": {name: dict(said) for name, said in self.peers.items()},
                "machine": dict(self.machine),
            }
        )

    def table(self) -> str:
        """Return the report as lines for a person."""
        lines = [f"bench {self.bench}"]
        lines += _rows(self.figures, self.targets)
        for peer, said in self.peers.items():
            lines += ["", f"peer {peer}", *_rows(said, {})]
        return "\n".join([*lines, "", "machine", *_rows(self.machine, {})])


def _rows(values: Mapping[str, Any], targets: Mapping[str, str]) -> list[str]:
    width = max(map(len, values), default=0)
    return [
        f"  {name:{width}}  {_text(value):>12}"
        + (f"  target {targets[name]}" if name in targets else "")
        for name, value in values.items()
    ]


def _text(value: object) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def summary(name: str, unit: str, values: Sequence[float]) -> dict[str, float]:
    """Return the median of some rounds under `name_unit`, and their spread under `name_min_unit`, `name_max_unit`."""
    found = {"": statistics.median(values), "_min": min(values), "_max": max(values)}
    return {f"{name}{which}_{unit}": rounded(value) for which, value in found.items()}


def spread(name: str, values: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Yield the median of some rounds under a name without a unit, and where there were several their spread."""
    yield name, rounded(statistics.median(values))
    if len(values) > 1:
        yield f"{name}_min", rounded(min(values))
        yield f"{name}_max", rounded(max(values))


def rounded(value: float) -> float:
    """Return the number with four figures that count, and no fewer before the point."""
    return float(f"{value:.4g}") if abs(value) < 1000 else float(round(value))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]


def machine(folder: Path | None = None) -> dict[str, Any]:
    """Describe this machine; the load average is that of the bench itself and of everything beside it.

    Args:
        folder: Where rows are written; its disk is asked how long an fsync takes. None: the temporary folder.
    """
    return {
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load_1_min": round(os.getloadavg()[0], 2),
        "fsync_p50_ms": rounded(fsync_ms(folder)),
    }


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return named[0] if named else platform.machine()


def fsync_ms(folder: Path | None) -> float:
    """Return how long an fsync of an append of 500 bytes takes, p50, milliseconds; near 0: not a disk."""
    took = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(FSYNCS):
            file.write(b"x" * 500)
            file.flush()
            begun = time.perf_counter()
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - begun))
    return statistics.median(took)


def say(text: str) -> None:
    """Tell the person who waits; never part of the result."""
    print(text, file=sys.stderr, flush=True)
