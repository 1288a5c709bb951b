"""`opsrail jobs`: work that was asked for over HTTP and runs for minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Group, Invocation, common, examples, limited, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.values.jobs import JobFileRow, JobRow

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"


@click.group(cls=Group)
def jobs() -> None:
    """See, fetch and cancel what was asked for over HTTP and runs for minutes."""


@jobs.command("list", epilog=examples("opsrail jobs list", "opsrail jobs list --json"))
@limited()
@common
def list_(invocation: Invocation, limit: int) -> None:
    """List jobs, newest first."""
    from opsrail.cli.render import print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.jobs.jobs import job_record

    async def work(app: App) -> list[JobRow]:
        return await app.jobs.list(limit=limit)

    told = [job_record(row) for row in on_app(invocation, work)]
    if invocation.is_json:
        print_json({"jobs": told})
        return
    names = ("id", "kind", "subject", "state", "by", "created_at")
    cells = [tuple(one[name] for name in names) for one in told]
    print_table(("job", "kind", "of", "state", "by", "asked"), cells, empty="There are no jobs.")


@jobs.command("show", epilog=examples(f"opsrail jobs show {ID}"))
@click.argument("job_id", metavar="ID")
@common
def show(invocation: Invocation, job_id: str) -> None:
    """Show a job: how far it is, what came of it, or why nothing did."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.jobs.jobs import job_record

    async def work(app: App) -> JobRow:
        return await app.jobs.get(job_id)

    told = job_record(on_app(invocation, work))
    if invocation.is_json:
        print_json({"job": told})
        return
    click.echo(f"{told['kind']} of {told['subject']}: {told['state']}; asked for by {told['by']}.")
    if told["total"]:
        click.echo(f"{told['done']:,.0f} of {told['total']:,.0f} {told['words']}")
    if told["problem"]:
        click.echo(told["problem"]["detail"])
        for fault in told["problem"]["faults"]:
            click.echo(f"  {fault['place']}: {fault['message']}")
    if told["result"]:
        print_json(told["result"])


@jobs.command("cancel", epilog=examples(f"opsrail jobs cancel {ID}"))
@click.argument("job_id", metavar="ID")
@operator
@common
def cancel(invocation: Invocation, job_id: str, by: str) -> None:
    """End a job for good; what it wrote until then stays."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.jobs.jobs import job_record

    async def work(app: App) -> JobRow:
        return await app.jobs.cancel(job_id, by=by)

    row = on_app(invocation, work)
    if invocation.is_json:
        print_json({"job": job_record(row)})
    else:
        click.echo(f"Cancelled: {row.kind} of {row.subject}.")


@jobs.command("fetch", epilog=examples(f"opsrail jobs fetch {ID} --output train.parquet"))
@click.argument("job_id", metavar="ID")
@click.option(
    "--output",
    required=True,
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Written anew.",
)
@common
def fetch(invocation: Invocation, job_id: str, output: Path) -> None:
    """Write the file that a job made."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    async def work(app: App) -> JobFileRow:
        return await app.jobs.made(job_id)

    row = on_app(invocation, work)
    beside = output.with_name(f".{output.name}.part")
    try:
        beside.write_bytes(row.content)
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)
    if invocation.is_json:
        print_json({"file": {"path": str(output), "digest": row.digest, "bytes": row.size_bytes}})
    else:
        click.echo(f"Wrote {row.size_bytes:,} bytes to {output} ({row.digest}).")
