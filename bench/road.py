"""What one decision costs, stage by stage: CPU of the whole process, on the claims example's own point and model.

One round is a fresh process on an empty folder (SQLite, synchronous=FULL) in which the whole App runs, on the event loop and
with the garbage collector's settings of `opsrail serve`. The whole road is the
HTTP interface's own ASGI app, called without a socket, `in_flight` requests at once, each with facts of its own, so that no
score comes from the cache; every answer is checked, and afterwards the records and their ledger entries are counted. A stage
is its leaf alone with the same facts; what waits (schedule, record) is asked as many at once as the whole. What the stages
leave of the whole is `rest`: routes, envelope, deadlines, the event loop, the ledger's sequencer. `one_shadow` is what a
decision costs more with one challenger, the same model once more: offered, scored, judged and written, all threads together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bench.figures import Report, machine, percentile, summary
from bench.rounds import ours
from examples.claims.claim_rows import LABEL, read_claims
from examples.claims.demo import FOLDER, ensure_history, ensure_model
from examples.claims.story import POINT
from opsrail.app import App, build
from opsrail.cases.loader import load_file
from opsrail.cli.session import loop
from opsrail.config import Config
from opsrail.connect.onnx_model import OnnxModel
from opsrail.decide.cache import ScoreCache
from opsrail.decide.decider import Request
from opsrail.decide.recorder import Recorder
from opsrail.decide.scheduler import Scheduler
from opsrail.features.request import request_read
from opsrail.registry.rollout import Stage
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.models import Score
from opsrail.values.registry import ArtifactRow
from opsrail.web.asgi import create_asgi
from opsrail.web.reading import check_json, model_of
from opsrail.web.server import seldom_collecting

WARM = 200
TURNS = 12
SCORE = Score(value=0.5, confidence=0.9, digest="sha256:" + "0" * 64)
TARGETS = {"whole_without_model_us": "<= 150"}
STAGES = (
    "parse",
    "request",
    "route",
    "features",
    "cache",
    "schedule",
    "verdict",
    "record",
    "render",
)
FIGURES = {
    **{f"stage_{name}": "us" for name in STAGES},
    "rest": "us",
    "model": "us",
    "model_alone": "us",
    "model_batch": "count",
    "whole": "us",
    "whole_without_model": "us",
    "decisions": "per_s",
    "lone_p50": "ms",
    "offer_no_shadow": "us",
    "offer_one_shadow": "us",
    "one_shadow": "us",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decisions", type=int, default=3_000, help="decisions in a round")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--lone", type=int, default=200, help="decisions asked one at a time")
    parser.add_argument("--rounds", type=int, default=3)


def run(asked: argparse.Namespace) -> Report:
    """Run the rounds; put medians and spreads together."""
    taken_on = machine(None)
    size = (asked.decisions, asked.in_flight, asked.lone)
    rounds = []
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(ours("bench.road", folder, *size))
    figures: dict[str, float] = {}
    for name, unit in FIGURES.items():
        figures |= summary(name, unit, [one[name] for one in rounds])
    return Report("road", figures, targets=TARGETS, machine=taken_on)


class Metered:
    """The CPU that the model itself takes, on whatever thread."""

    def __init__(self) -> None:
        self.cpu_s, self.rows, self.calls = 0.0, 0, 0
        score = OnnxModel.score

        def metered(model: OnnxModel, rows: Sequence[Mapping[str, object]]) -> list[Score]:
            begun_s = time.thread_time()
            try:
                return score(model, rows)
            finally:
                self.cpu_s += time.thread_time() - begun_s
                self.rows += len(rows)
                self.calls += 1

        patched: Any = OnnxModel
        patched.score = metered


class NoModel:
    """Answers at once: what is left is the scheduler's own cost. Bounded, as the example's model is."""

    digest = "sha256:" + "0" * 64
    is_bounded = True

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        """Return the same score for each row."""
        return [SCORE] * len(rows)


async def measure(folder: Path, decisions: int, in_flight: int, lone: int) -> dict[str, float]:
    """Run one round and return its figures."""
    rows = read_claims()
    app = build(Config(), folder, load_file(FOLDER / "automation.py"), runs=True)
    meter = Metered()
    async with app.running():
        await asyncio.gather(ensure_model(app, rows), ensure_history(app, rows))
        facts = facts_of(app, rows, WARM + 2 * decisions + lone)
        beside = [facts.pop() for _ in range(decisions)]
        found = await whole(app, facts, meter, decisions, in_flight)
        found |= await stages(app, facts[WARM : WARM + decisions], in_flight)
        found |= await shadowed(app, beside, in_flight)
        await check(app, decisions + WARM + lone)
    found["rest"] = found["whole_without_model"] - sum(found[f"stage_{name}"] for name in STAGES)
    return found


def facts_of(app: App, rows: Sequence[Mapping[str, str]], count: int) -> list[BaseModel]:
    """Return facts for that many questions, no two alike."""
    request = app.definitions.points[POINT].request
    known = [row for row in rows if row["MonthClaimed"] != "0"]  # one claim has no month
    claims = [{name: word for name, word in row.items() if name != LABEL} for row in known]
    return [
        request.model_validate(
            {
                **claims[number % len(claims)],
                "receipt": {"total_usd": f"{number % 90}.{number:05d}"},
            }
        )
        for number in range(count)
    ]


async def whole(
    app: App, facts: Sequence[BaseModel], meter: Metered, decisions: int, in_flight: int
) -> dict[str, float]:
    """Ask through the HTTP interface; return the CPU a decision takes, with its model and without."""
    asgi = create_asgi(app)
    bodies = [one.model_dump_json().encode() for one in facts]
    await together(WARM, in_flight, lambda number: ask(asgi, bodies[number]))
    meter.cpu_s, meter.rows, meter.calls = 0.0, 0, 0
    wall_s = time.perf_counter()
    cpu_us = await together(decisions, in_flight, lambda number: ask(asgi, bodies[WARM + number]))
    wall_s = time.perf_counter() - wall_s
    model_us = 1e6 * meter.cpu_s / meter.rows
    assert meter.rows == decisions, "a score came from elsewhere than the model"
    batch = meter.rows / meter.calls
    lone_ms = []
    for body in bodies[WARM + decisions :]:
        begun_s = time.perf_counter()
        await ask(asgi, body)
        lone_ms.append(1000 * (time.perf_counter() - begun_s))
    return {
        "whole": cpu_us,
        "whole_without_model": cpu_us - model_us,
        "model": model_us,
        "model_batch": batch,
        "decisions": decisions / wall_s,
        "lone_p50": percentile(lone_ms, 0.5),
    }


async def ask(asgi: Any, body: bytes) -> None:
    """Send one question to the HTTP interface and check the answer."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": f"/v1/decisions/{POINT}", "raw_path": f"/v1/decisions/{POINT}".encode(), "query_string": b"",
        "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8321),
        "headers": [(b"host", b"127.0.0.1:8321"), (b"content-type", b"application/json")],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await asgi(scope, receive, send)
    answer: bytes = sent[-1]["body"]
    assert sent[0]["status"] == 200, answer
    assert b'"degraded":false' in answer, answer


