"""`opsrail demo`: the claims automation on real claims of 1996, with a model trained on the spot on those before.

Road: `main` -> a place where payments arrive -> the app runs -> `play`: model and history -> cases -> watch until nothing
moves -> the loop (`loop.py`) -> the story -> keep serving. Every part looks first at what the folder holds, so that a demo
killed anywhere goes on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.claims.claim_rows import LABEL, MONTHS, is_fraud, read_claims
from examples.claims.desk import SimulatedDesk
from examples.claims.loop import POINT as LOOP_POINT
from examples.claims.loop import Loop, fraud_loop
from examples.claims.payments import BOOK, Book, endpoint
from examples.claims.screen import Screen
from examples.claims.story import AUTOMATION, POINT, story_of
from opsrail.access.links import link_of
from opsrail.access.roles import EVERYWHERE
from opsrail.app import DATABASE, App
from opsrail.cases.intake import Submission
from opsrail.cases.loader import load_file
from opsrail.cases.office import Office, at_rest
from opsrail.cli.options import Invocation
from opsrail.cli.session import on_running_app, settings
from opsrail.errors import ConfigInvalid, Conflict, InvalidInput, Overloaded
from opsrail.features.importing import PastFact
from opsrail.registry.rollout import Stage
from opsrail.values.cases import CaseRow, CaseState, KeyRow, OutboxRow, OutboxState
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Where

if TYPE_CHECKING:
    from examples.claims.train import TrainedModel

FOLDER = Path(__file__).parent
RECEIPTS = FOLDER / "data" / "receipts"
RECEIPT_COUNT = 12
HISTORY, MODEL = "vehicle-history@1", "claims-fraud"
BY = "opsrail-demo"
OWNER = "owner"
TRAINED_BEFORE = "1996"
LOOK_EVERY_S = 0.1
AT_ONCE = 16
"""Claims submitted and not decided yet: as many as keep the machine busy, so that decisions do not queue."""
DECIDED_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller asked for.

    Attributes:
        case_count: Claims of 1996 to take.
        has_desk: Whether the simulated desk rules; else people do.
        is_serving: Whether to answer over HTTP when the claims are through.
        has_loop: Whether to go on to observing, tuning, canary and roll-back.
    """

    case_count: int
    has_desk: bool
    is_serving: bool
    has_loop: bool = True


def main(invocation: Invocation, options: Options) -> bool:
    """Run the demo in the invocation's folder; return whether its ledger verifies.

    Raises:
        InvalidInput: the folder holds another installation. Terminal: nothing was touched.
    """
    folder = invocation.data
    if (folder / DATABASE).exists() and not (folder / BOOK).exists():
        raise InvalidInput(
            f"{folder} holds an installation that is not the demo's; name another folder with --data"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BOOK).touch()
    book = Book.opened(folder / BOOK)
    definitions = load_file(FOLDER / "automation.py")
    points = {**definitions.points, LOOP_POINT: fraud_loop}
    definitions = replace(definitions, points=points)
    screen = Screen(folder, is_json=invocation.is_json)
    invocation.interrupted = f"Stopped; the same command goes on: opsrail demo --data {folder}"
    with endpoint(book) as url:
        os.environ["CLAIMS_PAYMENTS_URL"] = url
        return on_running_app(
            invocation,
            settings(invocation),
            definitions,
            lambda app: play(app, book, options, screen, folder),
        )


async def play(app: App, book: Book, options: Options, screen: Screen, folder: Path) -> bool:
    """Carry the demo's claims to their end and tell the story; return whether the ledger verifies."""
    rows = read_claims()
    with screen.stage("training the model on 1994 and 1995"):
        await asyncio.gather(ensure_model(app, rows), ensure_history(app, rows))
    desk = SimulatedDesk(app, rows if options.has_desk else [])
    working = asyncio.create_task(desk.run(), name="simulated-desk")
    try:
        accepting = asyncio.create_task(accept(app, chosen(rows, options.case_count)))
        await watch(app, desk, accepting, screen)
        with screen.stage("verifying the ledger"):
            story = await story_of(app, book, rows, RECEIPTS / "truth.jsonl")
        if options.has_loop:
            with screen.stage("observing 1995, tuning, canary, a bad version (half a minute)"):
                story["loop"] = await Loop(app, rows, folder).story()
        screen.tell(story, book)
        if options.is_serving:
            await keep_serving(app, screen)
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    return bool(story["ledger"]["verified"])


async def ensure_model(app: App, rows: Sequence[dict[str, str]]) -> None:
    """Train and promote a model, unless one is live."""
    if await app.registry.rollout(POINT):
        return
    model = await asyncio.to_thread(trained, rows)
    version = await app.registry.register(
        MODEL,
        model.onnx_bytes,
        runtime="onnx",
        training_digest=model.training_digest,
        by=BY,
        metrics=model.metrics,
        card=model.card,
    )
    await app.registry.promote(POINT, version, Stage.LIVE, by=BY, reason="trained by the demo")


def trained(rows: Sequence[dict[str, str]]) -> TrainedModel:
    """Return the model of the claims before 1996. Blocking: seconds, most of them for importing what trains."""
    from examples.claims.train import split_by_year, train

    return train(*split_by_year(rows))


