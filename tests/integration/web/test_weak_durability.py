"""F29: a database that loses commits is refused at start, unless the loss was accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsrail.app import App, build
from opsrail.config import Config, StoreConfig
from opsrail.errors import WeakDurability
from tests.unit.web.conftest import client_of


def app_on(url: str, folder: Path, *, allow_weak: bool) -> App:
    return build(Config(store=StoreConfig(url=url, allow_weak=allow_weak)), folder, runs=True)


@pytest.mark.connected
async def test_a_server_without_fsync_is_refused_by_name(postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(WeakDurability) as refused:
        async with app_on(postgres_url, tmp_path, allow_weak=False).running():
            pass

    assert "\n  postgres.fsync: fsync is off" in str(refused.value)
    assert "\n  postgres.full_page_writes: " in str(refused.value)
    assert "store.allow_weak" in str(refused.value)


@pytest.mark.connected
async def test_a_loss_that_was_accepted_is_only_told(
    postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with app_on(postgres_url, tmp_path, allow_weak=True).running() as app:
        assert app.is_running

        async with client_of(app) as client:
            ready = await client.get("/readyz")

    levels = {finding["name"]: finding["level"] for finding in ready.json()["findings"]}
    assert "postgres.fsync: fsync is off" in caplog.text
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert levels["postgres.fsync"] == "warn"
