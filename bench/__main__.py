"""`python -m bench NAME [options] [--json]`: one bench, its figures on stdout, its progress on stderr."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from bench import (
    backtest,
    burst,
    cases,
    child,
    feast_join,
    guarantee,
    guard,
    help,
    pages,
    parked,
    prewarm,
    reviewers,
    road,
    runtimes,
    scripts,
    serve,
    simulator,
    training_set,
)
from bench.figures import Report

OWN = {
    "backtest": backtest,
    "burst": burst,
    "cases": cases,
    "child": child,
    "feast_join": feast_join,
    "guarantee": guarantee,
    "guard": guard,
    "pages": pages,
    "parked": parked,
    "help": help,
    "reviewers": reviewers,
    "road": road,
    "runtimes": runtimes,
    "serve": serve,
    "simulator": simulator,
    "prewarm": prewarm,
    "training_set": training_set,
}
SCRIPTS: dict[str, Callable[[argparse.Namespace], Report]] = {
    "store": scripts.store,
    "receipts": scripts.receipts,
}


def main() -> None:
    """Run the bench that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    benches = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, module in OWN.items():
        described = benches.add_parser(
            name,
            help=(module.__doc__ or "").splitlines()[0],
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        module.add_arguments(described)
        described.set_defaults(run=module.run)
    for name, run in SCRIPTS.items():
        described = benches.add_parser(
            name, help=run.__doc__, epilog=f"further options: python -m bench.{name} --help"
        )
        described.set_defaults(run=run)
    for described in benches.choices.values():
        described.add_argument("--json", action="store_true", help="print one JSON object")
    asked, rest = parser.parse_known_args()
    if rest and asked.name in OWN:
        parser.error(f"unknown options: {' '.join(rest)}")
    asked.rest = rest
    report: Report = asked.run(asked)
    print(report.json() if asked.json else report.table())


if __name__ == "__main__":
    main()
