"""Claims of the example's file as the JSON interface takes them."""

from __future__ import annotations

from typing import Any

from examples.claims.automation import Claim
from examples.claims.claim_rows import LABEL, read_claims


def newest_claims(count: int) -> list[dict[str, Any]]:
    """Return the last claims of the file, without what turned out of them."""
    rows = [
        {name: word for name, word in row.items() if name != LABEL}
        for row in read_claims()[-count:]
    ]
    return [Claim.model_validate(row).model_dump(mode="json") for row in rows]
