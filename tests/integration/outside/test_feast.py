"""Features from a real Feast: its local stores, `feast serve`, and decisions that read them and can be told years later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from opsrail.app import App, build
from opsrail.cases.loader import load_file
from opsrail.config import Config
from opsrail.decide.decider import Request
from opsrail.decide.explain import explain
from opsrail.errors import FeaturesUnavailable, InvalidInput
from opsrail.registry.rollout import Stage
from opsrail.values.decisions import Decision, OutsideAsOf
from tests.support.outside import program, said, server
from tests.support.ports import free_port
from tests.support.tcp_proxy import proxy

pytestmark = pytest.mark.connected
HERE = Path(__file__).parent
TRAINED = "sha256:" + "a" * 64
FILE = """
from pydantic import BaseModel
from opsrail import Band, DecisionPoint, FeastSource, FeatureView, Policy, PythonModel

class Ride(BaseModel):
    driver_id: int

stats = FeatureView(
    "driver-stats", version=1, entity="driver_id",
    features={"conv_rate": float, "trips": int, "city": str}, missing={"trips": -1}, TTL
    source=FeastSource("URL", FEATURES, entity_key="driver_id", timeout_ms=20_000),
)
rides = DecisionPoint(
    "rides", request=Ride, features=["driver-stats@1"], deadline_ms=30_000,
    policy=Policy(bands=[Band("pay", below=0.6), Band("review", below=1.01)]),
    fallback=lambda ride: ("review", "Nothing is known."),
)

def by_rate(row):
    rate = row.get("conv_rate")
    return 0.99 if rate is None else rate

