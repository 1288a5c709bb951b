from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.decisions import Road, make_history


@pytest.fixture
async def road() -> AsyncIterator[Road]:
    road = Road(make_history())
    await road.store.open()
    yield road
    road.decider.close()
    await road.store.close()
