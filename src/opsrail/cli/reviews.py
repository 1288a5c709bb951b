"""`opsrail reviews`: what waits for a person, who holds it, and what happened to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Group, Invocation, common, examples, limited, operator
from opsrail.cli.reviews_controls import controls
from opsrail.cli.reviews_quality import export, quality

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.values.reviews import ReviewEventRow, ReviewRow

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC-2"
WIDTH = 100
"""Columns that a list of reviews takes at most, in characters; longer cells go on in the next line."""
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
STATES = ("open", "claimed", "asked", "ruled", "withdrawn")


@click.group(cls=Group)
def reviews() -> None:
    """Rule on what waits for a person."""


for command in (controls, quality, export):
    reviews.add_command(command)


@reviews.command(
    "list",
    epilog=examples("opsrail reviews list", "opsrail reviews list --queue claims-desk --json"),
)
@click.option("--queue", metavar="NAME", help="Only this desk's.")
@click.option("--state", type=click.Choice(STATES), help="Only these. [default: all that wait]")
@click.option("--mine", metavar="NAME", help="Only what this person holds, was asked or ruled.")
@limited()
@common
def list_(
    invocation: Invocation, queue: str | None, state: str | None, mine: str | None, limit: int
) -> None:
    """List what waits for a ruling, most urgent first, or what was ruled, newest first."""
    from opsrail.cli.render import print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.review.showing import gist_of

    async def work(app: App) -> tuple[list[tuple[str | None, ...]], list[dict[str, Any]]]:
        await app.desk.refuse_unless_known(queue)
        rows = await app.desk.page(queue=queue, state=state, mine=mine, limit=limit)
        shown = await records(app, rows, mine)
        listed = [{**short(record), **gist_of(record["subject"])} for record in shown]
        now_ms = app.clock.now_ms()
        cells = [_cells(*both, now_ms) for both in zip(rows, listed, strict=True)]
        return cells, listed

    cells, listed = on_app(invocation, work)
    if invocation.is_json:
        print_json({"reviews": listed})
        return
    columns = ("review", "about", "policy says", "why", "state", "due")
    print_table(columns, cells, empty="Nothing waits for a person.", most=WIDTH)


def _cells(row: ReviewRow, listed: dict[str, Any], now_ms: int) -> tuple[str | None, ...]:
    """Return a review as cells of a list."""
    about = ": ".join(filter(None, (listed["point"] or row.automation, listed["about"])))
    holder = f" by {row.assignee}" if row.assignee else ""
    hidden = "hidden" if row.decision_id and not listed["is_shown"] else None
    return (
        row.id,
        about,
        listed["verdict"] or hidden,
        " ".join(listed["why"]),
        f"{listed['standing']}{holder}, {row.queue}",
        due_in_words(row, now_ms),
    )


def due_in_words(row: ReviewRow, now_ms: int) -> str | None:
    """Return when a review should be ruled, seen from now: `in 3 h`, `2 d late`; None: no limit, or it was ruled."""
    if row.due_at_ms is None or row.ruled_at_ms is not None:
        return None
    left_s = (row.due_at_ms - now_ms) / 1000
    size_s, unit = next((each for each in UNITS if abs(left_s) >= each[0]), UNITS[-1])
    length = f"{abs(left_s) // size_s:.0f} {unit}"
    return f"in {length}" if left_s >= 0 else f"{length} late"


@reviews.command(
    "queues", epilog=examples("opsrail reviews queues", "opsrail reviews queues --json")
)
@common
def queues(invocation: Invocation) -> None:
    """Show how each queue stands: what waits, what is held, what is overdue, how old the oldest is."""
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app

    counted = on_app(invocation, lambda app: app.desk.queues())
    if invocation.is_json:
        print_json({"queues": [one._asdict() for one in counted]})
        return
    cells = [
        (one.queue, one.waiting, one.claimed, one.overdue, moment(one.oldest_at_ms))
        for one in counted
    ]
    print_table(
        ("queue", "waiting", "held", "overdue", "oldest"),
        cells,
        empty="Nothing waits for a person.",
    )


@reviews.command("show", epilog=examples(f"opsrail reviews show {ID}"))
@click.argument("review_id", metavar="ID")
@operator
@common
def show(invocation: Invocation, review_id: str, by: str) -> None:
    """Show what the person is asked: input, score, verdict, reasons, further facts.

    In a blind queue what the machine said stays hidden until you have said your own verdict.
    """
    from opsrail.cli.render import print_fields, print_json
    from opsrail.cli.session import on_app

    async def work(app: App) -> dict[str, Any]:
        (record,) = await records(app, [await app.desk.get(review_id)], by)
        return record

    record = on_app(invocation, work)
    if invocation.is_json:
        print_json({"review": record})
        return
    subject = record.pop("subject")
    print_fields(record)
    for part in ("input", "show"):
        if subject.get(part):
            click.echo(f"\n{part}")
            value = subject[part]
            print_fields(value if isinstance(value, dict) else {part: value})
    if subject.get("decision") and record["is_shown"]:
        _print_decision(subject["decision"])
    elif subject.get("decision"):
        click.echo(f"\nWhat the machine said is hidden: opsrail reviews say {review_id} VERDICT")


@reviews.command("events", epilog=examples(f"opsrail reviews events {ID}"))
@click.argument("review_id", metavar="ID")
@operator
@common
def events(invocation: Invocation, review_id: str, by: str) -> None:
    """Show what happened to a review, first to last."""
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.review.showing import event_record

    async def work(app: App) -> list[ReviewEventRow]:
        return await app.desk.history(review_id, viewer=by)

    rows = on_app(invocation, work)
    if invocation.is_json:
        print_json({"events": [event_record(row) for row in rows]})
        return
    cells = [(row.seq, row.kind, row.by, moment(row.at_ms), row.content) for row in rows]
    print_table(
        ("#", "what", "by", "when", "content"), cells, empty="Nothing is known to have happened."
    )


async def records(app: App, rows: list[ReviewRow], viewer: str | None) -> list[dict[str, Any]]:
    """Return reviews as plain JSON values, as a person may see them."""
    from opsrail.review.showing import record_of

    viewer = None if viewer is None else await app.desk.named(viewer)
    seen, now_ms = await app.desk.sees(rows, viewer), app.clock.now_ms()
    return [record_of(row, sees=row.id in seen, now_ms=now_ms, viewer=viewer) for row in rows]


def short(record: dict[str, Any]) -> dict[str, Any]:
    """Return a review without what the person is shown, which may be long and personal."""
    return {name: value for name, value in record.items() if name not in ("subject", "form")}


def _print_decision(record: dict[str, Any]) -> None:
    from opsrail.decide.explain import explain
    from opsrail.values.decisions import Decision

    click.echo("\ndecision")
    for sentence in explain(Decision.from_record(record)):
        click.echo(f"  {sentence}")
