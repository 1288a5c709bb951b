"""What describes a version: checked when it is registered, kept as a row, told to the ledger. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import orjson

from opsrail.errors import Fault, InvalidInput
from opsrail.registry.cards import telling_faults
from opsrail.registry.pools import card_faults
from opsrail.values.canonical import canonical, digest
from opsrail.values.models import ModelVersion
from opsrail.values.registry import ModelVersionRow, RolloutChangeRow
from opsrail.values.rows import Append

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def version_of(row: ModelVersionRow) -> ModelVersion:
    """Return a row as a value."""
    fields = row._asdict()
    return ModelVersion(
        **{**fields, "metrics": orjson.loads(row.metrics), "card": orjson.loads(row.card)}
    )


def check_description(
    name: str,
    training_digest: str,
    metrics: Mapping[str, object],
    card: Mapping[str, object],
    by: str,
) -> None:
    """Raise InvalidInput with everything wrong with what is said of a version. Terminal."""
    if found := description_faults(name, training_digest, metrics, card, by):
        raise InvalidInput(f"model {name!r} cannot be registered", found)


def description_faults(
    name: str,
    training_digest: str,
    metrics: Mapping[str, object],
    card: Mapping[str, object],
    by: str,
) -> list[Fault]:
    """Return everything wrong with what is said of a version."""
    found = []
    if not NAME.fullmatch(name):
        found.append(
            Fault(
                "name",
                f"{name!r}: use a-z, 0-9 and -, starting with a letter, at most 63 characters",
            )
        )
    if not DIGEST.fullmatch(training_digest):
        found.append(
            Fault("training_digest", f"{training_digest!r} is not `sha256:` and 64 hex digits")
        )
    if not by.strip():
        found.append(Fault("by", "is empty; say who registers it"))
    for figure, value in metrics.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            found.append(Fault(f"metrics.{figure}", f"{value!r} is not a finite number"))
    found += told_faults(card)
    return found


def told_faults(card: Mapping[str, object]) -> list[Fault]:
    """Return everything wrong with a card."""
    found = []
    try:
        canonical(dict(card))
    except InvalidInput as wrong:
        found += [Fault(f"card.{fault.place}", fault.message) for fault in wrong.faults]
    cost_usd = card.get("cost_usd", 0)
    if not isinstance(cost_usd, int | float) or not 0 <= cost_usd < math.inf:
        found.append(
            Fault("card.cost_usd", f"{cost_usd!r} is not an amount in US dollars from 0 on")
        )
    return [*found, *telling_faults(card), *card_faults(card)]


def registered(row: ModelVersionRow, by: str) -> Append:
    """Return the ledger entry of a registration."""
    body = {
        "actor": by,
        "at_ms": row.created_at_ms,
        "card_digest": digest(row.card.encode()),
        "digest": row.digest,
        "name": row.name,
        "number": row.number,
        "runtime": row.runtime,
        "training_digest": row.training_digest,
    }
    return Append(
        "model.registered", f"{row.name}/{row.number}", row.created_at_ms, canonical(body)
    )


def changed(change: RolloutChangeRow, version: ModelVersion) -> Append:
    """Return the ledger entry of a change of a rollout."""
    body = {**change._asdict(), "stage": str(change.stage), "model_digest": version.digest}
    return Append("rollout.changed", change.point, change.at_ms, canonical(body))
