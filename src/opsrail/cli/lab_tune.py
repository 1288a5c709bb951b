"""`opsrail lab tune`: bands with a guarantee, from scores and what became of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Invocation, VersionText, common, examples, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.lab.labelled import Labelled
    from opsrail.lab.tuned import Costs, Tuned

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PICTURE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command was asked."""

    model: tuple[str, int] | None
    scores: Path | None
    point: str | None
    since: str
    audits: tuple[str, ...]
    ruled: str | None
    risks: tuple[str, ...]
    outcome: str | None
    confidence: float
    objective: str
    cost_approved: float | None
    cost_declined: float | None
    usd_per_hour: float | None
    review_s: float | None
    starts: tuple[float, ...]
    verdicts: str
    seed: int
    horizon: int | None
    picture: Path | None
    write_change: bool
    reason: str | None
    by: str


@click.command(
    "tune",
    epilog=examples(
        'opsrail lab tune claims-fraud/7 --point fraud-risk --outcome fraud --risk "approved is fraud <= 1%" --since 30d',
        'opsrail lab tune --point fraud-risk --outcome fraud --risk "approved is fraud <= 1%" --audit approve=0.05 '
        "--write-change",
        'opsrail lab tune --scores scored.csv --risk "approved is fraud <= 1%" --risk "honest among declined <= 5%" '
        "--picture curve.svg",
    ),
)
@click.argument("model", required=False, type=VersionText(), metavar="[NAME/NUMBER]")
@click.option("--point", metavar="POINT", help="Whose decisions, in this installation.")
@click.option("--since", default="90d", show_default=True, metavar="SPAN", help="How far back.")
@click.option(
    "--audit",
    "audits",
    multiple=True,
    metavar="VERDICT=RATIO",
    help="Chance with which people look at what got this verdict; may be repeated.",
)
@click.option(
    "--ruled",
    metavar="VERDICT",
    help="A person's ruling that stands for the outcome where none is recorded; other rulings stand for its opposite.",
)
@click.option(
    "--scores",
    type=FILE,
    help="Instead: CSV with the columns score, label and, for samples, ratio.",
)
@click.option(
    "--risk",
    "risks",
    multiple=True,
    required=True,
    metavar="TEXT",
    help='What must stay rare, e.g. "approved is fraud <= 1%"; may be repeated, all hold together.',
)
@click.option("--outcome", help="What a label of 1 means. [default: the word that the risks use]")
@click.option(
    "--confidence",
    default=0.95,
    show_default=True,
    type=click.FloatRange(0.5, 1, max_open=True),
    help="Chance that all that is promised holds.",
)
@click.option(
    "--objective",
    default="automation",
    show_default=True,
    type=click.Choice(["automation", "cost"]),
    help="What the bands are best at among those that may be promised.",
)
@click.option(
    "--cost-approved", type=click.FloatRange(0), help="USD of approving what turns out so."
)
@click.option("--cost-declined", type=click.FloatRange(0), help="USD of declining what does not.")
@click.option("--usd-per-hour", type=click.FloatRange(0), metavar="USD", help="Of a reviewer.")
@click.option(
    "--review-s", type=click.FloatRange(0), metavar="SECONDS", help="What one review takes."
)
@click.option(
    "--start",
    "starts",
    multiple=True,
    type=click.FloatRange(0, 1),
    help="A threshold known before these labels, e.g. today's; may be repeated.",
)
@click.option(
    "--verdicts",
    default="approve,review,decline",
    show_default=True,
    metavar="A,R,D",
    help="The policy's names of the three.",
)
@click.option(
    "--horizon",
    type=click.IntRange(1, 1_000_000_000),
    metavar="N",
    help="Promise what may be counted among the next N decisions. [default: the share in the long run]",
)
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
@click.option("--picture", type=PICTURE, help="Write the risk-automation curve as SVG.")
@click.option(
    "--write-change",
    is_flag=True,
    help="Write a change of the point's bands for people to approve.",
)
@click.option("--reason", help="Why, for the change. [default: what is promised]")
@operator
@common
def tune(invocation: Invocation, **given: Any) -> None:
    """Choose the bands that automate the most while what must not happen stays rare, with a stated confidence."""
    from opsrail.cli.render import print_json
    from opsrail.lab.curve import draw

    asked = Asked(**given)
    if (asked.scores is None) == (asked.point is None):
        raise click.UsageError("name a decision point with --point, or a file with --scores")
    if asked.scores is not None and asked.write_change:
        raise click.UsageError("--write-change is of a point's own decisions; name it with --point")
    found, read, change_id = (
        _from_file(asked) if asked.scores is not None else _from_store(invocation, asked)
    )
    if asked.picture is not None:
        asked.picture.write_text(draw(found), encoding="utf-8")
    if invocation.is_json:
        picture = None if asked.picture is None else str(asked.picture)
        print_json({"tuned": found.record(), "picture": picture, "change": change_id})
    else:
        if read is not None:
            click.echo(f"{read.sentence()}\n")
        print_tuned(found)
        if asked.picture is not None:
            click.echo(f"\nThe curve is in {asked.picture}.")
        if change_id is not None:
            click.echo(
                f"\nChange {change_id} waits for approval: opsrail changes explain {change_id}"
            )
    if not found.is_kept:
        sys.exit(1)


