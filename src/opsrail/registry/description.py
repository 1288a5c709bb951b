"""What whoever registers a model version says of it, checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from opsrail.errors import Fault, InvalidInput
from opsrail.registry.pools import POOLS, pools_of
from opsrail.values.canonical import canonical

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


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
    try:
        canonical(dict(card))
    except InvalidInput as wrong:
        found += [Fault(f"card.{fault.place}", fault.message) for fault in wrong.faults]
    cost_usd = card.get("cost_usd", 0)
    if not isinstance(cost_usd, int | float) or not 0 <= cost_usd < math.inf:
        found.append(
            Fault("card.cost_usd", f"{cost_usd!r} is not an amount in US dollars from 0 on")
        )
    if list(pools_of(card)) != card.get(POOLS, []):
        found.append(Fault(f"card.{POOLS}", "is not a list of names of runtimes"))
    return found
