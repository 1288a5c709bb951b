"""Every error says what follows from it, and no two share a code."""

from __future__ import annotations

import inspect
import re
from collections import Counter

import pytest

from opsrail import errors

ERRORS = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, BaseException) and member.__module__ == errors.__name__
]


def test_there_are_errors_to_walk() -> None:
    assert errors.OpsrailError in ERRORS


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_has_a_docstring_of_its_own(error: type[BaseException]) -> None:
    assert vars(error).get("__doc__")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_has_a_code_of_its_own_in_kebab_case(error: type[BaseException]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", str(vars(error).get("code")))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_stands_in_the_tree_at_the_top_of_its_file(error: type[BaseException]) -> None:
    assert re.search(rf"\b{error.__name__}\b", errors.__doc__ or "")


def test_no_two_errors_share_a_code() -> None:
    codes = Counter(str(vars(error).get("code")) for error in ERRORS)

    assert [code for code, count in codes.items() if count > 1] == []
