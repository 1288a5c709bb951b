"""A model that is a plain function in the author's file, versioned like any other.

Its artifact is a line of JSON that names the function and holds a digest of its code: the code itself stays in the file. So
a version can be scored where the file holds that very code, and nowhere else; an edited function is the next version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opsrail.decide.code import code_digest, is_plain_function
from opsrail.errors import Fault, InvalidInput
from opsrail.values.canonical import canonical, digest
from opsrail.values.columns import Column, columns_to_json
from opsrail.values.models import PYTHON_FORM, AuthorFunction

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
Scorer = Callable[[Mapping[str, Any]], float | tuple[float, float]]


class PythonModel:
    """A function that scores one row of features. `opsrail models import FILE.py --name NAME` registers it as it is now.

    Args:
        name: Of the model in the registry. Two functions of one name may stand in a file: the one that is live and the one
            that will be.
        function: Row of named features, read-only -> score in [0, 1], or (score, confidence). A plain function that looks at
            nothing but the row: it is called on a thread of its own, for many requests at once.
        columns: What it reads: rows are checked by them before it is called, and values that they do not know are told in
            `unknown`. None: it gets every row as it is.

    Raises:
        InvalidInput: name or function is wrong; all faults at once. Terminal.
    """

    def __init__(self, name: str, function: Scorer, *, columns: Sequence[Column] = ()) -> None:
        found = []
        if not NAME.fullmatch(name):
            found.append(Fault("name", f"{name!r}: use a-z, 0-9 and -, starting with a letter"))
        if not is_plain_function(function):
            found.append(Fault("function", "must be a plain function of one row, not async"))
        if len({column.name for column in columns}) != len(columns):
            found.append(Fault("columns", "name a feature twice"))
        if found:
            raise InvalidInput(f"Python model {name!r} cannot be defined", found)
        self.name = name
        self.function = AuthorFunction(function, tuple(columns))
        self.code = code_digest(function)
        head = {
            "code": self.code,
            "columns": json.loads(columns_to_json(columns)),
            "format": PYTHON_FORM,
            "name": name,
        }
        self.artifact = canonical(head)
        self.digest = digest(self.artifact)

    def __repr__(self) -> str:
        return f"PythonModel({self.name!r})"
