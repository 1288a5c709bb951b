"""Reads what a request carries, and refuses all that is not exactly right: bodies, headers, query parameters.

A body is read up to a limit while it arrives, and must be JSON that every reader understands the same way (RFC 7493): UTF-8,
no key twice, no number that a double cannot hold, no half of a surrogate pair, not nested beyond 32 levels.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from opsrail.cases.intake import faults_of
from opsrail.clock import in_time
from opsrail.errors import Fault, InvalidInput
from opsrail.values.canonical import LARGEST_INTEGER
from opsrail.values.decisions import Criticality
from opsrail.web.headers import Headers, headers_of
from opsrail.web.problems import Malformed, NotJson, TooLarge, TooSlow

M = TypeVar("M", bound=BaseModel)
DEEPEST = 32
BODY_S = 20.0
"""Time a body may take to arrive. Ours: 1 MB at 50 kB/s."""
MOST_VALUES = 100_000
"""Objects, arrays and separators in a body. Ours: 1 MB of brackets would hold the loop for 0.3 s, 100,000 for 0.05 s."""
MOST_PLAIN_VALUES = 10_000
"""Separators in a body that is read the quick way. Ours: more are worth the close look."""
MOST_KEYS = 10_000
"""Keys of one object. Ours: no model has more, and one that is not expected costs 7 us to name."""
MOST_FAULTS = 10_000
"""Faults of a body that are looked at one by one, 7 us each; more are told by their number."""
CONTAINERS = frozenset((dict, list))
DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
LONG_INTEGER = b"0" * 16
LONG_NUMBERS = (LONG_INTEGER, b"e000", b"e+000")
"""What a number, with all digits 0, has that may lie beyond 2**53 or beyond a double; without, none is looked at. (A
regular expression took 30 us of a body of 1 kB, bench road.)"""
BARE_KEY, QUOTED_KEY = "[!#-~]{1,255}", r'"(?:[!#-\[\]-~]|\\["\\]){1,255}"'
KEY = re.compile(f"{BARE_KEY}|{QUOTED_KEY}")
"""How an idempotency key is written: as a structured-field string (RFC 9651, section 3.3.3) without spaces, or bare."""
WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,9})"?', re.IGNORECASE)
LONGEST_WAIT_S = 30
LONGEST_DEADLINE_MS = 600_000
DEADLINE_HEADER = "x-opsrail-deadline-ms"
CRITICALITY_HEADER = "x-opsrail-criticality"
CRITICALITY_NAMES: tuple[Criticality, ...] = ("high", "normal", "low")
PAGE_COUNT = 100
LARGEST_PAGE_COUNT = 1_000
LIMIT = re.compile(r"[1-9][0-9]{0,2}|1000")
KEPT = r"^[^\x00]*$"
"""Pattern of text that a database keeps: none keeps NUL."""
SAYS_SOMETHING = r"^[^\x00]*[^\s\x00-\x1f\x7f-\xa0][^\x00]*$"
"""Pattern of such text that is more than white space, whichever reader's idea of it."""
CURSOR = re.compile(r"[0-9A-Z-]{1,64}")


class Page(NamedTuple):
    """Which part of a list is asked for."""

    limit: int
    after: str | None


async def body_of(request: Request, most_bytes: int) -> bytes:
    """Return the body, checked to be strict JSON.

    Raises:
        Malformed, NotJson, TooLarge, TooSlow: see there. Nothing was done.
    """
    headers = headers_of(request)
    _check_type(headers)
    body = await bytes_of(request, most_bytes)
    if not body:
        raise Malformed("this needs a JSON body; there was none")
    if "content-type" not in headers:
        raise NotJson("the body is not declared as application/json in UTF-8")
    check_json(body)
    return body


def model_of(model: type[M], body: bytes) -> M:
    """Return a body as a model. Types are not guessed: `"42"` is no number; but `42.0` is the integer 42, as in JSON Schema.

    Raises:
        InvalidInput: every fault, with its field; of more than `MOST_FAULTS` their number. Terminal.
    """
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as wrong:
        if (count := wrong.error_count()) > MOST_FAULTS:
            fault = Fault("", f"{count:,} places are wrong; compare it with the description")
            raise InvalidInput(f"the body does not fit {model.__name__}", [fault]) from wrong
        if any(error["type"] == "int_type" for error in wrong.errors(include_url=False)):
            plain = json.dumps(json.loads(body, parse_float=_number)).encode()
            if plain != body:
                return model_of(model, plain)
        raise InvalidInput(f"the body does not fit {model.__name__}", faults_of(wrong)) from wrong