rules = PythonModel("by-rate", by_rate)
"""
ALL = ["driver_stats:conv_rate", "driver_stats:trips", "driver_stats:city"]
WRONG = {**{name.partition(":")[2]: name for name in ALL}, "city": "driver_stats:nothing"}


class Feast(NamedTuple):
    """A server."""

    url: str

    def write(self, driver: int, rate: float) -> None:
        """Write a newer value into the online store, as a stream would."""
        row = {
            "driver_id": [driver], "event_timestamp": [datetime.now(UTC).isoformat()],
            "conv_rate": [rate], "trips": [7], "city": ["Oslo"],
        }  # fmt: skip
        body = {"feature_view_name": "driver_stats", "df": row}
        httpx.post(f"{self.url}/write-to-online-store", json=body, timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def feast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feast]:
    folder, port = tmp_path_factory.mktemp("feast"), free_port()
    said(program("feast"), str(HERE / "feast_project.py"), cwd=folder)
    url = f"http://127.0.0.1:{port}"
    words = ("serve", "--port", str(port), "--no-access-log")
    with server(url, program("feast", "feast"), *words, cwd=folder):
        yield Feast(url)


@asynccontextmanager
async def app_of(
    folder: Path, url: str, *, features: object = ALL, ttl: str = ""
) -> AsyncIterator[App]:
    folder.mkdir(exist_ok=True)
    path = folder / "rides.py"
    text = FILE.replace("URL", url).replace("FEATURES", repr(features)).replace("TTL", ttl)
    path.write_text(text, encoding="utf-8")
    definitions = load_file(path)
    async with build(Config(), folder / "opsrail-data", definitions).opened() as app:
        version = await app.registry.register(
            "by-rate",
            definitions.models[0].artifact,
            runtime="python",
            training_digest=TRAINED,
            by="Mia",
        )
        await app.registry.promote("rides", version, Stage.LIVE, by="Mia", reason="first")
        yield app


async def decided(app: App, driver: int) -> Decision:
    point = app.definitions.points["rides"]
    facts = point.request(driver_id=driver)
    return await app.decider.decide(Request(point, facts, "0" * 31 + "1", "tester"))


async def test_a_decision_reads_feast_and_says_when_its_values_were_true(
    feast: Feast, tmp_path: Path
) -> None:
    async with app_of(tmp_path, feast.url) as app:
        decision = await decided(app, 1001)

    read, past = decision.features[1], decision.features[1].as_of
    assert (decision.verdict, decision.score, decision.degraded) == ("pay", 0.5, False)
    assert read.values == {"conv_rate": 0.5, "trips": 3, "city": "Rome"}
    assert isinstance(past, OutsideAsOf)
    assert (past.source, set(past.statuses.values())) == ("feast", {"present"})
    assert {past.read_at_ms - at > 3_000_000 for at in past.event_at_ms.values() if at} == {True}
    assert any("from feast at" in line for line in explain(decision))


async def test_what_feast_lacks_is_missing_and_what_is_nothing_there_is_nothing_here(
    feast: Feast, tmp_path: Path
) -> None:
    async with app_of(tmp_path, feast.url) as app:
        unknown, empty = await decided(app, 9), await decided(app, 1002)

    assert unknown.features[1].values == {"conv_rate": None, "trips": -1, "city": None}
    assert isinstance(past := unknown.features[1].as_of, OutsideAsOf)
    assert set(past.statuses.values()) == {"not-found"}
    assert set(past.event_at_ms.values()) == {None}
    assert empty.features[1].values == {"conv_rate": 0.25, "trips": None, "city": None}


async def test_our_time_to_live_holds_where_feast_does_not_apply_its_own(
    feast: Feast, tmp_path: Path
) -> None:
    async with app_of(tmp_path / "a", feast.url) as app:
        theirs = await decided(app, 1003)
    async with app_of(tmp_path / "b", feast.url, ttl='ttl="7d",') as app:
        ours = await decided(app, 1003)

    # 30 days old in a view with a ttl of 7 days: Feast 0.67 with SQLite says PRESENT
    assert theirs.features[1].values["conv_rate"] == 0.75
    assert ours.features[1].values == {"conv_rate": None, "trips": -1, "city": None}
    assert isinstance(past := ours.features[1].as_of, OutsideAsOf)
    assert set(past.statuses.values()) == {"expired"}


async def test_a_past_decision_is_told_from_its_record_whatever_feast_says_now(
    feast: Feast, tmp_path: Path
) -> None:
    feast.write(1004, 0.1)
    async with app_of(tmp_path, feast.url) as app:
        before = await decided(app, 1004)
        feast.write(1004, 0.9)
        await asyncio.sleep(0.3)  # what a decision reads may be 200 ms old
        after = await decided(app, 1004)
        recorded = Decision.from_record(before.record())
        again = await app.features.reread(recorded.features)

    assert (before.verdict, after.verdict) == ("pay", "review")
    assert recorded == before
    assert again == (recorded.features[1],)
    assert again[0].values["conv_rate"] == 0.1


async def test_a_feature_that_feast_does_not_have_makes_decisions_fall_back(
    feast: Feast, tmp_path: Path
) -> None:
    async with app_of(tmp_path, feast.url, features=WRONG) as app:
        decision = await decided(app, 1001)

    assert (decision.verdict, decision.degraded_why) == ("review", "features-unavailable")
    assert [read.view for read in decision.features] == ["request"]


async def test_the_past_and_pushed_values_of_such_a_view_are_feasts_and_that_is_said(
    feast: Feast, tmp_path: Path
) -> None:
    async with app_of(tmp_path, feast.url) as app:
        for asked in (
            app.features.at("driver-stats@1", "1001", 0),
            app.features.push("driver-stats@1", []),
        ):
            with pytest.raises(InvalidInput, match="is asked of Feast"):
                await asked


async def test_a_feast_that_dies_costs_no_decision_and_soon_no_time(
    feast: Feast, tmp_path: Path
) -> None:
    """For this app alone: what stands before the server goes, and takes every connection with it."""
    front = AsyncExitStack()
    port = (await front.enter_async_context(proxy(int(feast.url.rpartition(":")[2])))).port
    async with front, app_of(tmp_path, f"http://127.0.0.1:{port}") as app:
        served = await decided(app, 1001)
        await front.aclose()
        await asyncio.sleep(0.3)  # what a decision reads may be 200 ms old
        fallen = [await decided(app, 1001) for _ in range(12)]
        with pytest.raises(FeaturesUnavailable, match="is left alone"):
            await app.features.read("driver-stats@1", "1002")

    assert served.degraded is False
    assert {one.degraded_why for one in fallen} == {"features-unavailable"}
    assert {one.verdict for one in fallen} == {"review"}
