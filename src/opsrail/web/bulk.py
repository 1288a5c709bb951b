"""Many rows in one request: `POST /v1/decisions/{point}:batch`, JSON lines or Arrow, one recorded decision a row.

The body is taken whole first, in a temporary file once it is large: a caller that sends all before it reads anything would
else wait for us while we wait for it. Then rows are decided a few at a time, in order, as fast as the caller takes the
answers. A row that cannot be decided is answered by its problem, and the next one is none the worse for it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive

from opsrail.clock import in_time
from opsrail.decide.decider import LONGEST_KEY
from opsrail.decide.point import DecisionPoint
from opsrail.decide.rows import in_order
from opsrail.errors import Denied, Fault, MissingExtra, Overloaded
from opsrail.telemetry import CORRELATION
from opsrail.web.bulk_rows import JSON_LINES, Format, JsonLines, Outcome, RowAsker
from opsrail.web.decisions import DEADLINE
from opsrail.web.door import (
    Answer,
    Door,
    Operation,
    actor_of,
    permit,
    tenant_of,
)
from opsrail.web.headers import headers_of
from opsrail.web.idempotency import idempotency_parameter
from opsrail.web.points import Asking
from opsrail.web.problems import Malformed, NotJson, TooLarge, TooSlow, problem_of
from opsrail.web.reading import (
    BODY_S,
    deadline_ms,
    idempotency_key,
    query_of,
)
from opsrail.web.standing import Standing
from opsrail.web.streaming import Streamed

ARROW = "application/vnd.apache.arrow.stream"
IN_MEMORY_BYTES = 1_000_000
"""Body that is held in memory; a larger one goes to a temporary file that no other program sees."""
MOST_REQUESTS = 8
"""Bulk requests at a time, so that their files and rows are bounded too. Ours."""
LONGEST_BULK_KEY = LONGEST_KEY - len("/1000000000000")


class Bulk:
    """Serves `:batch` of every decision point."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._under_way = 0
        self._kept_s = door.app.config.decide.idempotency_ttl_s

    def operations(self) -> list[Operation]:
        """Return what is served: one path a decision point."""
        return [self._batch(point) for point in self._door.app.definitions.points.values()]

    def _batch(self, point: DecisionPoint[Any]) -> Operation:
        # any line at all is taken: what is wrong with one is said in its place of the answer
        lines = {
            "description": f"JSON lines; each is as the body of /v1/decisions/{point.name}. As {ARROW}, an Arrow IPC stream."
        }
        return Operation(
            "POST",
            f"/v1/decisions/{point.name}:batch",
            f"batch_{point.name.replace('-', '_')}",
            f"Ask decision point {point.name} for every row.",
            self._decider_of(point),
            {200: Answer("A decision or a problem a row, in order.", media=(*JSON_LINES, ARROW))},
            content={JSON_LINES[0]: lines},
            parameters=(idempotency_parameter(self._kept_s), DEADLINE),
            permission="decisions.make",
        )

    def _decider_of(self, point: DecisionPoint[Any]) -> Any:
        async def decide(request: Request) -> Response:
            query_of(request)
            permit(request, "decisions.make", point.name)
            key = idempotency_key(request)
            if key is not None and len(key) > LONGEST_BULK_KEY:
                message = (
                    f"must have at most {LONGEST_BULK_KEY} characters: each row gets `key/line`"
                )
                raise Malformed("a header is wrong", [Fault("Idempotency-Key", message)])
            asking = Asking(
                CORRELATION.get(), actor_of(request), tenant_of(request), key, deadline_ms(request)
            )
            app, is_closing = self._door.app, self._door.is_closing
            asker = RowAsker(app, point, asking, is_closing)
            chosen = self._format(request)
            if self._under_way >= MOST_REQUESTS:
                raise Overloaded(f"{MOST_REQUESTS} bulk requests are under way", after_s=5.0)
            self._under_way += 1
            file: IO[bytes] = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - `_let_go` closes it
            try:
                await spooled(request, file, self._door.app.config.web.bulk_bytes)
                await chosen.check(file)
            except BaseException:
                self._let_go(file)
                raise
            standing = Standing(
                self._door, request, lambda grants: grants.may("decisions.make", point.name)
            )
            answers = self._answers(file, chosen, asker, standing)
            return Streamed(answers, partial(self._let_go, file), chosen.media_type)

        return decide

    def _let_go(self, file: IO[bytes]) -> None:
        self._under_way -= 1
        file.close()

    def _format(self, request: Request) -> Format:
        """Return the format of a body. Raises NotJson."""
        headers = headers_of(request)
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise NotJson("the body is encoded; send it as it is, without Content-Encoding")
        if media in JSON_LINES:
            return JsonLines(media, self._door.body_bytes)
        if media != ARROW:
            raise NotJson(f"the body must be declared as one of {', '.join((*JSON_LINES, ARROW))}")
        try:
            from opsrail.web.bulk_arrow import ArrowStream
        except ModuleNotFoundError as missing:
            told = MissingExtra("An Arrow body", "parquet")
            raise NotJson(str(told)) from missing
        return ArrowStream(self._door.body_bytes)

    async def _answers(
        self, file: IO[bytes], chosen: Format, asker: RowAsker, standing: Standing
    ) -> AsyncGenerator[bytes, None]:
        """Yield the answer, piece by piece."""
        at_once = self._door.app.config.decide.rows_at_once
        waiting: list[Outcome] = []
        last = 0
        try:
            async with aclosing(in_order(chosen.rows(file), asker.outcome, at_once)) as outcomes:
                async for outcome in outcomes:
                    await standing.confirm()
                    last = outcome.line
                    waiting.append(outcome)
                    if len(waiting) >= chosen.flush_count:
                        yield chosen.written(waiting)
                        waiting = []
        except (Malformed, Denied) as broken:  # from here on nothing can be read, or may be
            waiting.append(Outcome(last + 1, None, problem_of(broken)[0]))
        if waiting:
            yield chosen.written(waiting)
        yield chosen.end()


async def spooled(request: Request, file: IO[bytes], most_bytes: int) -> None:
    """Write the body into a file.

    Raises:
        TooLarge, TooSlow, Malformed: see there. Nothing was done.
    """
    length = headers_of(request).get("content-length", "0")
    if length.isdecimal() and int(length[:19]) > most_bytes:
        raise _too_large(most_bytes)
    try:
        size, is_whole = 0, False
        while not is_whole:
            message = await in_time(_next(request.receive), BODY_S)
            if message["type"] != "http.request":
                raise ClientDisconnect
            body = message.get("body", b"")
            size += len(body)
            if size > most_bytes:
                raise _too_large(most_bytes)
            file.write(body)
            is_whole = not message.get("more_body", False)
    except TimeoutError as late:
        raise TooSlow(f"nothing of the body arrived for {BODY_S:g} s") from late
    except ClientDisconnect as gone:
        raise Malformed("the body ended before it was whole") from gone


async def _next(receive: Receive) -> Message:
    return await receive()


def _too_large(most_bytes: int) -> TooLarge:
    return TooLarge(f"the body is larger than {most_bytes:,} bytes, the most that is taken here")