def check_json(body: bytes) -> None:
    """Check that a text is JSON with one meaning.

    Raises:
        Malformed: it is not.
    """
    if len(body) > MOST_VALUES and sum(map(body.count, (b"[", b"{", b","))) > MOST_VALUES:
        raise Malformed(f"the body has more than {MOST_VALUES:,} values; send less at once")
    if _is_plain(body):
        return
    try:
        text = body.decode("utf-8")
        containers = text.count("[") + text.count("{")
        digits = body.translate(DIGITS)
        has_long = any(long in digits for long in LONG_NUMBERS)
        tree = (WITH_NUMBERS if has_long else STRICT).decode(text)
        is_shallow = containers <= DEEPEST or _is_shallow(tree)
        if "\\u" in text:
            orjson.loads(body)  # json lets half of a surrogate pair through
    except UnicodeDecodeError as wrong:
        raise Malformed(f"the body is not UTF-8, from byte {wrong.start} on") from wrong
    except json.JSONDecodeError as wrong:  # of both readers
        raise Malformed(
            f"the body is not JSON: line {wrong.lineno}, column {wrong.colno}: {wrong.msg}"
        ) from wrong
    except RecursionError:
        is_shallow = False
    except ValueError as wrong:  # of the hooks
        raise Malformed(f"the body is not JSON that all read alike: {wrong}") from wrong
    if not is_shallow:
        raise Malformed(f"the body is nested deeper than {DEEPEST} levels")


def _is_plain(body: bytes) -> bool:
    """Return whether a text surely is JSON with one meaning: nearly all are, and a close look costs ten times as much.

    orjson takes no NaN, no number beyond a double, no bad UTF-8 and no half of a surrogate pair, but a key twice and
    integers of any length. A text that it writes again as it stands has neither; of others, one with as many colons as its
    tree has keys has no key twice.
    """
    if len(body) > MOST_PLAIN_VALUES and body.count(b",") >= MOST_PLAIN_VALUES:
        return False
    flat = body.replace(b"{", b"").replace(b"[", b"")  # `count` would look at each byte by itself
    if len(body) - len(flat) > DEEPEST:
        return False
    try:
        tree = orjson.loads(body)
        if orjson.dumps(tree, option=orjson.OPT_STRICT_INTEGER) == body:
            return True
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return False
    if type(tree) not in CONTAINERS or _keys_in(tree) != body.count(b":"):
        return False
    return LONG_INTEGER not in body.translate(DIGITS)


def _keys_in(tree: Any) -> int:
    """Return the number of keys of all objects of a tree."""
    count = len(tree) if type(tree) is dict else 0
    for value in tree.values() if type(tree) is dict else tree:
        if type(value) in CONTAINERS:
            count += _keys_in(value)
    return count


def idempotency_key(request: Request) -> str | None:
    """Return the key of `Idempotency-Key`, bare or quoted (a structured-field string). Raises Malformed."""
    given = headers_of(request).get("idempotency-key")
    if given is None:
        return None
    if not KEY.fullmatch(given):
        fault = Fault(
            "Idempotency-Key",
            "give one key of 1 to 255 visible ASCII characters, in quotes or, if it has none itself, bare",
        )
        raise Malformed("a header is wrong", [fault])
    return bare_key(given)


def bare_key(given: str) -> str:
    """Return an idempotency key that fits `KEY` without its quotes."""
    return re.sub(r"\\(.)", r"\1", given[1:-1]) if given.startswith('"') else given


def deadline_ms(request: Request) -> int | None:
    """Return the time the caller gives for an answer, milliseconds. Raises Malformed."""
    given = headers_of(request).get(DEADLINE_HEADER)
    if given is None:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", given) or not 1 <= int(given) <= LONGEST_DEADLINE_MS:
        fault = Fault(
            "X-Opsrail-Deadline-Ms", f"give whole milliseconds, 1 to {LONGEST_DEADLINE_MS}"
        )
        raise Malformed("a header is wrong", [fault])
    return int(given)


def criticality(request: Request) -> Criticality | None:
    """Return how critical the caller says its request is. Raises Malformed."""
    given = headers_of(request).get(CRITICALITY_HEADER)
    if given is None:
        return None
    for known in CRITICALITY_NAMES:
        if given == known:
            return known
    fault = Fault("X-Opsrail-Criticality", f"give one of {', '.join(CRITICALITY_NAMES)}")
    raise Malformed("a header is wrong", [fault])


