"""What runs for minutes, over HTTP: on both databases, killed and begun again, cancelled, and refused for clear reasons."""

from __future__ import annotations

import io
import json
import signal
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet
import pytest

from opsrail.app import build
from opsrail.cases.loader import load_file
from opsrail.config import Config, StoreConfig
from opsrail.registry.rollout import Stage
from tests.contract.runtime import boosters
from tests.integration.web.conftest import Served
from tests.support.postgres import fresh_database
from tests.unit.models.tiny_models import tiny_bytes

FILE = """
from pydantic import BaseModel
from opsrail import Band, DecisionPoint, FeatureView, FileSource, Number, Policy, Pushed, PythonModel

class Claim(BaseModel):
    policy_id: str
    age: float

def by_age(row):
    return row["age"] / 100

rules = PythonModel("claims-rules", by_age, columns=[Number("age")])
holder = FeatureView(
    "holder", version=2, entity="policy_id", features={"claims": int, "region": str},
    source=FileSource("", entity="policy_id", event_at="as_of", written_at="as_of"),
)
risk = DecisionPoint(
    "risk", request=Claim, deadline_ms=30_000, segments=["policy_id"],
    policy=Policy([Band("approve", below=0.5), Band("review", below=1.01)]), fallback=lambda claim: "review",
)
"""
VALUES = b"policy_id,as_of,claims,region\np1,2026-01-01T00:00:00Z,1,north\np1,2026-02-01T00:00:00Z,2,north\n"
LABELS = b"policy_id,at,fraud\np1,2026-01-10T00:00:00Z,0\np1,2026-02-10T00:00:00Z,1\np9,2026-01-20T00:00:00Z,0\n"
TRAINED = "sha256:" + "a" * 64
OCTETS = {"content-type": "application/octet-stream"}
WAIT = {"prefer": "wait=30"}


class Asker:
    """Asks a served installation."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60, headers={"connection": "close"})

    def sent(self, content: bytes) -> str:
        answer = self.http.post("/v1/files", content=content, headers=OCTETS)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def done(self, path: str, body: Any) -> dict[str, Any]:
        """Ask for a job and return it once it has ended."""
        answer = self.http.post(path, json=body, headers=WAIT)
        assert answer.status_code in (200, 202), answer.text
        return self.ended(answer.headers["location"])

    def ended(self, location: str) -> dict[str, Any]:
        end_s = time.monotonic() + 60
        while time.monotonic() < end_s:
            job: dict[str, Any] = self.http.get(location).json()
            if job["state"] in ("done", "failed", "cancelled"):
                return job
            time.sleep(0.1)
        pytest.fail(f"it did not end: {job}")

    def state(self, location: str, *wanted: str) -> dict[str, Any]:
        end_s = time.monotonic() + 60
        while time.monotonic() < end_s:
            job: dict[str, Any] = self.http.get(location).json()
            if job["state"] in wanted:
                return job
            time.sleep(0.02)
        pytest.fail(f"it came to none of {wanted}: {job}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def environ(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Return the settings of a database of the test's own."""
    if request.param == "sqlite":
        yield {}
        return
    with fresh_database(request.getfixturevalue("postgres_url")) as url:
        yield {"OPSRAIL_STORE__URL": url, "OPSRAIL_STORE__ALLOW_WEAK": "true"}


@pytest.fixture
async def place(tmp_path: Path, environ: dict[str, str]) -> Path:
    """Return an author's file; a version answers in the installation beside it."""
    file = tmp_path / "claims.py"
    file.write_text(FILE)
    definitions = load_file(file)
    config = Config(store=StoreConfig(url=environ.get("OPSRAIL_STORE__URL", "")))
    async with build(config, tmp_path / "installation", definitions).opened() as app:
        (rules,) = definitions.models
        version = await app.registry.register(
            "claims-rules", rules.artifact, runtime="python", training_digest=TRAINED, by="a-test"
        )
        await app.registry.promote("risk", version, Stage.LIVE, by="a-test", reason="a test")
    return file


@pytest.fixture
def asker(serving: Callable[..., Served], place: Path, environ: dict[str, str]) -> Iterator[Asker]:
    served = serving(str(place), program="tests.integration.web.serving_file", **environ)
    yield Asker(served.url)
    status, said = served.stop()
    assert (status, "Traceback" in said) == (0, False), said


