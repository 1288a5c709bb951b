"""Fuzz parsers, each in a child process: `make fuzz`, `make fuzz ARGS="--seconds 10 body"`.

An input that found something is kept in `fuzz-findings/`, with the command that tries it again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.harness import PARSERS, harness_of, tried

FINDINGS = Path("fuzz-findings")
SECONDS = 60
LIMITS = ("-max_len=65536", "-timeout=10", "-rss_limit_mb=1024", "-malloc_limit_mb=512")
"""Bytes of an input, seconds on the wall for one, memory of the child and of one request for it. The CPU time of one input
is held to less (`harness.MOST_S`); these end what does not come back."""
GRACE_S = 60
EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
COVERAGE = re.compile(r"cov: (\d+)")


class Ran(NamedTuple):
    """What fuzzing one parser came to.

    Attributes:
        executions: Inputs tried.
        begun_with: Edges of opsrail's code that the samples reached.
        reached: Edges reached at the end.
        findings: Files of the inputs that found something.
        trouble: What the child said, when it ended badly.
    """

    parser: str
    executions: int
    took_s: float
    begun_with: int
    reached: int
    findings: tuple[Path, ...]
    trouble: str


def fuzzed(parser: str, seconds: int, seed: int) -> Ran:
    """Fuzz one parser in a child process."""
    folder = FINDINGS / parser
    folder.mkdir(parents=True, exist_ok=True)
    known = set(folder.iterdir())
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as corpus:
        child = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.guided", parser, corpus, *LIMITS),
                *(f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1"),
                f"-artifact_prefix={folder}/",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds + GRACE_S,
        )
    executions = [int(count) for count in EXECUTIONS.findall(child.stdout)]
    edges = [int(count) for count in COVERAGE.findall(child.stdout)]
    return Ran(
        parser,
        executions[-1] if executions else 0,
        time.monotonic() - begun_s,
        edges[0] if edges else 0,
        edges[-1] if edges else 0,
        tuple(sorted(set(folder.iterdir()) - known)),
        child.stdout[-3_000:] if child.returncode else "",
    )


def main() -> int:
    """Fuzz the parsers that are named, or try one finding again; return the exit status."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("parsers", nargs="*", metavar="PARSER", help=", ".join(PARSERS))
    asked.add_argument("--seconds", type=int, default=SECONDS, help="for each parser")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--replay", type=Path, metavar="FILE", help="try one input of one parser")
    given = asked.parse_args()
    if unknown := set(given.parsers) - set(PARSERS):
        asked.error(
            f"no parser is named {', '.join(sorted(unknown))}; there are: {', '.join(PARSERS)}"
        )
    if given.replay is not None:
        if len(given.parsers) != 1:
            asked.error("name the one parser that the input is for")
        tried(harness_of(given.parsers[0]), given.replay.read_bytes())
        print("It finds nothing any more.")
        return 0
    runs = [fuzzed(parser, given.seconds, given.seed) for parser in given.parsers or PARSERS]
    for run in runs:
        if run.trouble:
            print(f"--- {run.parser}\n{run.trouble}")
    print(f"{'parser':16}{'executions':>12}{'seconds':>9}{'edges':>13}{'findings':>10}")
    for run in runs:
        edges = f"{run.begun_with}->{run.reached}"
        print(
            f"{run.parser:16}{run.executions:12,}{run.took_s:9.0f}{edges:>13}{len(run.findings):10}"
        )
    for run in runs:
        for file in run.findings:
            print(
                f"again: PYTHONPATH=src {sys.executable} -m tests.fuzz {run.parser} --replay {file}"
            )
    return int(any(run.trouble or run.findings for run in runs))


if __name__ == "__main__":
    sys.exit(main())
