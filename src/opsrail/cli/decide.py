"""`opsrail decide`: a file of rows in, a recorded decision or a problem a row out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from opsrail.cli.options import Invocation, common, examples, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.decide.point import DecisionPoint
    from opsrail.web.bulk_rows import Format, Outcome

ARROW = (".arrow", ".arrows")
LINES = (".jsonl", ".ndjson")


class Tally(NamedTuple):
    """How many rows there were, and how many were decided."""

    rows: int
    decided: int


@click.command(
    epilog=examples(
        "opsrail decide claims.py fraud-risk --input claims.jsonl --output decisions.jsonl",
        "opsrail decide claims.py fraud-risk --input claims.arrows --output decisions.arrows --key march",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("point")
@click.option(
    "--input",
    "input_path",
    required=True,
    metavar="ROWS",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON lines (.jsonl, .ndjson) or an Arrow stream (.arrow, .arrows) of the point's requests.",
)
@click.option(
    "--output",
    "output_path",
    required=True,
    metavar="ANSWERS",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Written anew, in the format of the input.",
)
@click.option("--key", metavar="K", help="Idempotency key: line N is decided once under K/N.")
@operator
@common
def decide(
    invocation: Invocation,
    file: Path,
    point: str,
    input_path: Path,
    output_path: Path,
    key: str | None,
    by: str,
) -> int:
    """Ask a decision point of the automation in FILE for every row, each with its own record.

    A row that is wrong gets its problem in its place and stops no other. With --key the same file may be decided again after
    a crash: rows that were decided get the decisions they have.

    Exit status 1 when rows had problems.
    """
    from opsrail.cases.loader import load_file
    from opsrail.cli.render import print_json
    from opsrail.cli.session import absolute, on_running_app, settings

    config = settings(invocation)
    definitions = load_file(absolute(file))
    if point not in definitions.points:
        known = ", ".join(definitions.points) or "none"
        raise click.UsageError(f"{file} defines no decision point {point!r}; it defines: {known}")
    chosen = _format(input_path, config.web.body_bytes)
    invocation.interrupted = "Interrupted; what was decided stays recorded. Give --key to go on."
    asked = definitions.points[point]
    tally = on_running_app(
        invocation,
        config,
        definitions,
        lambda app: _decided(app, asked, chosen, input_path, output_path, key, by),
    )
    problems = tally.rows - tally.decided
    result = {**tally._asdict(), "problems": problems, "output": str(output_path)}
    if invocation.is_json:
        print_json(result)
    else:
        click.echo(f"{tally.decided:,} of {tally.rows:,} rows decided, see {output_path}")
    return 1 if problems else 0


def _format(path: Path, most_bytes: int) -> Format:
    """Return how a file is read. Raises UsageError, MissingExtra."""
    from opsrail.errors import MissingExtra
    from opsrail.web.bulk_rows import JSON_LINES, JsonLines

    if path.suffix in LINES:
        return JsonLines(JSON_LINES[0], most_bytes)
    if path.suffix not in ARROW:
        raise click.UsageError(f"{path}: name it {', '.join((*LINES, *ARROW))}, as it is written")
    try:
        from opsrail.web.bulk_arrow import ArrowStream
    except ModuleNotFoundError as missing:
        raise MissingExtra("An Arrow file", "parquet") from missing
    return ArrowStream(most_bytes)


async def _decided(
    app: App,
    point: DecisionPoint[Any],
    chosen: Format,
    input_path: Path,
    output_path: Path,
    key: str | None,
    by: str,
) -> Tally:
    """Decide all rows; what is written so far is good whenever it ends."""
    from opsrail.access.keys import TENANT
    from opsrail.decide.rows import in_order
    from opsrail.telemetry import next_trace
    from opsrail.web.bulk_rows import RowAsker
    from opsrail.web.points import Asking

    asking = Asking(next_trace(None, app.clock).trace_id, by, TENANT, key)
    asker = RowAsker(app, point, asking)
    rows = decided = 0
    waiting: list[Outcome] = []
    with input_path.open("rb") as source, output_path.open("wb") as sink:
        await chosen.check(source)
        at_once = app.config.decide.rows_at_once
        async for outcome in in_order(chosen.rows(source), asker.outcome, at_once):
            rows, decided = rows + 1, decided + (outcome.decision is not None)
            waiting.append(outcome)
            if len(waiting) >= chosen.flush_count:
                sink.write(_taken(chosen, waiting))
        sink.write(_taken(chosen, waiting) + chosen.end())
    return Tally(rows, decided)


def _taken(chosen: Format, waiting: list[Outcome]) -> bytes:
    outcomes: Sequence[Outcome] = waiting.copy()
    waiting.clear()
    return chosen.written(outcomes) if outcomes else b""