def _from_file(asked: Asked) -> tuple[Tuned, Labelled | None, str | None]:
    from opsrail.lab.score_file import read_scores

    if asked.scores is None or asked.audits or asked.ruled or asked.model:
        raise click.UsageError(
            "--scores brings scores, labels and ratios of its own; leave MODEL, --audit and --ruled away"
        )
    read = read_scores(asked.scores)
    return _tuned(asked, read.scores, read.labels, read.ratios), None, None


def _from_store(invocation: Invocation, asked: Asked) -> tuple[Tuned, Labelled | None, str | None]:
    """Return what was found in the installation, and the id of the change that was written."""
    from opsrail.cli.session import on_app
    from opsrail.lab.history import COPIES
    from opsrail.lab.labelled import labelled
    from opsrail.values.spans import span_ms

    point, outcome = asked.point or "", asked.outcome or _outcome(asked)
    model, audits = asked.model, dict(map(_audit, asked.audits))

    async def work(app: App) -> tuple[Tuned, Labelled, str | None]:
        now_ms = await app.store.now_ms()
        read = await labelled(
            app.store, point, outcome, model=model, audits=audits, ruled=asked.ruled,
            since_ms=now_ms - span_ms(asked.since), folder=invocation.data / COPIES,
        )  # fmt: skip
        found = _tuned(asked, read.scores, read.labels, read.ratios)
        return found, read, await _change(app, asked, found) if asked.write_change else None

    return on_app(invocation, work)


def _outcome(asked: Asked) -> str:
    """Return the word that the risks use for what is not to happen."""
    from opsrail.lab.risk import Words, read_risks

    approve, _, decline = _names(asked)
    return read_risks(asked.risks, Words(None, approve=approve, decline=decline))[1]


def _names(asked: Asked) -> tuple[str, ...]:
    names = tuple(name.strip() for name in asked.verdicts.split(","))
    if len(names) != 3 or not all(names):
        raise click.UsageError(f"--verdicts {asked.verdicts!r} is not APPROVE,REVIEW,DECLINE")
    return names


def _tuned(
    asked: Asked, scores: list[float], labels: list[float], ratios: list[float] | None
) -> Tuned:
    from opsrail.lab.tuning import tune as find

    names = _names(asked)
    return find(
        scores,
        labels,
        risks=asked.risks,
        confidence=asked.confidence,
        ratios=ratios,
        costs=_costs(asked.cost_approved, asked.cost_declined, asked.usd_per_hour, asked.review_s),
        outcome=asked.outcome,
        objective="cost" if asked.objective == "cost" else "automation",
        starts=asked.starts,
        verdicts=(names[0], names[1], names[2]),
        seed=asked.seed,
        horizon=asked.horizon,
    )


async def _change(app: App, asked: Asked, found: Tuned) -> str | None:
    """Return the id of the change that was written; None where nothing is promised."""
    if not found.is_kept:
        return None
    kept = "; ".join(one.risk for one in found.promises if one.is_kept)
    reason = asked.reason or f"Tuned: {kept}, with {found.confidence:.4g} confidence."
    view = await app.changes.plan(
        asked.point or "", "bands", found.content(), by=asked.by, reason=reason
    )
    return view.row.id


def _audit(text: str) -> tuple[str, float]:
    verdict, _, ratio = text.partition("=")
    try:
        return verdict.strip(), float(ratio)
    except ValueError:
        raise click.UsageError(
            f"--audit {text!r} is not VERDICT=RATIO, e.g. approve=0.05"
        ) from None


def _costs(
    approved: float | None,
    declined: float | None,
    usd_per_hour: float | None,
    review_s: float | None,
) -> Costs | None:
    """Return the costs that were given; None without any."""
    from opsrail.lab.tuned import Costs

    given = (approved, declined, usd_per_hour, review_s)
    if all(one is None for one in given):
        return None
    return Costs(*(one or 0.0 for one in given))


def print_tuned(found: Tuned) -> None:
    """Print bands, promises, what is expected, and what more it would take."""
    from opsrail.cli.render import print_fields, print_table

    floor, cells = 0.0, []
    for verdict, below in found.bands:
        cells.append((verdict, f"{floor:g}", f"{below:g}" if below <= 1 else "and above"))
        floor = below
    print_table(("verdict", "from score", "below"), cells, empty="There are no bands.")
    click.echo()
    cost = found.cost_usd
    fields: dict[str, object] = {
        "automated": _share(found.automated),
        "approved": _share(found.approved),
        "declined": _share(found.declined),
    }
    if cost is not None:
        fields["cost"] = (
            f"{cost.value:.2f} USD a decision, {cost.low:.2f} to {cost.high:.2f}; {found.people_cost_usd:.2f} if people "
            f"ruled on all"
        )
    fields["counted"] = (
        f"{found.counted.labelled:,} labels of {found.counted.decisions:,} decisions"
    )
    print_fields(fields)
    for sentence in found.said():
        click.echo(f"\n{sentence}")


def _share(share: tuple[float, float, float]) -> str:
    value, low, high = share
    return f"{value:.1%}, {low:.1%} to {high:.1%}"
