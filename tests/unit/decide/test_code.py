"""A policy's version moves when its code does, and only then."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from opsrail.decide.code import code_digest
from opsrail.decide.policy import Band, Policy, Rule


def loaded(tmp_path: Path, source: str) -> Callable[..., Any]:
    """Return `f` of a module with this source."""
    path = tmp_path / f"code_{len(list(tmp_path.iterdir()))}.py"
    path.write_text(dedent(source), encoding="utf-8")
    names: dict[str, Any] = {"__name__": "author", "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)  # noqa: S102 - an author's file
    function: Callable[..., Any] = names["f"]
    return function


SAME = [
    ("f = lambda x: x.amount > 10", "# moved\n\nf = (\n    lambda x: # why\n    x.amount > 10\n)"),
    ("def f(x):\n    return x", "def f(x):\n    '''Say why.'''\n\n    return x  # same"),
    ("g, f = lambda x: 1, lambda x: 2", "f = lambda x: 2"),
    ("f = (lambda y: lambda x: x + y)(1)", "y = 1\nf = (lambda y: lambda x: x + y)(y)"),
]
OTHER = [
    ("f = lambda x: x.amount > 10", "f = lambda x: x.amount > 11"),
    ("f = lambda x: x.amount > 10", "f = lambda x: x.amount >= 10"),
    ("g, f = lambda x: 1, lambda x: 2", "f, g = lambda x: 1, lambda x: 2"),
    ("LIMIT = 1\nf = lambda x: x > LIMIT", "LIMIT = 2\nf = lambda x: x > LIMIT"),
    (
        "LIMITS = {'a': [1]}\nf = lambda x: LIMITS[x]",
        "LIMITS = {'a': [2]}\nf = lambda x: LIMITS[x]",
    ),
    ("def g(x):\n    return 1\nf = lambda x: g(x)", "def g(x):\n    return 2\nf = lambda x: g(x)"),
    ("f = (lambda y: lambda x: x + y)(1)", "f = (lambda y: lambda x: x + y)(2)"),
    ("def f(x, y=1):\n    return y", "def f(x, y=2):\n    return y"),
    ("def f(x, *, y={1}):\n    return y", "def f(x, *, y={2}):\n    return y"),
    (
        "from functools import partial\nf = partial(lambda y, x: y, 1)",
        "from functools import partial\nf = partial(lambda y, x: y, 2)",
    ),
    ("f = lambda x: (lambda z: z)(x)", "f = lambda x: (lambda z: -z)(x)"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_layout_comments_and_place_do_not_count(tmp_path: Path, one: str, two: str) -> None:
    assert code_digest(loaded(tmp_path, one)) == code_digest(loaded(tmp_path, two))


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_what_changes_an_answer_counts(tmp_path: Path, one: str, two: str) -> None:
    assert code_digest(loaded(tmp_path, one)) != code_digest(loaded(tmp_path, two))


def test_functions_that_call_each_other_have_a_digest(tmp_path: Path) -> None:
    source = "def f(x):\n    return x and g(x - 1)\ndef g(x):\n    return x and f(x - 1)"

    assert code_digest(loaded(tmp_path, source)) == code_digest(loaded(tmp_path, source))


def test_a_function_without_source_still_has_a_digest() -> None:
    names: dict[str, Any] = {}
    exec("f = lambda x: x + 1\ng = lambda x: x + 2", names)  # noqa: S102 - source that no file holds

    assert code_digest(names["f"]) != code_digest(names["g"])


class Limit:
    """Not a plain value: counts by its type."""

    def is_over(self, amount: Decimal) -> bool:
        return amount > 10


def test_a_method_and_a_builtin_have_a_digest() -> None:
    assert len({code_digest(Limit().is_over), code_digest(bool), code_digest(len)}) == 3


def test_a_policys_version_moves_with_each_of_its_parts() -> None:
    def policy(
        below: float = 0.5,
        name: str = "old",
        verdict: str = "review",
        reason: str = "Old.",
        **options: str,
    ) -> str:
        rule = Rule[Any](name, when=lambda facts: facts.age > 60, verdict=verdict, reason=reason)
        return Policy[Any](
            bands=[Band("approve", below=below), Band("review", below=1.01)],
            rules=[rule],
            **options,
        ).version

    versions = [
        policy(),
        policy(below=0.6),
        policy(name="aged"),
        policy(verdict="decline"),
        policy(reason="Aged."),
        policy(on_error="decline"),
        policy(without_score="decline"),
        policy(on_unknown="decline"),
    ]

    assert len(set(versions)) == len(versions)
    assert policy() == versions[0]
