"""Reads what a page's form sends: urlencoded text within limits, with the token that shows that the page was ours."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from opsrail.errors import Denied
from opsrail.web.door import CSRF as CSRF
from opsrail.web.door import Door
from opsrail.web.headers import headers_of
from opsrail.web.problems import Malformed, NotJson
from opsrail.web.reading import bytes_of

MEDIA = "application/x-www-form-urlencoded"
MOST_FIELDS = 2_000
TOKEN = "csrf"  # noqa: S105 - the field's name
Form = ImmutableMultiDict[str, str]


def csrf_token(request: Request) -> str:
    """Return what the forms of the page that answers this request carry."""
    token: str = request.scope.get(CSRF, "")
    return token


async def form_of(request: Request, door: Door) -> Form:
    """Return a form's fields; of a name that stands several times, `getlist` gives all.

    Raises:
        Denied: it does not carry its session's token: another site's page may have sent it. Nothing was done.
        Malformed, NotJson, TooLarge, TooSlow: see there. Nothing was done.
    """
    media = headers_of(request).get("content-type", "").partition(";")[0].strip().lower()
    if media != MEDIA:
        raise NotJson(f"a form is sent as {MEDIA}")
    body = await bytes_of(request, door.body_bytes)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as wrong:
        raise Malformed(f"the form cannot be read: {wrong}") from wrong
    form = Form(pairs)
    if not hmac.compare_digest(form.get(TOKEN, "").encode(), csrf_token(request).encode()):
        raise Denied("the form is of an earlier session; load the page again and repeat it")
    return form


def see_other(path: str) -> Response:
    """Return the answer to a form that did something: the page to look at next. Loading that again repeats nothing."""
    return RedirectResponse(path, 303)
