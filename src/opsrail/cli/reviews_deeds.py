"""What people do with a review on the command line: hold it, say, rule, take back, ask, answer, pass on, escalate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Invocation, common, examples, operator
from opsrail.cli.reviews import ID, records, reviews, short

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.review.desk import Desk
    from opsrail.values.reviews import ReviewRow

verdict_argument = click.argument("verdict")
reason_option = click.option("--reason", default="", help="Why.")
overruling_option = click.option(
    "--reason", default="", help="Why; needed where you overrule the policy."
)
RULING = (
    verdict_argument,
    overruling_option,
    click.option(
        "--field",
        "fields",
        multiple=True,
        metavar="NAME=VALUE",
        help="A field of the form; VALUE is JSON, or text as it is. Fields left out stay as they stand.",
    ),
)
"""What a ruling takes."""


def deed(
    name: str, *shown: str, takes: Sequence[Callable[[Any], Any]] = ()
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of something that one person does with one review.

    Args:
        shown: Examples.
        takes: Arguments and options of its own.
    """

    def command(work: Any) -> click.Command:
        for part in (common, operator, *reversed(takes), click.argument("review_id", metavar="ID")):
            work = part(work)
        return reviews.command(name, epilog=examples(*shown))(work)

    return command


@reviews.command("next", epilog=examples("opsrail reviews next --queue claims-desk --by ana"))
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="Only of this desk.")
@click.option(
    "--skill",
    "skills",
    multiple=True,
    metavar="WORD",
    help="What you can judge; may be repeated. [default: as opsrail users says]",
)
@operator
@common
def next_(
    invocation: Invocation, queues: tuple[str, ...], skills: tuple[str, ...], by: str
) -> None:
    """Claim what you should look at next: what you hold, else the most urgent that you may rule on."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    async def work(app: App) -> dict[str, Any] | None:
        row = await app.desk.next(by, queues, skills=skills or None)
        if row is None:
            await app.desk.refuse_unless_known(*queues)
        return None if row is None else (await records(app, [row], by))[0]

    record = on_app(invocation, work)
    if invocation.is_json:
        print_json({"review": record})
    elif record is None:
        place = f" in {', '.join(queues)}; see `opsrail reviews queues`" if queues else ""
        click.echo(f"Nothing waits for you{place}.")
    else:
        click.echo(f"{record['id']} is yours until {record['lease_until']}.")
        click.echo(f"Look at it with: opsrail reviews show {record['id']}")


@deed("claim", f"opsrail reviews claim {ID} --by ana")
def claim(invocation: Invocation, review_id: str, by: str) -> None:
    """Hold a review, so that nobody else rules meanwhile; claiming again renews."""
    record = _done(invocation, by, lambda desk: desk.claim(review_id, by))
    _tell(invocation, record, f"{review_id} is held by {by} until {record['lease_until']}.")


@deed("release", f"opsrail reviews release {ID} --by ana")
def release(invocation: Invocation, review_id: str, by: str) -> None:
    """Give a held review back to its queue."""
    record = _done(invocation, by, lambda desk: desk.release(review_id, by))
    _tell(invocation, record, f"{review_id} is open again.")


@deed("say", f"opsrail reviews say {ID} decline --by ana", takes=(verdict_argument,))
def say(invocation: Invocation, review_id: str, verdict: str, by: str) -> None:
    """Say your own verdict on a review of a blind queue; then you see what the machine said, and rule."""
    record = _done(invocation, by, lambda desk: desk.say(review_id, verdict, by=by))
    _tell(invocation, record, f"{review_id}: you said {verdict}. Look at it again, then rule.")


@deed(
    "rule",
    f"opsrail reviews rule {ID} approve",
    f"opsrail reviews rule {ID} decline --reason 'receipt is a copy'",
    f"opsrail reviews rule {ID} approve --field amount_usd=120.50",
    takes=RULING,
)
def rule(invocation: Invocation, review_id: str, verdict: str, **given: Any) -> None:
    """Give the ruling; the case goes on with it, at once or once its queue lets nobody take it back any more.

    A running `opsrail serve` or `opsrail run` carries the case on; without one, the next does.
    """
    _rule(invocation, review_id, verdict, **given)


@reviews.command(
    "rule-alike",
    epilog=examples(
        f"opsrail reviews rule-alike approve {ID} 01K8ZC31B0N5E2J7R4T6SWXABC-2",
        f"opsrail reviews rule-alike decline {ID} 01K8ZC31B0N5E2J7R4T6SWXABC-2 --reason 'receipts are copies' --json",
    ),
)
@click.argument("verdict")
@click.argument("review_ids", metavar="ID...", nargs=-1, required=True)
@overruling_option
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=VALUE",
    help="A field of the form, the same for all; with one, give all that the form needs. "
    "Without, what stands in each form holds.",
)
@operator
@common
def rule_alike(
    invocation: Invocation,
    verdict: str,
    review_ids: tuple[str, ...],
    reason: str,
    fields: tuple[str, ...],
    by: str,
) -> None:
    """Rule alike on several reviews of one queue and one form, at most 200; each has its own ruling.

    Exit status 1 when one could not be ruled; those that could are.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    filled = _parsed(fields)

    async def work(app: App) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        batch = await app.desk.rule_alike(
            review_ids, verdict, by=by, reason=reason, fields=filled or None
        )
        failed = [
            {"id": one, "code": why.code, "detail": str(why)} for one, why in batch.failed.items()
        ]
        return [short(record) for record in await records(app, batch.ruled, by)], failed

    ruled, failed = on_app(invocation, work)
    if invocation.is_json:
        print_json({"ruled": ruled, "failed": failed})
    else:
        for record in ruled:
            click.echo(_ruled(record, verdict))
        for one in failed:
            click.echo(f"{one['id']} is not ruled: {one['detail']}", err=True)
    if failed:
        raise click.exceptions.Exit(1)


