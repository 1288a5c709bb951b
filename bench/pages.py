"""Every page of the console on an installation of 1,000,000 decisions and 100,000 cases: how long, and how many queries.

The pages are those that the operations name; ids in their paths come from the store: oldest, newest and some between.
What a page leads to by filters and `next` is asked for too. Each is asked for over HTTP, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from bench import console_store
from bench.console_postgres import on_postgres
from bench.console_rows import AUTOMATION, POINT, QUEUE
from bench.counted import HEADER
from bench.figures import Report, machine, percentile, rounded, say
from bench.page_links import led
from examples.claims.train import MODEL_NAME
from opsrail.app import DATABASE
from opsrail.clock import SystemClock, ulid_text
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from opsrail.values.cases import CaseRow
from opsrail.values.changes import ChangeRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import ReviewRow
from opsrail.values.rollouts import AlarmRow, RolloutRunRow
from opsrail.values.rows import Where
from opsrail.web.routing import TEMPLATE

ROOT = Path(__file__).parents[1]
TARGETS = {"slowest_page_p50_ms": "<= 150", "most_queries": "<= 5"}
VARIANTS = 12
"""Filters and further pages of one list that are measured, at most."""
KEYED = {
    "case_id": CaseRow,
    "decision_id": DecisionRow,
    "review_id": ReviewRow,
    "change_id": ChangeRow,
    "run_id": RolloutRunRow,
    "rollout_id": RolloutRunRow,
    "alarm_id": AlarmRow,
}
NAMED = {
    "automation": (AUTOMATION,),
    "automations/name": (AUTOMATION,),
    "people/name": ("anna", "jun"),
    "point": (POINT,),
    "queue": (QUEUE,),
    "name": (MODEL_NAME,),
    "model": (MODEL_NAME,),
    "number": ("2", "1"),
    "version": ("2", "1"),
    "other": ("1", "2"),
    "user": ("anna",),
}
"""What fills a parameter; `FOLDER/NAME` goes before `NAME` where the path begins with that folder."""

PICTURES = frozenset(("/console/reviews/{review_id}/documents/{seq}",))
"""No pages: images of scans, of which the installation has none."""


class Asked(NamedTuple):
    """What one request was answered with."""

    took_ms: float
    queries: int
    status: int
    is_page: bool
    body: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare options."""
    console_store.add_arguments(parser)
    parser.add_argument("--requests", type=int, default=24, help="of each page")
    parser.add_argument("--postgres", action="store_true", help="on a copy in PostgreSQL")


def run(asked: argparse.Namespace) -> Report:
    """Measure and report."""
    folder = console_store.store_folder(asked.cache, decisions=asked.decisions, renew=asked.renew)
    with on_postgres(folder) if asked.postgres else nullcontext((folder, "")) as (place, database):
        pages = all_measured(place, database, asked.requests)
    figures: dict[str, float] = {}
    p50s = {name: statistics.median(one.took_ms for one in said) for name, said in pages.items()}
    most = {name: max(one.queries for one in said) for name, said in pages.items()}
    slowest, widest = max(p50s, key=p50s.__getitem__), max(most, key=most.__getitem__)
    figures = {
        "slowest_page_p50_ms": rounded(p50s[slowest]),
        "most_queries": most[widest],
        "page_count": len(pages),
    }
    say(f"slowest: {slowest}; most queries: {widest}")
    for name, said in pages.items():
        figures[f"{name} p50_ms"] = rounded(p50s[name])
        figures[f"{name} p99_ms"] = rounded(percentile([one.took_ms for one in said], 0.99))
        figures[f"{name} queries"] = most[name]
    told = {"slowest_page": slowest, "page_of_most_queries": widest, **machine(folder)}
    return Report("pages", figures, targets=TARGETS, machine=told)


def all_measured(folder: Path, database: str, count: int) -> dict[str, list[Asked]]:
    """Return every page with its answers."""
    values = asyncio.run(ids(folder, database))
    pages: dict[str, list[Asked]] = {}
    with serving(folder, database) as (url, templates, link):
        cookie = signed_in(url, link)
        for template in templates:
            if template not in PICTURES:
                pages |= measured(url, cookie, template, values, count)
    return pages


