"""`opsrail changes` as people call it, beside a server that goes by what they agreed on."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.cli.conftest import Shell
from tests.support.forking import Forking

SOON_S, LIMIT_S = 6.0, 30.0
"""A second, and what a busy machine adds; and where a change that is never seen is given up. Ours."""
AUTOMATION = """
from pydantic import BaseModel
from opsrail import Automation, Band, Case, DecisionPoint, Number, Policy, PythonModel

class Loan(BaseModel):
    amount_usd: float
    branch: str = "north"

class Outcome(BaseModel):
    verdict: str

def by_amount(row):
    return min(1.0, row["amount_usd"] / 100_000)

def by_half(row):
    return min(1.0, row["amount_usd"] / 200_000)

risk = DecisionPoint(
    "loan-risk", request=Loan, deadline_ms=30_000, impact="high",
    policy=Policy(bands=[Band("pay", below=0.5), Band("review", below=1.01)]),
)
one = PythonModel("loan-rules", by_amount, columns=[Number("amount_usd")])
two = PythonModel("loan-halves", by_half, columns=[Number("amount_usd")])
loans = Automation("loans", case=Loan, outcome=Outcome)

@loans.run
async def handle(case: Case, loan: Loan) -> Outcome:
    decision = await case.decide(risk, loan)
    if decision.verdict == "review":
        return Outcome(verdict=(await case.review("desk", decision)).verdict)
    return Outcome(verdict=decision.verdict)
"""


class Served:
    """A running `opsrail serve`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, amount_usd: float, branch: str = "north") -> dict[str, Any]:
        return self._post("/v1/decisions/loan-risk", amount_usd=amount_usd, branch=branch)

    def case(self, amount_usd: float) -> dict[str, Any]:
        return self._post("/v1/cases/loans", amount_usd=amount_usd)

    def leave(self, level: str) -> None:
        """Plan, approve and apply a change of autonomy, and wait until it holds."""
        wish = {"point": "loan-risk", "kind": "autonomy", "content": {"level": level}}
        change = self._post("/v1/changes", **wish, by="ann", reason="better")
        for by in ("bob", "cleo"):
            self._post(f"/v1/changes/{change['id']}/approve", by=by)
        self._post(f"/v1/changes/{change['id']}/apply", by="ann")
        self.until("autonomy", level)

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Prefer": "wait=10"}
        content = json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, content, headers)  # noqa: S310 - our own
        with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310 - our own
            told: dict[str, Any] = json.loads(answer.read())
        return told

    def until(self, key: str, value: object, amount_usd: float = 10) -> float:
        """Ask until the answers hold a value; return how long that took, s."""
        begun_s = time.monotonic()
        while self.ask(amount_usd)[key] != value:
            assert time.monotonic() - begun_s < LIMIT_S
        return time.monotonic() - begun_s


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, forks: Forking) -> Iterator[Shell]:
    """One folder for all tests here: starting a server and importing models takes seconds."""
    shell = Shell(tmp_path_factory.mktemp("loans"), forks)
    shell.write("automation.py", AUTOMATION)
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def served(shell: Shell) -> Iterator[Served]:
    process = shell.begin("serve", "automation.py", "--port", "0", "--json")
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1].strip() != "}":
        lines.append(process.stdout.readline())
        assert lines[-1], process.communicate()
    for name in ("loan-rules", "loan-halves"):
        assert shell("models", "import", "automation.py", "--name", name).status == 0
    live = ("loan-rules", "1", "--stage", "live")
    promoted = shell("models", "promote", "loan-risk", *live, "--reason", "first")
    assert promoted.status == 0, promoted.err
    yield Served(json.loads("".join(lines))["url"])
    process.terminate()
    process.communicate(timeout=30)


def agreed(shell: Shell, *what: str) -> str:
    """Plan a change, have two people agree, apply it; return its id."""
    planned = shell("changes", "plan", "loan-risk", *what, "--reason", "better", "--by", "ann", "--json")  # fmt: skip
    assert planned.status == 0, planned.out
    change = planned.json["change"]
    for by in ("bob", "cleo"):
        said = shell("changes", "approve", change["id"], "--by", by, "--json")
        assert said.status == 0, said.out
    applied = shell("changes", "apply", change["id"], "--by", "ann", "--json")
    assert applied.json["change"]["state"] == "applied"
    return str(change["id"])


