"""An artifact with a bit turned in the store is refused at every load, here and in children; decisions fall back."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from opsrail.app import App, build
from opsrail.clock import SystemClock
from opsrail.config import Config
from opsrail.connect.catalog import FACTORY as KNOWN
from opsrail.connect.child import ChildLimits, ChildModel, ChildRuntime
from opsrail.connect.child_process import Launch
from opsrail.decide.decider import Request
from opsrail.errors import ArtifactRefused, ModelUnavailable
from opsrail.registry.rollout import Stage
from opsrail.values.canonical import digest
from opsrail.values.models import ModelVersion
from tests.integration.models.test_decide import TRAINED, written
from tests.support.forests import artifact_of, random_trees


def turn_a_bit(data: Path, place: int) -> None:
    """Turn one bit of the only artifact in the store."""
    with closing(sqlite3.connect(data / "opsrail.db")) as connection:
        (content,) = connection.execute("SELECT content FROM artifacts").fetchone()
        damaged = bytearray(content)
        damaged[place % len(damaged)] ^= 1
        connection.execute("UPDATE artifacts SET content = ?", (bytes(damaged),))
        connection.commit()


async def registered(app: App, isolation: str) -> ModelVersion:
    return await app.registry.register(
        "fraud",
        artifact_of(random_trees(3, columns=3, trees=2, depth=2), 3),
        runtime="onnx",
        training_digest=TRAINED,
        by="ana",
        card={"isolation": isolation} if isolation else {},
    )


@pytest.mark.parametrize("isolation", ["", "process"])
@pytest.mark.parametrize("place", [0, 500, -1])
async def test_a_turned_bit_is_refused_and_the_decision_falls_back(
    tmp_path: Path, isolation: str, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    definitions = written(tmp_path)
    point = definitions.points["risk"]
    data = tmp_path / "data"
    async with build(Config(), data, definitions).opened() as app:
        version = await registered(app, isolation)
        await app.registry.promote("risk", version, Stage.LIVE, by="ana", reason="first")
    turn_a_bit(data, place)
    with caplog.at_level(logging.WARNING):
        async with build(Config(), data, definitions).opened() as app:
            assert await app.registry.warm() == []
            facts = point.request(age=0.25, amount_usd=0.5, kind="car")
            decision = await app.decider.decide(Request(point, facts, "0" * 32, "test"))
            with pytest.raises(ModelUnavailable, match="is damaged"):
                await app.registry.model(version, 10)
            whole = await app.describer.whole("fraud", 1)

    assert (decision.score, decision.degraded_why) == (None, "model-unavailable")
    assert "is damaged" in whole["artifact_fault"]
    assert f"fraud/1 cannot be loaded: artifact {version.digest} is damaged" in caplog.text


def test_a_child_process_itself_refuses_bytes_that_are_not_those_of_the_digest() -> None:
    artifact, limits = artifact_of(random_trees(3, columns=3, trees=2, depth=2), 3), ChildLimits()
    for place in (0, len(artifact) // 2, len(artifact) - 1):
        damaged = bytearray(artifact)
        damaged[place] ^= 1
        told = ("onnx", bytes(damaged), digest(artifact), limits.memory_bytes)
        with pytest.raises(ArtifactRefused, match="is damaged"):
            ChildRuntime("onnx", KNOWN, limits, SystemClock()).load(
                bytes(damaged), digest(artifact)
            )
        with pytest.raises(ArtifactRefused, match="it was changed"):  # damaged on the way to it
            ChildModel(Launch(KNOWN, {}, *told), limits, SystemClock())
