"""Twenty people at a desk, each a client of the HTTP interface: they take the next review, work, rule, vanish, and race.

Time is scaled: a second here is many of the log's. Leases are not, since a lease shorter than a request would mean nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from bench.loan_times import Loan, is_open
from bench.loans import LEASE_S, VERDICTS

DUTY = ((7, 20),) * 5 + ((8, 17), (8, 17))
"""Hours (UTC) at which people are at work, Monday first: about when those of the log were."""
DUE_S = {"applications": 4 * 3_600, "offers": 24 * 3_600, "fraud": 2 * 3_600}
PRIORITY = {"applications": 5, "offers": 5, "fraud": 3}
POLL_S = 0.05
VANISHING, RACING = 0.01, 0.02
SUBMITTERS = 8


class Refused(Exception):
    """The server answered with a problem."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status}: {body[:500]!r}")
        self.status = status


class Client:
    """One connection, kept open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: Any) -> Any:
        """Send JSON and return the answer's. Raises Refused."""
        sent = orjson.dumps(body)
        head = f"POST {path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\ncontent-type: application/json\r\n"
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(f"{head}content-length: {len(sent)}\r\n\r\n".encode() + sent)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        length = next(line for line in lines if line.startswith("content-length:"))
        answer = await reader.readexactly(int(length.partition(":")[2]))
        status = int(lines[0].split()[1])
        if status >= 400:
            raise Refused(status, answer)
        return orjson.loads(answer or b"null")

    async def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            await self._streams[1].wait_closed()


class Desk:
    """The whole play.

    Args:
        scale: Seconds of the log in one of ours.
        vanishing: How often who got a review leaves without a word.
        racing: How often somebody else rules at the same moment.

    Attributes:
        accepted: Rulings that the server took, by review: who said what.
        refused: How many it refused, by status.
        vanished: Reviews that somebody held and left, with who.
    """

    def __init__(
        self,
        url: str,
        loans: Sequence[Loan],
        scale: float,
        *,
        vanishing: float = VANISHING,
        racing: float = RACING,
        seed: int = 1,
    ) -> None:
        self.url = url
        self.loans = loans
        self.scale = scale
        self._vanishing, self._racing = vanishing, racing
        self.accepted: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.refused: Counter[int] = Counter()
        self.vanished: dict[str, str] = {}
        self._chance = random.Random(seed)
        self._begun_s = time.monotonic()
        self._left = sum(loan.queue is not None for loan in loans)

    @property
    def at_s(self) -> float:
        """Now, in the log's time."""
        return self.loans[0].at_s + (time.monotonic() - self._begun_s) * self.scale

    async def play(self, people: int) -> None:
        """Let all applications in and have them ruled on."""
        self._begun_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for first in range(SUBMITTERS):
                group.create_task(self._submit(first))
            for number in range(people):
                group.create_task(self._work(number))

    async def _submit(self, first: int) -> None:
        client = Client(self.url)
        for number in range(first, len(self.loans), SUBMITTERS):
            loan = self.loans[number]
            await asyncio.sleep(max(0.0, (loan.at_s - self.at_s) / self.scale))
            queue = loan.queue
            due_s = DUE_S[queue] / self.scale if queue else 0.0
            body = {"number": number, "queue": queue, "due_ms": max(1, round(1000 * due_s)),
                    "priority": PRIORITY[queue] if queue else 5}  # fmt: skip
            await client.post("/v1/cases/loans", body)
        await client.close()

    async def _work(self, number: int) -> None:
        """A person's days; who vanishes comes back under another name, as a lease is theirs alone."""
        client, day = Client(self.url), 0
        queues = ["fraud", "applications", "offers"][number % 3 == 2 :]
        while self._left > 0:
            if self.at_s < self.loans[-1].at_s and not is_open(self.at_s, DUTY):
                await asyncio.sleep(POLL_S)
                continue
            name = f"person-{number}-{day}"
            answer = await client.post("/v1/reviews/next", {"by": name, "queues": queues})
            if (review := answer["review"]) is None:
                await asyncio.sleep(POLL_S)
            elif self._chance.random() < self._vanishing:
                self.vanished.setdefault(review["id"], name)
                day += 1
            else:
                await self._judge(client, review, name)
        await client.close()

    async def _judge(self, client: Client, review: dict[str, Any], name: str) -> None:
        work_s = self.loans[review["subject"]["input"]["number"]].work_s / self.scale
        while work_s > LEASE_S / 3:
            await asyncio.sleep(LEASE_S / 3)
            work_s -= LEASE_S / 3
            await client.post(f"/v1/reviews/{review['id']}/heartbeat", {"by": name})
        await asyncio.sleep(work_s)
        verdict = self._chance.choice(VERDICTS)
        if self._chance.random() < self._racing:
            rival = Client(self.url)
            await asyncio.gather(
                self._rule(client, review["id"], name, verdict),
                self._rule(rival, review["id"], f"rival-of-{name}", verdict),
            )
            await rival.close()
        else:
            await self._rule(client, review["id"], name, verdict)

    async def _rule(self, client: Client, review_id: str, name: str, verdict: str) -> None:
        body = {"by": name, "verdict": verdict, "reason": "as the papers say"}
        try:
            await client.post(f"/v1/reviews/{review_id}/rule", body)
        except Refused as refused:
            if refused.status not in (403, 409):
                raise
            self.refused[refused.status] += 1
        else:
            self.accepted[review_id].append((name, verdict))
            self._left -= 1
