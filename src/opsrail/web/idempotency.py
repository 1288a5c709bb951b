"""What is told of idempotency keys: the header's description with its policy, and the mark of a repeated answer.

Source:
    draft-ietf-httpapi-idempotency-key-header-07; `Idempotent-Replayed` is the name that Stripe's API gives the mark.
"""

from __future__ import annotations

from collections.abc import Mapping

from opsrail.web.door import Parameter
from opsrail.web.reading import BARE_KEY, QUOTED_KEY

REPEAT_HEADER = "Idempotent-Replayed"
REPEATED: Mapping[str, str] = {REPEAT_HEADER.lower(): "true"}
RAW_REPEATED = (REPEAT_HEADER.lower().encode(), b"true")


def idempotency_parameter(kept_s: int | None, subject: str = "case") -> Parameter:
    """Return the description of the header.

    Args:
        kept_s: Time for which a key is remembered, seconds; None: as long as what it stands for.
        subject: What that is.
    """
    kept = f"as long as the {subject}" if kept_s is None else f"{kept_s:,} seconds"
    return Parameter(
        "Idempotency-Key",
        "header",
        {"type": "string", "pattern": f"^(?:{BARE_KEY}|{QUOTED_KEY})$"},
        f"The same key, caller and body give the same answer, also after a crash; kept {kept}, then the key is new. "
        "Another body under it is 422, a twin of a request under way 409, a malformed key 400. In quotes, or bare.",
    )
