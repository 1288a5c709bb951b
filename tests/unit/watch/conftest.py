from __future__ import annotations

import pytest

from tests.support.scene import Scene


@pytest.fixture
def scene() -> Scene:
    """A road in memory, where a rollout may begin."""
    return Scene()
