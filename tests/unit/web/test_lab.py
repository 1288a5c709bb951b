"""What computes over arrays, when it is first asked for by HTTP."""

from __future__ import annotations

import threading
from importlib import import_module
from types import ModuleType

import pytest

from opsrail.errors import MissingExtra
from opsrail.web import lab
from tests.unit.web.conftest import Caller

PATHS = {
    "/v1/reviews/quality": "opsrail.lab.rulings",
    "/console/reviews/quality": "opsrail.lab.rulings",
    "/v1/points/fraud-risk/compare?version=fraud-risk/1": "opsrail.lab.comparison",
}


@pytest.mark.parametrize("path", PATHS)
async def test_it_is_imported_off_the_event_loop_and_once(
    live: Caller, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []

    def noticed(name: str) -> ModuleType:
        seen.append((name, threading.current_thread() is threading.main_thread()))
        return import_module(name)

    monkeypatch.setattr(lab, "import_module", noticed)
    monkeypatch.setattr(lab, "_imported", set())
    for _ in range(2):
        answer = await live.get(path)
        assert answer.status_code in (200, 404), answer.text  # nothing was decided yet

    assert seen == [(PATHS[path], False)]


async def test_without_its_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "_imported", set())
    with pytest.raises(MissingExtra, match=r"opsrail\[lab\]"):
        await lab.imported("nothing_of_that_name", "Comparing")