@deed(
    "reconsider", f"opsrail reviews reconsider {ID} approve --reason 'I misread it'", takes=RULING
)
def reconsider(invocation: Invocation, review_id: str, verdict: str, **given: Any) -> None:
    """Change what you said or ruled, while the ruling has not gone to its case; both are kept."""
    _rule(invocation, review_id, verdict, **given, again=True)


@deed("undo", f"opsrail reviews undo {ID} --by ana")
def undo(invocation: Invocation, review_id: str, by: str) -> None:
    """Take your ruling back before it goes to its case; you hold the review again."""
    record = _done(invocation, by, lambda desk: desk.undo(review_id, by=by))
    _tell(invocation, record, f"{review_id} is yours again; the ruling is taken back.")


@deed(
    "ask",
    f"opsrail reviews ask {ID} 'Where is page 2?' --to bob",
    takes=(
        click.argument("question"),
        click.option("--to", metavar="NAME", help="Whom. [default: who handed the case in]"),
    ),
)
def ask(invocation: Invocation, review_id: str, question: str, to: str | None, by: str) -> None:
    """Ask for more; the review waits for the answer, then it is yours again."""
    record = _done(invocation, by, lambda desk: desk.ask(review_id, question, by=by, to=to))
    _tell(invocation, record, f"{review_id} waits for an answer of {record['assignee']}.")


@deed("answer", f"opsrail reviews answer {ID} 'It is there now.'", takes=(click.argument("text"),))
def answer(invocation: Invocation, review_id: str, text: str, by: str) -> None:
    """Answer what was asked of a review."""
    record = _done(invocation, by, lambda desk: desk.answer(review_id, text, by=by))
    _tell(invocation, record, f"{review_id} is with {record['assignee']} again.")


@deed(
    "pass",
    f"opsrail reviews pass {ID} --queue seniors",
    f"opsrail reviews pass {ID} --person bob",
    takes=(
        click.option("--queue", metavar="NAME", help="Queue that has it then."),
        click.option("--person", metavar="NAME", help="Person who has it then, for a working day."),
        reason_option,
    ),
)
def pass_(
    invocation: Invocation,
    review_id: str,
    queue: str | None,
    person: str | None,
    reason: str,
    by: str,
) -> None:
    """Give a review to another queue or person."""
    record = _done(
        invocation,
        by,
        lambda desk: desk.pass_on(review_id, by=by, queue=queue, person=person, reason=reason),
    )
    _tell(invocation, record, f"{review_id} is with {record['assignee'] or record['queue']}.")


@deed("escalate", f"opsrail reviews escalate {ID} --reason 'too large'", takes=(reason_option,))
def escalate(invocation: Invocation, review_id: str, reason: str, by: str) -> None:
    """Send a review to the next queue of its chain."""
    record = _done(invocation, by, lambda desk: desk.escalate(review_id, by=by, reason=reason))
    _tell(invocation, record, f"{review_id} is with {record['queue']}.")


def _rule(
    invocation: Invocation,
    review_id: str,
    verdict: str,
    *,
    by: str,
    reason: str,
    fields: tuple[str, ...],
    again: bool = False,
) -> None:
    async def act(desk: Desk) -> ReviewRow:
        filled = await _filled(desk, review_id, fields)
        give = desk.reconsider if again else desk.rule
        return await give(review_id, verdict, by=by, reason=reason, fields=filled)

    record = _done(invocation, by, act)
    _tell(invocation, record, _ruled(record, verdict))


def _done(
    invocation: Invocation, by: str, act: Callable[[Desk], Awaitable[ReviewRow]]
) -> dict[str, Any]:
    """Do something with a review; return it as plain values."""
    from opsrail.cli.session import on_app

    async def work(app: App) -> dict[str, Any]:
        (record,) = await records(app, [await act(app.desk)], by)
        return record

    return on_app(invocation, work)


def _tell(invocation: Invocation, record: dict[str, Any], told: str) -> None:
    from opsrail.cli.render import print_json

    if invocation.is_json:
        del record["subject"], record["form"]
        print_json({"review": record})
    else:
        click.echo(told)


def _ruled(record: dict[str, Any], verdict: str) -> str:
    if record["state"] != "ruled":
        return f"{record['id']}: you ruled {verdict}; it waits in {record['queue']} for another person."
    if record["may_undo_until"]:
        return f"{record['id']} is ruled: {verdict}. It may be taken back until {record['may_undo_until']}."
    return f"{record['id']} is ruled: {verdict}."


async def _filled(desk: Desk, review_id: str, given: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the form's fields with those that were given; None where none was."""
    from opsrail.review.forms import values_of

    if not given:
        return None
    return {**(values_of((await desk.get(review_id)).form) or {}), **_parsed(given)}


def _parsed(given: tuple[str, ...]) -> dict[str, Any]:
    """Return fields by name. Raises UsageError: some are not written as such; all are named."""
    import orjson

    fields: dict[str, Any] = {}
    wrong = []
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or not name:
            wrong.append(repr(one))
            continue
        try:
            fields[name] = orjson.loads(text)
        except orjson.JSONDecodeError:
            fields[name] = text
    if wrong:
        raise click.UsageError(f"--field {', '.join(wrong)}: write NAME=VALUE")
    return fields
