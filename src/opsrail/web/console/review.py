"""The page of one review: what to judge, the ruling's form, and what a reviewer does with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from opsrail.documents.picture import Picture, picture_of, sizes_of
from opsrail.errors import (
    AlreadyRuled,
    ArtifactRefused,
    Denied,
    Fault,
    InvalidInput,
    NotFound,
    OpsrailError,
)
from opsrail.review.desk import Desk
from opsrail.review.terms import terms_of
from opsrail.values.document_names import name_of
from opsrail.values.reviews import ReviewRow, RulingRow
from opsrail.web.console import review_search as search
from opsrail.web.console.forms import Form, form_of, see_other
from opsrail.web.console.pages import Pages, form, page
from opsrail.web.console.review_documents import (
    ReadDocument,
    ShownDocument,
    documents_of,
    shown,
)
from opsrail.web.console.review_people import answerers, rulers
from opsrail.web.console.review_typed import NAMED, named_of, one_text, sent_fields, typed_of
from opsrail.web.console.review_view import ReviewView, Undo, undo_of, view_of
from opsrail.web.console.reviews import (
    ID,
    PATH,
    QUEUE,
    address_of,
    moved_of,
    onward,
    queried,
    titles_of,
)
from opsrail.web.console.schema_form import form_fields, unplaced
from opsrail.web.door import Door, Operation, actor_of, answer, grants_of, permit
from opsrail.web.reading import query_of

PAGE = re.compile(r"[1-9]\d?")
SEQ = re.compile(r"\d{1,18}")
ONE = PATH + "/{review_id}"
RULES, ANSWERS = "reviews.rule", "reviews.answer"
BEAT = 3
"""Signs of life while a lease runs. Ours: two may be lost."""
PICTURE_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"
"""A document opened by itself runs nothing and loads nothing, whatever it turns out to be."""


class ReviewPage:
    """Serves `/console/reviews/{id}`."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages

    def operations(self) -> list[Operation]:
        """Return what is served."""
        picture = ONE + "/documents/{seq}"
        return [
            page(ONE, "console_review", self.show, "reviews.read"),
            page(picture, "console_review_document", self.document, "reviews.read"),
            form(f"{ONE}/claim", "console_claim_review", self.claim, "reviews.rule"),
            form(f"{ONE}/release", "console_release_review", self.release, "reviews.rule"),
            form(f"{ONE}/heartbeat", "console_keep_review", self.heartbeat, "reviews.rule"),
            form(f"{ONE}/say", "console_say_review", self.say, "reviews.rule"),
            form(f"{ONE}/rule", "console_rule_review", self.rule, "reviews.rule"),
            form(f"{ONE}/undo", "console_undo_review", self.undo, "reviews.rule"),
            form(f"{ONE}/ask", "console_ask_review", self.ask, "reviews.rule"),
            form(f"{ONE}/answer", "console_answer_review", self.reply, ANSWERS),
            form(f"{ONE}/pass", "console_pass_review", self.pass_on, "reviews.rule"),
            form(f"{ONE}/escalate", "console_escalate_review", self.escalate, "reviews.rule"),
        ]

    # -- looking ---------------------------------------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        """Show a review."""
        query = query_of(request, queue=QUEUE, last=ID)
        return await self._shown(request, query.get("queue", ""), query.get("last", ""))

    async def _shown(
        self,
        request: Request,
        queue: str,
        last: str = "",
        *,
        status: int = 200,
        faults: Sequence[Fault] = (),
        typed: Mapping[str, Sequence[str]] | None = None,
        trouble: str = "",
    ) -> Response:
        """Return the page.

        Args:
            faults: What was wrong with a ruling that was sent.
            typed: What was sent; it stands in the fields again.
            trouble: Why a ruling that was sent does not count.
        """
        app, by, now_ms = self._door.app, actor_of(request), self._door.app.clock.now_ms()
        whole = await search.whole(app.store, review_id_of(request), by, last)
        row = whole.row
        permit(request, "reviews.read", row.automation)
        read = documents_of(from_json(row.subject).get("input"), whole.entries)
        view = self._view(request, whole, read, now_ms)
        fields, others = self._fields(view, faults, typed)
        return self._pages.render(
            request,
            "review.html",
            title=f"Review {row.id} · {row.queue}",
            here="reviews",
            status=status,
            view=view,
            row=row,
            documents=await self._documents(row.id, read),
            fields=fields,
            faults=others,
            named=named_of(faults),
            typed={name: texts[0] for name, texts in (typed or {}).items() if texts},
            trouble=trouble,
            queue=queue,
            titles=titles_of(app),
            **await self._whom(view, whole.rulings, by),
            undo=view.undo or last_undo(whole, by, now_ms),
            **moved_of(whole.last, request, now_ms),
            beat_ms=self._beat_ms(view),
            now_ms=now_ms,
        )

    async def _whom(
        self, view: ReviewView, rulings: Sequence[RulingRow], by: str
    ) -> Mapping[str, Any]:
        """Return whom and which queues a review can go to, for lists to pick from."""
        app, row = self._door.app, view.row
        people = () if view.why_not else await app.access.directory.people()
        return {
            "rulers": rulers(people, row, rulings, by),
            "answerers": answerers(people, row, by),
            "desks": {name: told for name, told in titles_of(app).items() if name != row.queue},
        }

    @staticmethod
    def _view(
        request: Request, whole: search.Whole, read: Sequence[ReadDocument], now_ms: int
    ) -> ReviewView:
        grants, scope = grants_of(request), whole.row.automation
        return view_of(
            *(whole.row, whole.rulings, whole.events, actor_of(request), now_ms),
            may_rule=grants.may(RULES, scope),
            may_answer=grants.may(ANSWERS, scope),
            paths={each.path for each in read if each.path is not None},
        )

    @staticmethod
    def _fields(
        view: ReviewView, faults: Sequence[Fault], typed: Mapping[str, Sequence[str]] | None
    ) -> tuple[Any, list[Fault]]:
        """Return the form's fields, and the faults that stand at none of them."""
        rest = [fault for fault in faults if fault.place not in NAMED]
        if view.row.form is None:
            return (), rest
        made = from_json(view.row.form)
        values = from_json(view.said.fields) if view.said and view.said.fields else made["values"]
        fields = form_fields(made["schema"], values, rest, typed)
        return fields, unplaced(fields, rest)

    @staticmethod
    def _beat_ms(view: ReviewView) -> int:
        """Return how often the page says that somebody looks at it; 0: nobody holds it."""
        if not view.is_mine:
            return 0
        return max(1_000, min(60_000, terms_of(view.row.terms).lease_ms // BEAT))

    async def _documents(
        self, review_id: str, documents: Sequence[ReadDocument]
    ) -> list[ShownDocument]:
        """Return the documents that the case read, each with why its page is not shown, if it is not."""
        made = []
        for read in documents:
            address = f"{PATH}/{review_id}/documents/{read.seq}"
            try:
                image = await self._image(read)
                sizes = await asyncio.to_thread(sizes_of, image)
                made.append(shown(read, address, sizes))
            except OpsrailError as wrong:
                made.append(shown(read, address, (), trouble=str(wrong)))
        return made

    async def _image(self, read: ReadDocument) -> bytes:
        """Return a document's bytes. Raises NotFound, which does not tell where it should lie."""
        if read.path is None:
            raise NotFound("the case's input does not say any more where the document lies")
        try:
            return await self._door.app.documents.read_before(read.path, read.document.digest)
        except (NotFound, ArtifactRefused) as wrong:
            if read.path not in str(wrong):
                raise
            name = name_of(read.path)
            raise NotFound(f"{name} is gone, or lies where it may not be read") from wrong

    async def document(self, request: Request) -> Response:
        """Answer with a page of a document that the review's case read."""
        number = int(query_of(request, page=PAGE).get("page", "1"))
        app = self._door.app
        row = await app.desk.get(review_id_of(request))
        permit(request, "reviews.read", row.automation)
        entries = await search.journal(app.store, row)
        read = documents_of(from_json(row.subject).get("input"), entries)
        found = next((each for each in read if str(each.seq) == request.path_params["seq"]), None)
        if found is None:
            raise NotFound(f"review {row.id} has no such document")
        image = await self._image(found)
        picture: Picture = await asyncio.to_thread(picture_of, image, number)
        headers = {"content-security-policy": PICTURE_POLICY, "content-disposition": "inline"}
        return Response(picture.image, 200, headers, media_type=picture.media)

    # -- doing -----------------------------------------------------------------------------------------------------

    async def claim(self, request: Request) -> Response:
        """Take a review."""
        return await self._done(
            request, lambda desk, row, by, wish: desk.claim(row.id, by), self._here
        )

    async def release(self, request: Request) -> Response:
        """Give a review back; who does not hold it has nothing to give."""
        row, wish = await self._wish(request)
        with suppress(AlreadyRuled):
            await self._door.app.desk.release(row.id, actor_of(request))
        query = urlencode(queried(wish.get("queue")))
        return see_other(f"{PATH}?{query}" if query else PATH)

    async def heartbeat(self, request: Request) -> Response:
        """Say that somebody looks at a review: it stays theirs, or is so again if nobody took it meanwhile. JSON."""
        row, _ = await self._wish(request)
        desk, by = self._door.app.desk, actor_of(request)
        try:
            kept = await desk.heartbeat(row.id, by)
        except AlreadyRuled:
            kept = await desk.claim(row.id, by)
        return answer({"lease_until_ms": kept.lease_until_ms})

    async def say(self, request: Request) -> Response:
        """Note what a person says before they see what the machine said, then show them that."""
        return await self._done(
            request,
            lambda desk, row, by, wish: desk.say(row.id, wish.get("verdict", ""), by=by),
            self._here,
        )

    async def rule(self, request: Request) -> Response:
        """Rule on a review, and take the next."""

        def ruled(desk: Desk, row: ReviewRow, by: str, wish: Form) -> Awaitable[ReviewRow]:
            return desk.rule(
                row.id,
                wish.get("verdict", ""),
                by=by,
                reason=one_text(wish, "reason"),
                fields=sent_fields(row, wish, by),
            )

        return await self._done(request, ruled, self._next)

    async def undo(self, request: Request) -> Response:
        """Take a ruling back, and show its review again."""
        return await self._done(
            request, lambda desk, row, by, wish: desk.undo(row.id, by=by), self._here
        )

    async def ask(self, request: Request) -> Response:
        """Ask for more, and take the next."""

        def asked(desk: Desk, row: ReviewRow, by: str, wish: Form) -> Awaitable[ReviewRow]:
            to = wish.get("to", "").strip() or None
            return desk.ask(row.id, one_text(wish, "question"), by=by, to=to)

        return await self._done(request, asked, self._next)

    async def reply(self, request: Request) -> Response:
        """Answer what was asked."""
        return await self._done(
            request,
            lambda desk, row, by, wish: desk.answer(row.id, one_text(wish, "answer"), by=by),
            self._here,
            ANSWERS,
        )

    async def pass_on(self, request: Request) -> Response:
        """Give a review to another queue or person, and take the next."""

        def passed(desk: Desk, row: ReviewRow, by: str, wish: Form) -> Awaitable[ReviewRow]:
            to, person = wish.get("to", "").strip() or None, wish.get("person", "").strip() or None
            return desk.pass_on(
                row.id, by=by, queue=to, person=person, reason=one_text(wish, "why")
            )

        return await self._done(request, passed, self._next)

    async def escalate(self, request: Request) -> Response:
        """Send a review to the next queue of its chain, and take the next."""
        return await self._done(
            request,
            lambda desk, row, by, wish: desk.escalate(row.id, by=by, reason=one_text(wish, "why")),
            self._next,
        )

    # -- how it works --------------------------------------------------------------------------------------------------

    async def _done(
        self, request: Request, deed: Deed, then: Then, permission: str = RULES
    ) -> Response:
        """Do something and show what comes then; what is refused is shown on the review's page, with all that was typed."""
        row, wish = await self._wish(request, permission)
        queue = wish.get("queue", "")
        try:
            changed = await deed(self._door.app.desk, row, actor_of(request), wish)
        except InvalidInput as wrong:
            faults = wrong.faults or (Fault("", str(wrong)),)
            return await self._shown(
                request, queue, status=422, faults=faults, typed=typed_of(wish)
            )
        except (AlreadyRuled, Denied) as lost:
            status = 403 if isinstance(lost, Denied) else 409
            return await self._shown(
                request, queue, status=status, typed=typed_of(wish), trouble=str(lost)
            )
        return see_other(await then(request, changed, queue or None))

    async def _here(self, request: Request, row: ReviewRow, queue: str | None) -> str:
        return address_of(row.id, queue)

    async def _next(self, request: Request, row: ReviewRow, queue: str | None) -> str:
        return await onward(self._door.app, request, queue, row.id)

    async def _wish(self, request: Request, permission: str = RULES) -> tuple[ReviewRow, Form]:
        """Return the review that a form speaks of, and what it sends, if who sends it may do that there."""
        wish = await form_of(request, self._door)
        row = await self._door.app.desk.get(review_id_of(request))
        permit(request, permission, row.automation)
        return row, wish


Deed = Callable[[Desk, ReviewRow, str, Form], Awaitable[ReviewRow]]
Then = Callable[[Request, ReviewRow, str | None], Awaitable[str]]


def review_id_of(request: Request) -> str:
    """Return the id that the path names."""
    review_id: str = request.path_params["review_id"]
    if not ID.fullmatch(review_id):
        raise NotFound(f"no review {review_id[:63]!r}")
    return review_id


def last_undo(whole: search.Whole, by: str, now_ms: int) -> Undo | None:
    """Return the ruling of just before, if a person may take it back."""
    return None if whole.last is None else undo_of(whole.last, whole.said, by, now_ms)
