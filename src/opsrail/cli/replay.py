"""`opsrail lab replay`: recorded decisions, decided again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Invocation, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.cases.loader import Definitions
    from opsrail.lab.replayed import Replayed

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    "replay",
    epilog=examples(
        f"opsrail lab replay {ID} --file claims.py",
        f"opsrail lab replay {ID} --json",
        "opsrail lab replay --since 7d --sample 1000 --point fraud-risk --file claims.py",
    ),
)
@click.argument("decision_id", metavar="[ID]", required=False)
@click.option("--file", "file", type=FILE, help="The automation's file: its policy judges again.")
@click.option("--since", metavar="SPAN", help="Replay a sample of what was decided since, e.g. 7d.")
@click.option(
    "--sample",
    type=click.IntRange(1, 1_000_000),
    default=1_000,
    show_default=True,
    help="How many.",
)
@click.option("--point", metavar="NAME", help="Of this decision point alone.")
@common
def replay(
    invocation: Invocation,
    decision_id: str | None,
    file: Path | None,
    since: str | None,
    sample: int,
    point: str | None,
) -> int:
    """Decide a recorded decision again: the same in every bit, or what differs.

    The very bytes of the model, the features read again from history, the policy of the automation's FILE. What cannot be
    asked again keeps what it said then, and that is said.

    Exit status 1 when something differs.
    """
    from opsrail.cli.render import print_json
    from opsrail.lab.replayed import summary

    if (decision_id is None) == (since is None):
        raise click.UsageError("name one decision, or say --since for a sample of many")
    found = _replayed(invocation, decision_id, file, since, sample, point)
    if decision_id is not None:
        (one,) = found
        if invocation.is_json:
            print_json({"replay": one.record()})
        else:
            click.echo("\n".join(one.sentences()))
        return 0 if one.is_same else 1
    told = summary(found)
    if invocation.is_json:
        print_json({"replay": told.record()})
    else:
        click.echo(f"{told.same:,} of {told.replayed:,} decisions are the same in every bit.")
        if told.from_record:
            click.echo(f"{told.from_record:,} scores cannot be asked again and are as recorded.")
        if told.unjudged:
            click.echo(
                f"{told.unjudged:,} verdicts were not judged again: --file names the policy."
            )
        for what, count in told.differing.items():
            click.echo(f"{count:,} differ in: {what}")
        for example in told.examples:
            click.echo(f"{example.decision_id}  {example.differences[0].text}")
    return 0 if told.same == told.replayed else 1


def _replayed(
    invocation: Invocation,
    decision_id: str | None,
    file: Path | None,
    since: str | None,
    sample: int,
    point: str | None,
) -> list[Replayed]:
    from opsrail.app import NOTHING
    from opsrail.cases.loader import load_file
    from opsrail.cli.progress import Ticker
    from opsrail.cli.session import absolute, on_app
    from opsrail.lab.replaying import Replayer
    from opsrail.values.spans import span_ms

    definitions: Definitions = NOTHING if file is None else load_file(absolute(file))

    async def work(app: App) -> list[Replayed]:
        replayer = Replayer(app.store, app.registry, app.features, definitions.points)
        if decision_id is not None:
            return [await replayer.replay(decision_id)]
        now_ms = await app.store.now_ms()
        since_ms = now_ms - span_ms(since or "0s")
        with Ticker("decisions") as ticker:
            chosen = replayer.replay_sample(point, since_ms, now_ms + 1, sample, ticker.tick)
            return [one async for one in chosen]

    return on_app(invocation, work, definitions)
