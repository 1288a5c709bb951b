r"""Artifacts of formats that have no room for what opsrail must know: the native bytes behind one line that tells it.

    opsrail-model 1\\n
    {"bytes":8123,"columns":[...],"format":"lightgbm-text"}\\n
    <8123 bytes as the library wrote them>

The second line is canonical JSON (RFC 8785), so the same file with the same signature is the same artifact, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsrail.errors import ArtifactRefused
from opsrail.values.canonical import canonical
from opsrail.values.columns import Column, columns_from_json, columns_to_json

MAGIC = b"opsrail-model 1\n"
LONGEST_HEAD_BYTES = 8_000_000
"""Ours: the codes of a hundred thousand words, several times over."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model reads, and what is known of its scores.

    Attributes:
        columns: What stands in each column, in the model's order.
        confidence: `{"edges": [...], "confidences": [...]}`, see `opsrail.values.confidence`; None: not measured.
        reference: `{"rows": [[...]], "lows": [...], "highs": [...]}`, all optional: typical rows, and the numbers that
            training saw, in the order of the columns; None: not told.
    """

    columns: tuple[Column, ...]
    confidence: Mapping[str, Any] | None = None
    reference: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """What a native file tells of its model, to make a signature from.

    Attributes:
        runtime: Name of the adapter that loads what becomes of it.
        count: Features it reads.
        names: Of the features, in order; none: the file tells no names.
        columns: What it reads, where the file tells all of it: then nothing is left to infer.
        categorical: Places of the features that training took for categories.
        words: Categories of those, as text, in the order of the numbers that training gave them, by place.
        recoded: Places of those whose numbers training gave, but the file does not tell.
        lows: Least number of each feature in training, None where it is not told; none: none is.
        highs: As above, the greatest.
        takes_missing: Whether the model knows what to do with a missing number.
        notes: What whoever imports it should know.
    """

    runtime: str
    count: int
    names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    categorical: frozenset[int] = frozenset()
    words: Mapping[int, Sequence[str]] = field(default_factory=dict)
    recoded: frozenset[int] = frozenset()
    lows: tuple[float | None, ...] = ()
    highs: tuple[float | None, ...] = ()
    takes_missing: bool = False
    notes: tuple[str, ...] = ()


def pack(native: bytes, form: str, signature: Signature) -> bytes:
    """Return the artifact of a native file.

    Args:
        form: Of the native bytes, e.g. `lightgbm-text`.
    """
    head = {
        "bytes": len(native),
        "columns": json.loads(columns_to_json(signature.columns)),
        "format": form,
        **({} if signature.confidence is None else {"confidence": dict(signature.confidence)}),
        **({} if signature.reference is None else {"reference": dict(signature.reference)}),
    }
    return MAGIC + canonical(head) + b"\n" + native


def unpack(artifact: bytes, *forms: str) -> tuple[str, Signature, bytes]:
    """Return an artifact's form, signature and native bytes.

    Args:
        forms: Those that the reader knows.

    Raises:
        ArtifactRefused: it is none, or of another form. Terminal: nothing was loaded.
    """
    if not artifact.startswith(MAGIC):
        raise ArtifactRefused(
            "The artifact does not say what it reads; `opsrail models import` makes one that does."
        )
    end = artifact.find(b"\n", len(MAGIC), len(MAGIC) + LONGEST_HEAD_BYTES)
    head = _head(artifact[len(MAGIC) : max(end, len(MAGIC))])
    native = artifact[end + 1 :]
    form = head.get("format")
    if form not in forms:
        raise ArtifactRefused(
            f"The artifact holds {form!r}; this runtime loads {', '.join(forms)}."
        )
    if head.get("bytes") != len(native):
        raise ArtifactRefused(
            f"The artifact has {len(native)} bytes behind its head, which says {head.get('bytes')!r}; "
            "import the model anew."
        )
    columns = columns_from_json(json.dumps(head.get("columns")))
    told = [head.get(name) for name in ("confidence", "reference")]
    if not all(part is None or isinstance(part, dict) for part in told):
        raise ArtifactRefused(
            "The artifact's confidence or reference is no object; import it anew."
        )
    return str(form), Signature(columns, *told), native


def columns_of(artifact: bytes) -> tuple[Column, ...]:
    """Return what an artifact of any form reads, without its native bytes. Raises ArtifactRefused: it does not say."""
    end = artifact.find(b"\n", len(MAGIC), len(MAGIC) + LONGEST_HEAD_BYTES)
    head = _head(artifact[len(MAGIC) : max(end, len(MAGIC))])
    return columns_from_json(json.dumps(head.get("columns")))


def _head(line: bytes) -> dict[str, Any]:
    try:
        head = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ArtifactRefused(f"The artifact's head cannot be read: {error}") from error
    if not isinstance(head, dict):
        raise ArtifactRefused("The artifact's head is no object; import the model anew.")
    return head