def measured(
    url: str, cookie: str, template: str, values: Mapping[str, Sequence[str]], count: int
) -> Iterator[tuple[str, list[Asked]]]:
    """Yield each page of a template, and those of its filters, with their answers."""
    places = filled(template, values)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    first = ask(connection, cookie, places[0])
    if first.status == 303:  # who is signed in is led on from there
        return
    assert first.status == 200, f"{places[0]} answered {first.status}: {first.body[:2000]}"
    if not first.is_page:
        return
    yield (
        template,
        [
            ask(connection, cookie, place)
            for place in itertools.islice(itertools.cycle(places), count)
        ],
    )
    own = places[0]
    for variant in variants(own, first.body):
        if ask(connection, cookie, variant).status == 200:  # else the field takes no such word
            answers = [ask(connection, cookie, variant) for _ in range(count)]
            yield f"{template}?{urlsplit(variant).query}", answers
    connection.close()


def variants(own: str, body: str) -> list[str]:
    """Return what a page's own links and forms change in its query: one of each field's values, and the next page."""
    found = led(body, own)
    kept: dict[str, str] = {} if found.next is None else {"next": found.next}
    for place in (*found.asks, *found.links):
        path, _, query = place.partition("?")
        if path == own and query:
            kept.setdefault(query, place)
    return list(kept.values())[:VARIANTS]


def ask(connection: http.client.HTTPConnection, cookie: str, place: str) -> Asked:
    """Ask for a page; of a stream of events no more than that it begins."""
    begun = time.perf_counter()
    connection.request("GET", place, headers={"accept": "text/html", "cookie": cookie})
    answer = connection.getresponse()
    media = answer.getheader("content-type", "")
    if "event-stream" in media:
        connection.close()
        return Asked(0.0, 0, answer.status, False, "")
    body = answer.read()
    took_ms = 1000 * (time.perf_counter() - begun)
    queries = int(answer.getheader(HEADER, "0"))
    return Asked(took_ms, queries, answer.status, "text/html" in media, body.decode())


def signed_in(url: str, link: str) -> str:
    """Use a link that signs somebody in; return the cookie."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    form = urlencode({"csrf": "", "link": link, "to": "/console"})
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": url}
    connection.request("POST", "/console/sign-in", form, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    cookie = answer.getheader("set-cookie")
    assert cookie, f"nobody was signed in: {answer.status}"
    return cookie.partition(";")[0]


def filled(template: str, values: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a template's paths, each parameter filled with each of its values in turn."""
    folder = template.split("/")[2] if template.count("/") > 1 else ""
    names = [part[1:-1] for part in TEMPLATE.findall(template)]
    filling = {name: values.get(f"{folder}/{name}") or values.get(name, ()) for name in names}
    if unknown := [name for name, known in filling.items() if not known]:
        message = f"{template}: nothing is known to fill {unknown}; teach bench/pages.py"
        raise AssertionError(message)
    places = []
    for turn in range(max(map(len, filling.values()), default=1)):
        place = template
        for name, known in filling.items():
            place = place.replace(f"{{{name}}}", quote(known[turn % len(known)]))
        places.append(place)
    return places


async def ids(folder: Path, database: str) -> dict[str, Sequence[str]]:
    """Return for each parameter of a path what the installation has: the first, the last and some between."""
    found: dict[str, Sequence[str]] = defaultdict(tuple, NAMED)
    clock = SystemClock()
    file = folder / DATABASE
    store = PostgresStore(database, clock=clock) if database else SqliteStore(file, clock=clock)
    await store.open()
    now_ms = clock.now_ms()
    for name, table in KEYED.items():
        rows: list[tuple[Any, ...]] = [
            *await store.select(table, limit=1),
            *await store.select(table, descending=True, limit=2),
        ]
        for part in range(1, 20):
            middle = ulid_text((now_ms - part * console_store.SPAN_MS // 20) << 80)
            rows += await store.select(table, Where("id", ">", middle), limit=1)
        found[name] = tuple(dict.fromkeys(str(row[0]) for row in rows))
    await store.close()
    return found


@contextmanager
def serving(folder: Path, database: str) -> Iterator[tuple[str, list[str], str]]:
    """Serve the folder in a process of its own; give its address, the paths of all pages, a link to sign in."""
    settings = {"OPSRAIL_STORE__URL": database, "OPSRAIL_STORE__ALLOW_WEAK": "true"}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.pages_server", str(folder)],
        cwd=ROOT,
        env={**os.environ, **(settings if database else {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the server did not start"
        told = json.loads(line)
        yield told["url"], told["pages"], told["link"]
    finally:
        process.communicate(timeout=60)