def test_everything_that_takes_long_is_done_by_jobs(asker: Asker) -> None:
    for age in range(0, 100, 5):
        decided = asker.http.post(
            "/v1/decisions/risk", json={"policy_id": f"p{age % 2}", "age": age}
        )
        assert decided.json()["verdict"] == ("approve" if age < 50 else "review")

    tested = asker.done(
        "/v1/points/risk/backtest",
        {"bands": "approve:0.25,review:1.01", "review_s": 60, "lists_changed": True},
    )
    assert tested["state"] == "done", tested
    found = tested["result"]["backtest"]
    assert (found["decisions"], found["changed"], found["people"]["now"]) == (20, 5, 15)
    listed = asker.http.get(f"/v1/jobs/{tested['id']}/file")
    assert pyarrow.parquet.read_table(io.BytesIO(listed.content)).num_rows == 5

    filled = asker.done("/v1/features/holder/2/backfill", {"file": asker.sent(VALUES)})
    assert (filled["state"], filled["result"]["backfill"]["kept"]) == ("done", 2), filled
    again = asker.done("/v1/features/holder/2/backfill", {"file": asker.sent(VALUES)})
    assert again["result"]["backfill"]["kept"] == 0

    rows, how = asker.sent(LABELS), {"views": ["holder@2"], "at_column": "at", "output": "jsonl"}
    made = asker.done(
        "/v1/training-sets", {**how, "rows": rows, "entity_columns": {"": "policy_id"}}
    )
    assert made["result"]["training_set"]["missing"] == {"claims": 1, "region": 1}, made
    lines = asker.http.get(f"/v1/jobs/{made['id']}/file").text.splitlines()
    assert [json.loads(line)["claims"] for line in lines] == [1, 2, None]

    listed_jobs = asker.http.get("/v1/jobs").json()["jobs"]
    assert [job["kind"] for job in listed_jobs] == [
        "training-set",
        "backfill",
        "backfill",
        "backtest",
    ]


def test_models_are_sent_checked_and_kept(asker: Asker) -> None:
    tiny = tiny_bytes()
    file = asker.sent(tiny)
    digest = f"sha256:{sha256(tiny).hexdigest()}"

    other = {"file": file, "training_digest": TRAINED, "digest": "sha256:" + "b" * 64}
    assert asker.http.post("/v1/models/tiny/register", json=other).status_code == 409
    kept = asker.done("/v1/models/tiny/register", {**other, "digest": digest})
    assert kept["result"]["model"]["digest"] == digest, kept
    assert asker.http.get("/v1/models/tiny/1").json()["digest"] == digest

    broken = asker.done(
        "/v1/models/broken/import",
        {"file": asker.sent(b"no model"), "ending": ".onnx", "training_digest": TRAINED},
    )
    assert (broken["state"], broken["problem"]["code"]) == ("failed", "artifact-refused")

    content = boosters.lightgbm_text()
    whole = {
        "columns": [
            {"name": "age"},
            {"name": "amount_usd", "missing": 0},
            {"name": "kind", "words": boosters.WORDS},
        ]
    }
    wish = {
        "file": asker.sent(content),
        "ending": ".txt",
        "training_digest": TRAINED,
        "signature": whole,
    }
    tried = asker.done("/v1/models/booster/import", {**wish, "is_dry_run": True})
    assert (tried["state"], tried["result"]["model"]) == ("done", None), tried
    imported = asker.done("/v1/models/booster/import", {**wish, "card": {"owner": "risk"}})
    assert (imported["result"]["model"]["number"], imported["by"]) == (1, "http:local"), imported

    nowhere = asker.http.post(
        "/v1/models/there/import-mlflow", json={"reference": "mlflow:there/1"}
    )
    assert (nowhere.status_code, "models.tracking_uri" in nowhere.json()["detail"]) == (409, True)


def test_a_file_that_changed_on_its_way_is_not_kept(asker: Asker) -> None:
    path = f"/v1/files?digest=sha256:{sha256(b'what was sent').hexdigest()}"

    assert asker.http.post(path, content=b"what arrived", headers=OCTETS).status_code == 409
    assert asker.http.post(path, content=b"what was sent", headers=OCTETS).status_code == 201
    kept = asker.http.post("/v1/files", content=b"what arrived", headers=OCTETS).json()
    gone = f"/v1/files/{kept['id']}"
    assert [asker.http.delete(gone).status_code for _ in range(2)] == [200, 404]