async def stages(app: App, facts: Sequence[BaseModel], in_flight: int) -> dict[str, float]:
    """Return the CPU of each leaf of the road for the same questions."""
    point = app.definitions.points[POINT]
    bodies = [one.model_dump_json().encode() for one in facts]
    count = len(facts)
    reads = [request_read(one, point.request_version) for one in facts]
    route = await app.registry.route(POINT, "key")
    model = await app.registry.model(route.version, 10.0)
    fetched = [await app.features.fetch(reads[0], facts[0], point.features)] * count
    made: list[Decision] = []
    for one in facts[:in_flight]:
        made.append(await app.decider.decide(Request(point, one, "0" * 32, "bench")))
    cache, scheduler, recorder = ScoreCache(16_000_000), Scheduler(), Recorder(app.store, app.clock)

    def parse(number: int) -> None:
        check_json(bodies[number])
        model_of(point.request, bodies[number])

    def cached(number: int) -> None:
        key = ("v", reads[number].digest, "default")
        cache.get(key, ttl_s=60.0, now_s=1.0)
        cache.put(key, SCORE, now_s=1.0)

    decisions = [replace(made[n % len(made)], id=app.clock.new_id()) for n in range(count)]
    found = {
        "parse": alone(count, parse),
        "request": alone(count, lambda n: request_read(facts[n], point.request_version)),
        "route": await together(count, 1, lambda n: app.registry.route(POINT, reads[n].digest)),
        "features": await together(
            count, 1, lambda n: app.features.fetch(reads[n], facts[n], point.features)
        ),
        "cache": alone(count, cached),
        "schedule": await together(
            count, in_flight, lambda n: scheduler.submit(NoModel(), fetched[n].row, str(n), 10.0)
        ),
        "verdict": alone(count, lambda n: point.policy.judge(facts[n], SCORE, point.fallback)),
        "render": alone(count, lambda n: decisions[n].written()),
        "record": await together(
            count, in_flight, lambda n: recorder.record(decisions[n], None, None)
        ),
    }
    scheduler.close()
    return {
        **{f"stage_{name}": us for name, us in found.items()},
        "model_alone": alone(200, lambda n: model.score([fetched[n].row])),
    }


