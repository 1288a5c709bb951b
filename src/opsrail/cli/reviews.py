"""`opsrail reviews`: what waits for a person, and the person's ruling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Invocation, common, examples, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.values.reviews import ReviewRow

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC-2"


@click.group()
def reviews() -> None:
    """Rule on what waits for a person."""


@reviews.command(
    "list",
    epilog=examples("opsrail reviews list", "opsrail reviews list --queue claims-desk --json"),
)
@click.option("--queue", metavar="NAME", help="Only this desk's.")
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="At most so many.",
)
@common
def list_(invocation: Invocation, queue: str | None, limit: int) -> None:
    """List what waits for a ruling, most urgent first."""
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app

    async def work(app: App) -> list[ReviewRow]:
        return await app.desk.waiting(queue, limit=limit)

    rows = on_app(invocation, work)
    if invocation.is_json:
        print_json({"reviews": [review_record(row) for row in rows]})
        return
    cells = [
        (
            row.id,
            row.queue,
            row.verdict,
            str(row.state),
            row.assignee,
            moment(row.due_at_ms or row.opened_at_ms),
        )
        for row in rows
    ]
    columns = ("review", "queue", "policy says", "state", "held by", "due or opened")
    print_table(columns, cells, empty="Nothing waits for a person.")


@reviews.command("show", epilog=examples(f"opsrail reviews show {ID}"))
@click.argument("review_id", metavar="ID")
@common
def show(invocation: Invocation, review_id: str) -> None:
    """Show what the person is asked: input, score, verdict, reasons, further facts."""
    from opsrail.cli.render import print_fields, print_json
    from opsrail.cli.session import on_app

    row = on_app(invocation, lambda app: app.desk.get(review_id))
    record = review_record(row, is_whole=True)
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
    if subject.get("decision"):
        _print_decision(subject["decision"])


@reviews.command("claim", epilog=examples(f"opsrail reviews claim {ID} --by ana"))
@click.argument("review_id", metavar="ID")
@operator
@common
def claim(invocation: Invocation, review_id: str, by: str) -> None:
    """Hold a review for 15 minutes, so that nobody else rules meanwhile; claiming again renews."""
    from opsrail.cli.render import moment
    from opsrail.cli.session import on_app

    row = on_app(invocation, lambda app: app.desk.claim(review_id, by))
    _print_review(invocation, row, f"{row.id} is held by {by} until {moment(row.lease_until_ms)}.")


@reviews.command("release", epilog=examples(f"opsrail reviews release {ID} --by ana"))
@click.argument("review_id", metavar="ID")
@operator
@common
def release(invocation: Invocation, review_id: str, by: str) -> None:
    """Give a held review back to its queue."""
    from opsrail.cli.session import on_app

    row = on_app(invocation, lambda app: app.desk.release(review_id, by))
    _print_review(invocation, row, f"{row.id} is open again.")


@reviews.command(
    "rule",
    epilog=examples(
        f"opsrail reviews rule {ID} approve",
        f"opsrail reviews rule {ID} decline --reason 'receipt is a copy'",
    ),
)
@click.argument("review_id", metavar="ID")
@click.argument("verdict")
@click.option("--reason", default="", help="Why; needed where you overrule the policy.")
@operator
@common
def rule(invocation: Invocation, review_id: str, verdict: str, reason: str, by: str) -> None:
    """Give the ruling. It is final; the case goes on with it.

    A running `opsrail serve` or `opsrail run` carries the case on; without one, the next does.
    """
    from opsrail.cli.session import on_app

    row = on_app(invocation, lambda app: app.desk.rule(review_id, verdict, by=by, reason=reason))
    _print_review(invocation, row, f"{row.id} is ruled: {verdict}.")


def review_record(row: ReviewRow, *, is_whole: bool = False) -> dict[str, Any]:
    """Return a review as plain JSON values.

    Args:
        is_whole: With what the person is shown, which may be long and personal.
    """
    from pydantic_core import from_json

    from opsrail.cli.render import moment

    plain = row._asdict()
    for hidden in ("salt", "subject"):
        del plain[hidden]
    for name in [name for name in plain if name.endswith("_ms")]:
        plain[name.removesuffix("_ms")] = moment(plain.pop(name))
    plain["state"] = str(row.state)
    return {**plain, "subject": from_json(row.subject)} if is_whole else plain


def _print_review(invocation: Invocation, row: ReviewRow, told: str) -> None:
    from opsrail.cli.render import print_json

    if invocation.is_json:
        print_json({"review": review_record(row)})
    else:
        click.echo(told)


def _print_decision(record: dict[str, Any]) -> None:
    from opsrail.decide.explain import explain
    from opsrail.values.decisions import Decision

    click.echo("\ndecision")
    for sentence in explain(Decision.from_record(record)):
        click.echo(f"  {sentence}")
