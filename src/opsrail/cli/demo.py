"""`opsrail demo`: the claims example on real claims, from training its model to the verified ledger."""

from __future__ import annotations

from pathlib import Path

import click

from opsrail.cli.options import Invocation, common, examples

NEEDS = (
    "cv2", "duckdb", "onnx", "onnxruntime", "pyarrow", "rapidocr", "scipy", "skl2onnx", "sklearn",
)  # fmt: skip


@click.command(
    epilog=examples(
        "opsrail demo",
        "opsrail demo --cases 100 --no-serve --json",
        "opsrail demo --no-desk --data claims",
    )
)
@click.option(
    "--cases",
    default=500,
    show_default=True,
    type=click.IntRange(1, 4083),
    help="Claims of 1996 to take.",
)
@click.option("--no-serve", is_flag=True, help="End when the claims are through.")
@click.option(
    "--no-desk", is_flag=True, help="No simulated desk: you rule, with `opsrail reviews`."
)
@click.option(
    "--no-loop",
    is_flag=True,
    help="Leave out the end: observing a year, tuning with a guarantee, canary, roll-back, replay.",
)
@common
def demo(invocation: Invocation, cases: int, no_serve: bool, no_desk: bool, no_loop: bool) -> int:
    """Run the claims example: train, read receipts, decide, ask people, pay once, verify; then observe, tune, roll out.

    It goes on where it was when it is run again on the same folder. A desk called simulated-desk rules in place of people.
    """
    _refuse_without_packages()
    _make_importable(_root())
    from importlib import import_module

    play = import_module("examples.claims.demo")
    options = play.Options(
        case_count=cases, has_desk=not no_desk, is_serving=not no_serve, has_loop=not no_loop
    )
    return 0 if play.main(invocation, options) else 1


def _refuse_without_packages() -> None:
    from importlib.util import find_spec

    from opsrail.errors import MissingExtra

    if any(find_spec(name) is None for name in NEEDS):
        raise MissingExtra("opsrail demo", "demo")


def _root() -> Path:
    """Return the folder that holds `examples/claims`: inside the installed package, else the checkout's."""
    from opsrail.errors import NotFound

    package = Path(__file__).parents[1]
    for root in (package / "_shipped", package.parents[1]):
        if (root / "examples" / "claims" / "demo.py").is_file():
            return root
    raise NotFound(
        "this installation came without its examples; install the wheel, or run from a checkout"
    )


def _make_importable(root: Path) -> None:
    import sys

    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
