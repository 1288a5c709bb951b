"""Features from a Feast feature server (`feast serve`), over its HTTP API; no package of Feast's is needed.

What Feast says of a value is taken as it is: PRESENT (also without a value: known to be nothing), NOT_FOUND or
OUTSIDE_MAX_AGE. Feast does not always apply a view's ttl online: with its SQLite store a value of last month is PRESENT in a
view with a ttl of a week. Each value comes with its event time, so the time to live of opsrail's own view holds anyway.

Source:
    Feast 0.67, `feast/feature_server.py`, `feast/feature_server_utils.py` and `protos/feast/serving/ServingService.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opsrail.connect.outside_http import Answer, OutsideHttp
from opsrail.errors import FeaturesUnavailable, Unavailable
from opsrail.values.features import OutsideValue

PATH = "/get-online-features"
LARGEST_ANSWER_BYTES = 1_000_000
"""Ours: a thousand features of one entity, several times over."""
STATUSES = {
    "PRESENT": "present",
    "NULL_VALUE": "present",
    "NOT_FOUND": "not-found",
    "OUTSIDE_MAX_AGE": "expired",
}


class FeastServer:
    """One view's features at one Feast server.

    Args:
        references: Feast's `view:feature` by the name that it has here.
        entity_key: Join key of the entity. Sent as text; Feast makes a number of it where the entity is one.
    """

    name = "feast"

    def __init__(
        self,
        http: OutsideHttp,
        references: Mapping[str, str],
        entity_key: str,
        *,
        timeout_s: float,
    ) -> None:
        self._http = http
        self._references = dict(references)
        self._entity_key = entity_key
        self._timeout_s = timeout_s

    async def read(self, entity: str) -> Mapping[str, OutsideValue]:
        asked = {
            "features": list(self._references.values()),
            "entities": {self._entity_key: [entity]},
            "full_feature_names": True,
        }
        try:
            answer = await self._http.ask(
                "POST",
                PATH,
                wait_s=self._timeout_s,
                most_bytes=LARGEST_ANSWER_BYTES,
                json=asked,
            )
        except Unavailable as fault:
            raise FeaturesUnavailable(str(fault)) from fault
        if answer.status != 200:
            raise FeaturesUnavailable(
                f"{self._http.name} gave no features of {entity!r}: {answer.told()}"
            )
        try:
            return read_answer(answer, self._references)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as wrong:
            raise FeaturesUnavailable(
                f"{self._http.name} answered what cannot be read: {type(wrong).__name__}: {wrong}"
            ) from wrong

    async def close(self) -> None:
        await self._http.close()


def read_answer(answer: Answer, references: Mapping[str, str]) -> dict[str, OutsideValue]:
    """Return the one entity's values by the names that they have here.

    Raises:
        ValueError, KeyError, IndexError, TypeError, AttributeError: it is no such answer, or a feature is not in it.
    """
    tree: Any = answer.json()
    names: list[str] = tree["metadata"]["feature_names"]
    results = dict(zip(names, tree["results"], strict=True))
    found = {}
    for name, reference in references.items():
        held = results[reference.replace(":", "__")]
        (value,), (status,), (moment,) = (
            held["values"],
            held["statuses"],
            held["event_timestamps"],
        )
        if status not in STATUSES:
            raise ValueError(f"{reference} has status {str(status)[:40]!r}")
        found[name] = OutsideValue(value, STATUSES[status], _moment_ms(moment))
    return found


def _moment_ms(text: str) -> int | None:
    """Return an event time in epoch ms, rounded up: a value was not known before. Feast writes 1970 where there is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"event time {text[:40]!r} has no offset")
    return -(-round(moment.timestamp() * 1_000_000) // 1000) or None