async def shadowed(app: App, facts: Sequence[BaseModel], in_flight: int) -> dict[str, float]:
    """Return what a decision costs more with one challenger, and what it costs to find out that there is none."""
    point, live, shadows = (
        app.definitions.points[POINT],
        await app.registry.route(POINT, ""),
        app.shadows,
    )
    made = await app.decider.decide(Request(point, facts[0], "0" * 32, "bench"))
    reads = request_read(facts[0], point.request_version)
    fetched = await app.features.fetch(reads, facts[0], point.features)
    judged = point.policy.judge(facts[0], SCORE, point.fallback)
    offer = partial(shadows.offer, made, point.policy, judged, fetched)
    none_us = alone(len(facts), lambda number: offer())
    artifact = await app.store.get(ArtifactRow, live.version.digest)
    assert artifact is not None
    version = await app.registry.register(
        "claims-challenger", artifact.content, runtime=live.version.runtime,
        training_digest=live.version.training_digest, by="bench", card=live.version.card,
    )  # fmt: skip
    asgi, bodies = create_asgi(app), [one.model_dump_json().encode() for one in facts]
    size = len(bodies) // TURNS

    async def answer_all(begin: int) -> None:
        await together(size, in_flight, lambda number: ask(asgi, bodies[begin + number]))
        await app.decider.drain()

    spent_us: dict[Stage, list[float]] = {Stage.RETIRED: [], Stage.SHADOW: []}
    one_us = []
    for turn in range(TURNS):
        stage = (Stage.RETIRED, Stage.SHADOW)[turn % 2]
        if turn:
            await app.registry.promote(POINT, version, stage, by="bench", reason="to be measured")
        await answer_all(turn * size)  # its model is loaded, this process warm
        took_us = await together(1, 1, lambda _: answer_all(turn * size))  # noqa: B023
        spent_us[stage].append(took_us / size)
        if stage == Stage.SHADOW:
            one_us.append(alone(size, lambda number: offer()))
            await app.decider.drain()
    pairs = zip(spent_us[Stage.SHADOW], spent_us[Stage.RETIRED], strict=True)
    return {
        "offer_no_shadow": none_us,
        "offer_one_shadow": sum(one_us) / len(one_us),
        "one_shadow": percentile([beside - alone for beside, alone in pairs], 0.5),
    }


def alone(count: int, work: Callable[[int], object]) -> float:
    """Return the CPU of a call, microseconds."""
    begun_s = time.process_time()
    for number in range(count):
        work(number)
    return 1e6 * (time.process_time() - begun_s) / count


async def together(count: int, in_flight: int, work: Callable[[int], Awaitable[object]]) -> float:
    """Return the CPU of an awaited call, all threads of this process, microseconds; some calls at once."""
    left = iter(range(count))

    async def one_after_another() -> None:
        for number in left:
            await work(number)

    begun_s = time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(one_after_another())
    return 1e6 * (time.process_time() - begun_s) / count


async def check(app: App, asked: int) -> None:
    """Count what the decisions must have left behind."""
    records = (await app.store.count(DecisionRow)).get((), 0)
    entries = await app.store.count(LedgerEntryRow, by=("kind",))
    assert records >= asked
    assert entries["decision.made",] == records


def main() -> None:
    """Run one round: FOLDER DECISIONS IN_FLIGHT LONE."""
    folder, decisions, in_flight, lone = sys.argv[1:5]
    with seldom_collecting():
        work = measure(Path(folder), int(decisions), int(in_flight), int(lone))
        found = loop(work, serves=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
