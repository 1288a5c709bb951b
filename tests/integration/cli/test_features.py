"""Features on the command line: brought in, read now and then, joined to rows; killed, it goes on."""

from __future__ import annotations

import csv
import signal
import sqlite3
from contextlib import closing

import pytest

from opsrail.clock import SystemClock
from tests.integration.cli.conftest import LIMIT_S, Shell

VIEWS = """
from pydantic import BaseModel
from opsrail import Automation, Band, Case, DecisionPoint, FeatureView, FileSource, Policy, Pushed, SqlSource

class Claim(BaseModel):
    policy_id: str
    make: str

class Settled(BaseModel):
    is_fraud: bool

policyholder = FeatureView(
    "policyholder", version=2, entity="policy_id", ttl="90d",
    features={"claims": int, "region": str}, missing={"claims": 0},
    source=FileSource("values.csv", entity="policy_id", event_at="as_of", written_at="as_of"),
)
rating = FeatureView("rating", version=1, entity="policy_id", features={"rating": float}, source=SqlSource(
    "sqlite:///other.db", "SELECT id, at, r FROM ratings ORDER BY at", entity="id", event_at="at", written_at="at",
    columns={"rating": "r"},
))
history = FeatureView(
    "make-history", version=VERSION, entity="make",
    initial=lambda: {"n": 0},
    fold=lambda state, fact: {"n": state["n"] + fact["n"]},
    read=lambda state: {"make_claims": state["n"]},
    fact=lambda claim, settled: (claim.make, {"n": VERSION}),
)
risk = DecisionPoint("risk", request=Claim, deadline_ms=30_000,
    features=["policyholder@2"], policy=Policy([Band("a", below=1.01)]))
claims = Automation("claims", case=Claim, outcome=Settled, history=[history])

@claims.run
async def handle(case: Case, claim: Claim) -> Settled:
    await case.decide(risk, claim)
    return Settled(is_fraud=False)
"""
VALUES = """policy_id,as_of,claims,region
p1,2026-01-01T00:00:00Z,1,north
p1,2026-02-01T00:00:00Z,2,north
p2,2026-01-15,0,
"""
LABELS = """policy_id,make,at,is_fraud
p1,Honda,2026-01-10T00:00:00Z,0
p1,Honda,2026-02-10T00:00:00Z,1
p1,Ford,2026-09-10T00:00:00Z,1
p2,Ford,2026-01-20T00:00:00Z,0
p9,Ford,2026-01-20T00:00:00Z,0
"""
BACKFILL = ("features", "backfill")


def automation(version: int = 1) -> str:
    return VIEWS.replace("VERSION", str(version))


@pytest.fixture
def viewed(shell: Shell) -> Shell:
    """A folder whose views are served once, with the past of `policyholder` read in."""
    shell.write("claims.py", automation())
    shell.write("values.csv", VALUES)
    shell.write("labels.csv", LABELS)
    read_in = shell(*BACKFILL, "policyholder@2", "--file", "claims.py", "--json")
    assert (read_in.status, read_in.json["kept"]) == (0, 3), read_in
    return shell


def test_features_are_read_in_read_and_joined(viewed: Shell) -> None:
    listed = viewed("features", "list", "--json").json["views"]
    shown = viewed("features", "show", "policyholder@2", "--json").json["view"]
    then = viewed(
        "features", "get", "policyholder@2", "p1", "--at", "2026-01-05T00:00:00Z", "--json"
    )
    now = viewed("features", "get", "policyholder@2", "p1")
    columns = ("--entity-column", "policy_id", "--at-column", "at", "--output", "train.csv")
    made = viewed(
        "features",
        "training-set",
        "--views",
        "policyholder@2",
        "--rows",
        "labels.csv",
        *columns,
        "--json",
    )

    absent = ("--entity-column", "holder", "--at-column", "moment", "--output", "train.parquet")
    lacking = viewed(
        "features", "training-set", "--views", "policyholder@2", "--rows", "labels.csv", *absent
    )

    assert "holder: the rows have no such column" in lacking.err
    assert "moment: the rows have no such column" in lacking.err
    assert not (viewed.folder / "train.parquet").exists()
    assert [(one["name"], one["version"]) for one in listed] == [
        ("make-history", 1),
        ("policyholder", 2),
        ("rating", 1),
    ]
    assert (shown["rows"], shown["definition"]["ttl_ms"]) == (3, 90 * 86_400_000)
    assert then.json["features"]["values"] == {"claims": 1, "region": "north"}
    assert "is too old" in now.err
    assert made.json["features"] == ["claims", "region"]
    with (viewed.folder / "train.csv").open() as file:
        rows = [(row["claims"], row["region"], row["is_fraud"]) for row in csv.DictReader(file)]
    assert rows == [
        ("1", "north", "0"),
        ("2", "north", "1"),
        ("0", "", "1"),
        ("0", "", "0"),
        ("0", "", "0"),
    ]


