"""What `opsrail.lab` gives, and what it says where its extra is missing."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest

import opsrail.lab
from opsrail.errors import MissingExtra


@pytest.mark.parametrize("name", opsrail.lab.LATER)
def test_what_needs_the_extra_is_there_when_it_is_asked_for(name: str) -> None:
    assert callable(getattr(opsrail.lab, name))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_scipy(name: str, *args: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "scipy":
            raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
        return real(name, *args, **options)

    for module in [name for name in sys.modules if name.startswith("opsrail.lab.")]:
        if module.rpartition(".")[2] in opsrail.lab.LATER.values():
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_scipy)

    with pytest.raises(MissingExtra, match=r"opsrail\[lab\]"):
        _ = opsrail.lab.disagree


def test_what_is_nowhere_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = opsrail.lab.nothing_of_that_name