def test_a_job_is_cancelled_and_one_that_waits_too(asker: Asker) -> None:
    file = asker.sent(b"policy_id,as_of,claims,region\n" + many(120_000))
    body = {"file": file}
    first = asker.http.post("/v1/features/holder/2/backfill", json=body).headers["location"]
    second = asker.http.post("/v1/features/holder/2/backfill", json=body).headers["location"]
    asker.state(first, "running")

    assert asker.http.get(second).json()["state"] == "waiting"
    for location in (second, first):
        assert asker.http.post(f"{location}/cancel").json()["state"] == "cancelled"
    kept = asker.http.get(first).json()
    assert (kept["problem"]["code"], kept["result"]) == ("cancelled", None)
    assert asker.http.post(f"{first}/cancel").status_code == 409
    third = asker.done("/v1/features/holder/2/backfill", {"file": asker.sent(VALUES)})
    assert third["state"] == "done"


def test_what_is_asked_for_must_be_there(asker: Asker) -> None:
    nothing = "0" * 26
    asked: list[tuple[str, dict[str, Any], int]] = [
        ("/v1/points/other/backtest", {"bands": "a:1"}, 404),
        ("/v1/points/risk/backtest", {"bands": "a:1", "model": "none/1"}, 404),
        ("/v1/points/risk/backtest", {"bands": "a:1", "days": 0}, 422),
        ("/v1/features/none/1/backfill", {}, 404),
        ("/v1/features/holder/2/backfill", {"file": nothing}, 404),
        ("/v1/models/tiny/register", {"file": nothing, "training_digest": TRAINED}, 404),
    ]
    statuses = [asker.http.post(path, json=body).status_code for path, body, _ in asked]

    assert statuses == [status for _, _, status in asked]
    assert asker.http.get(f"/v1/jobs/{nothing}").status_code == 404
    assert asker.http.get("/v1/jobs").json()["jobs"] == []
    wrong = asker.done("/v1/points/risk/backtest", {"policy": "bands: [{verdict: a}]"})
    assert (wrong["state"], wrong["problem"]["code"]) == ("failed", "invalid-input")
    assert wrong["problem"]["faults"], wrong
    sourceless = asker.done("/v1/features/holder/2/backfill", {})
    assert "no source at hand" in sourceless["problem"]["detail"]


@pytest.mark.crash
def test_a_job_goes_on_after_its_server_was_killed(
    serving: Callable[..., Served], place: Path, environ: dict[str, str]
) -> None:
    how = {"program": "tests.integration.web.serving_file", **environ}
    served = serving(str(place), **how)
    asker = Asker(served.url)
    file = asker.sent(b"policy_id,as_of,claims,region\n" + many(20_000))
    job = asker.http.post("/v1/features/holder/2/backfill", json={"file": file})
    location = job.headers["location"]
    end_s = time.monotonic() + 60
    while not asker.http.get(location).json()["done"] and time.monotonic() < end_s:
        time.sleep(0.05)
    served.stop(signal.SIGKILL)

    asker = Asker(serving(str(place), **how).url)
    ended = asker.ended(location)
    read = asker.http.get("/v1/features/holder/2/values", params={"entity": "p19999"})

    assert (ended["state"], ended["losses"]) == ("done", 1), ended
    found = ended["result"]["backfill"]
    assert (found["rows"], found["kept"] + found["there"]) == (20_000, 20_000)
    assert found["there"] > 0  # what was kept before the crash
    assert read.json()["features"]["values"]["claims"] == 19_999


@pytest.mark.crash
def test_a_stopped_server_gives_its_job_back(
    serving: Callable[..., Served], place: Path, environ: dict[str, str]
) -> None:
    how = {"program": "tests.integration.web.serving_file", **environ}
    served = serving(str(place), **how)
    asker = Asker(served.url)
    file = asker.sent(b"policy_id,as_of,claims,region\n" + many(20_000))
    job = asker.http.post("/v1/features/holder/2/backfill", json={"file": file})
    asker.state(job.headers["location"], "running")
    status, _ = served.stop()

    ended = Asker(serving(str(place), **how).url).ended(job.headers["location"])

    assert (status, ended["state"], ended["losses"]) == (0, "done", 0)


def many(count: int) -> bytes:
    rows = (f"p{n},2026-01-01T00:00:00Z,{n},north\n" for n in range(count))
    return "".join(rows).encode()