def test_a_push_corrects_and_is_repeated_without_harm(viewed: Shell) -> None:
    one = ("features", "push", "policyholder@2", "--entity", "p7", "--event-at", "2026-01-01")
    kept = viewed(*one, "claims=3", "region=west", "--json").json
    again = viewed(*one, "claims=3", "region=west", "--json").json
    wrong = viewed(*one, "claims=three", "colour=red")
    viewed.write("bad.csv", VALUES.replace("2026-01-15,0", "2026-01-15,x"))
    many = viewed("features", "push", "policyholder@2", "--input", "bad.csv", "--json")

    sourceless = viewed(*BACKFILL, "rating@1")

    assert (kept["kept"], again["kept"], again["there"]) == (1, 0, 1)
    assert "rating@1 has no source at hand" in sourceless.err
    assert wrong.status == 1
    for told in ("values.claims", "values.colour", "values.region"):
        assert told in wrong.err
    assert [fault["place"] for fault in many.json["error"]["faults"]] == ["values[2].values.claims"]


def test_another_database_is_read_in(viewed: Shell) -> None:
    with closing(sqlite3.connect(viewed.folder / "other.db")) as other:
        other.execute("CREATE TABLE ratings (id TEXT, at TEXT, r REAL)")
        other.executemany(
            "INSERT INTO ratings VALUES (?, ?, ?)",
            [("p1", "2026-01-01", 0.5), ("p1", "2026-02-01", None)],
        )
        other.commit()
    done = [viewed(*BACKFILL, "rating@1", "--file", "claims.py", "--json").json for _ in range(2)]
    then = viewed("features", "get", "rating@1", "p1", "--at", "2026-01-15", "--json").json

    assert [(one["kept"], one["there"]) for one in done] == [(2, 0), (0, 2)]
    assert then["features"]["values"] == {"rating": 0.5}


def test_settled_cases_teach_the_next_version_and_a_changed_one_is_refused(viewed: Shell) -> None:
    viewed.write("rows.csv", "policy_id,make\np1,Honda\np2,Honda\np3,Ford\n")
    ran = viewed("run", "claims.py", "--input", "rows.csv", "--json")
    changed = viewed.write("changed.py", automation().replace('{"n": 1}', '{"n": 9}'))
    refused = viewed("run", changed.name, "--input", "rows.csv")
    viewed.write("claims2.py", automation(2))
    done = [
        viewed(*BACKFILL, "make-history@2", "--cases", "--file", "claims2.py", "--json").json
        for _ in range(2)
    ]
    get = ("features", "get", "make-history@2", "Honda", "--file", "claims2.py", "--json")

    assert ran.status == 0, ran
    assert refused.status == 1
    assert (
        "make-history@1: its code changed since it was first served; give it version 2"
        in refused.err
    )
    assert [(one["rows"], one["kept"]) for one in done] == [(3, 3), (3, 0)]
    assert viewed(*get).json["features"]["values"] == {"make_claims": 4}


@pytest.mark.crash
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_backfill_that_is_ended_goes_on_and_takes_nothing_twice(
    viewed: Shell, how: signal.Signals
) -> None:
    count = 60_000
    rows = "".join(f"p{n},2026-03-01,{n % 9},north\n" for n in range(count))
    viewed.write("big.csv", f"policy_id,as_of,claims,region\n{rows}")
    call = (*BACKFILL, "policyholder@2", "--from", "big.csv", "--json")
    begun = viewed.begin(*call)
    wait_until_some_are_kept(viewed, 4_000)
    begun.send_signal(how)
    said = begun.communicate(timeout=LIMIT_S)[1]

    rest = viewed(*call).json

    if how == signal.SIGINT:
        assert begun.returncode == 130
        assert "what was kept stays. Run it again to go on" in said
    assert 0 < rest["there"] < count
    assert rest["kept"] + rest["there"] == count
    assert viewed("features", "show", "policyholder@2", "--json").json["view"]["rows"] == count + 3


def wait_until_some_are_kept(shell: Shell, least: int) -> None:
    clock = SystemClock()
    until_s = clock.monotonic_s() + 60
    while clock.monotonic_s() < until_s:
        with closing(sqlite3.connect(shell.folder / "opsrail-data" / "opsrail.db")) as database:
            if database.execute("SELECT count(*) FROM feature_values").fetchone()[0] > least:
                return
    raise AssertionError("nothing was kept")