async def ensure_history(app: App, rows: Sequence[Mapping[str, str]]) -> None:
    """Take the claims that the model was trained on as history, once, and fold it before the first claim asks for it."""
    facts = [
        PastFact(row["Make"], {"fraud": int(is_fraud(row))}, at_ms_of(row))
        for row in rows
        if row["Year"] < TRAINED_BEFORE
    ]
    await app.features.import_facts(HISTORY, facts, source="claims-1994-1995")
    for make in sorted({fact.entity for fact in facts}):
        await app.features.read(HISTORY, make)


def chosen(rows: Sequence[Mapping[str, str]], count: int) -> list[dict[str, str]]:
    """Return claims of 1996 in the order of time, spread evenly; receipts lie with some of them, spread evenly too.

    Args:
        count: At most so many.
    """
    new = [row for row in rows if row["Year"] >= TRAINED_BEFORE]
    claims = [
        {name: word for name, word in row.items() if name != LABEL} for row in spread(new, count)
    ]
    images = spread(sorted((RECEIPTS / "images").glob("*.jpg")), RECEIPT_COUNT)
    for claim, image in zip(spread(claims, RECEIPT_COUNT), images, strict=False):
        claim["receipt"] = str(image)
    return claims


def spread(things: Sequence[Any], count: int) -> list[Any]:
    """Return `count` of the things, evenly spaced; all when there are no more."""
    taken = min(count, len(things))
    return [things[place * len(things) // taken] for place in range(taken)]


async def accept(app: App, claims: Sequence[Mapping[str, str]]) -> None:
    """Submit the claims that the folder does not hold yet, in the order of time, some at once."""
    numbers = tuple(claim["PolicyNumber"] for claim in claims)
    scope = Where("scope", "=", f"case:{AUTOMATION}")
    rows = await app.store.select(KeyRow, scope, Where("key", "in", numbers), limit=len(numbers))
    known = {row.key for row in rows}
    places = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as submitting:
        for claim in claims:
            if claim["PolicyNumber"] not in known:
                await places.acquire()
                task = submitting.create_task(accept_one(app, claim))
                task.add_done_callback(lambda _: places.release())


async def accept_one(app: App, claim: Mapping[str, str]) -> None:
    """Submit a claim; return when it is decided, or while its receipt is still being read."""
    while True:
        try:
            row, is_new = await app.intake.accept(Submission(AUTOMATION, claim, "demo"))
            break
        except Overloaded as full:
            await app.clock.sleep(full.after_s or 1.0)
    if "receipt" not in claim:
        office = Office(app.store, app.clock)
        await at_rest(office, app.runner, row, is_new=is_new, wait_s=DECIDED_WITHIN_S)


async def watch(
    app: App, desk: SimulatedDesk, accepting: asyncio.Task[None], screen: Screen
) -> None:
    """Show how the cases go on until only people can carry them further."""
    retried: set[str] = set()
    with screen.progress() as show:
        while True:
            is_accepted = accepting.done()
            counts = await app.store.count(
                CaseRow, Where("automation", "=", AUTOMATION), by=("state",)
            )
            states = {CaseState(state): count for (state,), count in counts.items()}
            show(states)
            if is_accepted:
                accepting.result()
                if await is_still(app, desk, states) and not await sent_on(app, retried):
                    return
            if app.broken is not None:
                raise app.broken
            await app.clock.sleep(LOOK_EVERY_S)


async def is_still(app: App, desk: SimulatedDesk, states: Mapping[CaseState, int]) -> bool:
    """Return whether nothing moves: no case runs or may run, no payment is due, and what waits waits for people."""
    if states.get(CaseState.READY, 0) or states.get(CaseState.RUNNING, 0):
        return False
    due = await app.store.count(OutboxRow, Where("state", "=", OutboxState.DUE))
    if due.get((), 0):
        return False
    is_open = Where("state", "in", (ReviewState.OPEN, ReviewState.CLAIMED))
    waiting = await app.store.select(ReviewRow, is_open, limit=1_000_000)
    return states.get(CaseState.WAITING, 0) == sum(not desk.may_rule(row) for row in waiting)


async def sent_on(app: App, retried: set[str]) -> bool:
    """Send on, once each, what was set aside because its process died again and again: whoever kills the demo did that."""
    office = Office(app.store, app.clock)
    aside = await office.list(automation=AUTOMATION, state=CaseState.SET_ASIDE, limit=1_000)
    killed = [
        row for row in aside if "process died" in (row.reason or "") and row.id not in retried
    ]
    for row in killed:
        await office.retry(row.id, by=BY)
        retried.add(row.id)
    return bool(killed)


async def keep_serving(app: App, screen: Screen) -> None:
    """Answer over HTTP until Ctrl-C: where the settings say, or on any free port if that one is taken."""
    from opsrail.web.server import serve_running

    token = await owners_link(app)

    def announce(address: str) -> None:
        screen.serving(address, link_of(app.config.web, token, address))

    try:
        await serve_running(app, announce=announce)
    except ConfigInvalid:
        await serve_running(app, port=0, announce=announce)


async def owners_link(app: App) -> str:
    """Return the token of a fresh link that signs the demo's owner in as admin, once; they are made if there is none."""
    with suppress(Conflict):
        await app.access.users.add(OWNER, by=BY, grants=[(EVERYWHERE, "admin")])
    token, _ = await app.access.users.link(OWNER, by=BY)
    return token


def at_ms_of(row: Mapping[str, str]) -> int:
    """Return the last day of a claim's week as epoch milliseconds."""
    day = min(int(row["WeekOfMonth"]) * 7, 28)
    moment = datetime(int(row["Year"]), MONTHS.index(row["Month"]) + 1, day, tzinfo=UTC)
    return int(moment.timestamp()) * 1000