def test_a_change_made_in_another_process_soon_holds_here_and_so_does_its_roll_back(
    shell: Shell, served: Served
) -> None:
    before = shell("changes", "list", "--state", "rolled-back", "--json").json["changes"]
    assert served.ask(10)["verdict"] == "pay"
    refused = shell(
        "models", "promote", "loan-risk", "loan-halves", "1", "--stage", "live", "--reason", "x", "--json"
    )  # fmt: skip
    dry = shell(
        "changes", "plan", "loan-risk", "--bands", "pay:0.00001,review:1.01", "--reason", "x", "--dry-run",
        "--file", "automation.py", "--json",
    )  # fmt: skip
    strange = shell(
        "changes", "plan", "loan-risk", "--bands", "pay:0.5,desk:1.01", "--reason", "x", "--dry-run", "--json"
    )  # fmt: skip
    change_id = agreed(shell, "--bands", "pay:0.00001,review:1.01")
    took_s = served.until("verdict", "review")
    rolled = shell("changes", "rollback", change_id, "--reason", "too strict", "--by", "dan", "--json")  # fmt: skip
    back_s = served.until("verdict", "pay")
    listed = shell("changes", "list", "--state", "rolled-back", "--json").json["changes"]

    assert (refused.status, refused.json["error"]["code"]) == (1, "denied")
    [move] = dry.json["change"]["affected"]["moves"]
    assert (move["from"], move["to"], move["count"] >= 1) == ("pay", "review", True)
    assert dry.json["change"]["tier"] == "high"
    assert not any("the code calls it" in risk for risk in dry.json["change"]["risks"])
    assert (
        "None of the last 1 decisions said 'desk': is that what the code calls it?"
        in strange.json["change"]["risks"]
    )
    assert (rolled.json["change"]["state"], rolled.json["change"]["ended_by"]) == ("rolled-back", "dan")  # fmt: skip
    assert max(took_s, back_s) < SOON_S
    assert [one["id"] for one in listed if one not in before] == [change_id]


def test_people_confirm_in_assist_and_are_told_nothing_in_observe(
    shell: Shell, served: Served
) -> None:
    served.leave("assist")
    served.case(20)
    [asked] = shell("reviews", "list", "--json").json["reviews"]
    silent = shell("reviews", "rule", asked["id"], "decline", "--by", "eve", "--json")
    ruled = shell("reviews", "rule", asked["id"], "decline", "--by", "eve", "--reason", "a copy", "--json")  # fmt: skip
    served.leave("observe")
    served.case(30)
    [blind] = shell("reviews", "list", "--json").json["reviews"]
    shown = shell("reviews", "show", blind["id"], "--json").json["review"]["subject"]["decision"]
    told = shell("reviews", "show", blind["id"])
    free = shell("reviews", "rule", blind["id"], "decline", "--by", "eve", "--json")
    served.leave("automate")  # as it was for whoever comes next

    assert asked["verdict"] == "pay"
    assert (silent.status, silent.json["error"]["code"]) == (1, "invalid-input")
    assert (ruled.status, free.status) == (0, 0)
    assert blind["verdict"] is None
    assert (shown["score"], shown["proposed"], shown["verdict"]) == (None, None, "review")
    assert told.status == 0
    assert "is not shown to those who decide" in told.out
    assert "'pay'" not in told.out


def test_a_plan_explains_itself_and_a_wrong_call_says_what_to_do(
    shell: Shell, served: Served
) -> None:
    planned = shell(
        "changes", "plan", "loan-risk", "--promote", "loan-halves/1", "--step", "10%:10m", "--step", "0.5:1h",
        "--reason", "better", "--by", "ann",
    )  # fmt: skip
    assert planned.status == 0, planned.err
    both = shell("changes", "plan", "loan-risk", "--bands", "code", "--deadline", "1s", "--reason", "x")  # fmt: skip
    stray = shell("changes", "plan", "loan-risk", "--deadline", "1s", "--step", "0.1:1m", "--reason", "x")  # fmt: skip
    change_id = shell("changes", "list", "--json").json["changes"][0]["id"]
    own = shell("changes", "approve", change_id, "--by", "Ann")
    first = shell("changes", "approve", change_id, "--by", "bob")
    second = shell("changes", "approve", change_id, "--by", "cleo")
    withdrawn = shell("changes", "withdraw", change_id, "--reason", "no", "--by", "ann")
    explained = shell("changes", "explain", change_id)

    assert planned.out.splitlines()[0] == (
        "loan-risk: loan-halves/1 becomes live in steps: 10% for 600 s, 50% for 3600 s; now: live loan-rules/1."
    )
    assert "2 people other than ann must agree; 2 still missing." in planned.out
    assert (both.status, stray.status) == (2, 2)
    assert (own.status, "nobody approves their own change" in own.err) == (1, True)
    assert "1 more must agree" in first.out
    assert f"opsrail changes apply {change_id}" in second.out
    assert (withdrawn.status, "is withdrawn" in explained.out) == (0, True)
