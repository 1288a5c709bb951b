"""Model versions as people write them: `name/number`, and `name@number` as well."""

from __future__ import annotations

import re

from opsrail.errors import InvalidInput

VERSION = re.compile(r"([a-z][a-z0-9-]{0,62})[/@]([1-9][0-9]{0,8})")


def version_of(text: str) -> tuple[str, int]:
    """Return name and number of a model version.

    Args:
        text: `claims-fraud/7`, as opsrail writes it everywhere, or `claims-fraud@7`.

    Raises:
        InvalidInput: it names no version. Terminal.

    Example:
        >>> version_of("claims-fraud@7")
        ('claims-fraud', 7)
    """
    if (read := VERSION.fullmatch(text)) is None:
        raise InvalidInput(f"{text[:80]!r} names no model version; write e.g. claims-fraud/7")
    return read[1], int(read[2])