def wait_s(request: Request) -> int:
    """Return how long the caller would wait, seconds, 0..30; what is not understood is ignored.

    Source:
        RFC 7240, sections 2 and 4.3.
    """
    wishes = ",".join(headers_of(request).every("prefer")).split(",")
    found = [match for wish in wishes if (match := WAIT.fullmatch(wish.partition(";")[0].strip()))]
    return min(int(found[0][1]), LONGEST_WAIT_S) if found else 0


def query_of(request: Request, **patterns: re.Pattern[str]) -> dict[str, str]:
    """Return the query's parameters: each at most once, of these names, written like their patterns.

    Raises:
        Malformed: every fault.
    """
    if not request.scope["query_string"]:
        return {}
    given = request.query_params.multi_items()
    values = dict(given)
    known = f"there is no such parameter; there are: {', '.join(patterns) or 'none'}"
    found = [Fault(name[:64], known) for name in values if name not in patterns]
    if len(given) > len(values):
        found.append(Fault("", "a parameter stands more than once"))
    for name, pattern in patterns.items():
        if name in values and not pattern.fullmatch(values[name]):
            found.append(Fault(name, f"must be written as {pattern.pattern}"))
    if found:
        raise Malformed("the query is wrong", found)
    return values


def page_of(request: Request, **patterns: re.Pattern[str]) -> tuple[dict[str, str], Page]:
    """Return the query's parameters, and what `limit` and `after` among them ask for. Raises Malformed."""
    query = query_of(request, **patterns, limit=LIMIT, after=CURSOR)
    return query, Page(int(query.get("limit", PAGE_COUNT)), query.get("after"))


def _check_type(headers: Headers) -> None:
    declared = headers.get("content-type")
    if declared == "application/json" and "content-encoding" not in headers:
        return
    media, _, rest = (declared or "").partition(";")
    charset = rest.strip().lower().replace('"', "")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise NotJson("the body is encoded; send it as it is, without Content-Encoding")
    if declared is not None and (
        media.strip().lower() != "application/json" or charset not in ("", "charset=utf-8")
    ):
        raise NotJson("the body is not declared as application/json in UTF-8")


async def bytes_of(request: Request, most_bytes: int) -> bytes:
    """Return the body as it was sent, whatever it is declared as.

    Raises:
        Malformed, NotJson, TooLarge, TooSlow: see there. Nothing was done.
    """
    headers = headers_of(request)
    encoding = headers.get("transfer-encoding")
    if encoding is not None and encoding.lower() != "chunked":
        raise NotJson("the body is encoded; send it as it is, chunked or with its length")
    length = headers.get("content-length")
    if length is not None and length.isdecimal() and int(length[:19]) > most_bytes:
        raise _too_large(most_bytes)
    try:
        return await in_time(_whole_of(request.receive, most_bytes), BODY_S)
    except TimeoutError as late:
        raise TooSlow(f"the body did not arrive within {BODY_S:g} s") from late
    except ClientDisconnect as gone:
        raise Malformed("the body ended before it was whole") from gone


async def _whole_of(receive: Receive, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body: bytes = message.get("body", b"")
        size += len(body)
        if size > most_bytes:
            raise _too_large(most_bytes)
        if message.get("more_body", False):
            parts.append(body)
        else:
            return b"".join((*parts, body)) if parts else body


def _too_large(most_bytes: int) -> TooLarge:
    return TooLarge(f"the body is larger than {most_bytes:,} bytes, the most that is taken here")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise ValueError("an object has a key twice")
    if len(tree) > MOST_KEYS:
        raise Malformed(
            f"the body has an object of more than {MOST_KEYS:,} keys; send less at once"
        )
    return tree


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > 17 or abs(number := int(digits)) > LARGEST_INTEGER:
        raise ValueError("it has an integer of 2**53 or more; send it as text")
    return number


def _broken(digits: str) -> float:
    if abs(number := float(digits)) == float("inf"):
        raise ValueError("it has a number beyond what a double can hold")
    return number


def _number(digits: str) -> float:
    number = float(digits)
    return int(number) if number.is_integer() and abs(number) <= LARGEST_INTEGER else number


def _is_shallow(tree: Any) -> bool:
    """Return whether no value lies deeper than `DEEPEST` objects and arrays, level by level."""
    level = [tree] if type(tree) in CONTAINERS else []
    for _ in range(DEEPEST):
        parts = (held.values() if type(held) is dict else held for held in level)
        level = [part for held in parts for part in held if type(part) in CONTAINERS]
    return not level


STRICT = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)
WITH_NUMBERS = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_whole, parse_float=_broken
)
