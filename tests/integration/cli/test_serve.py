from __future__ import annotations

import json
import signal
import urllib.request

from tests.integration.cli.conftest import Shell


def test_a_served_case_is_waited_for_ruled_and_settled_from_other_processes(shell: Shell) -> None:
    server = shell.begin("serve", "automation.py", "--port", "0", "--json")
    assert server.stdout is not None
    url = json.loads("".join(iter(server.stdout.readline, "}\n")) + "}")["url"]
    request = urllib.request.Request(  # noqa: S310 - the server this test began
        f"{url}/v1/cases/orders",
        data=json.dumps({"order": "O-1", "amount": 900}).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": "k-1"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - as above
        case = json.load(response)["id"]

    reviews = []
    reviews = shell.reviews(1)
    ruled = shell("reviews", "rule", reviews[0]["id"], "approve", "--by", "ana")
    waited = shell("cases", "wait", case, "--timeout", "60s", "--json")
    server.send_signal(signal.SIGTERM)
    _, err = server.communicate(timeout=60)

    assert ruled.status == 0
    assert (waited.status, waited.json["cases"][0]["outcome"]) == (0, {"by": "ana"})
    assert (server.returncode, err) == (0, "")
    assert shell.paid() == ["O-1"]


def test_listening_to_others_without_a_key_is_refused(shell: Shell) -> None:
    ended = shell("serve", "automation.py", "--host", "0.0.0.0", "--port", "0", "--json")  # noqa: S104 - refused

    assert (ended.status, ended.json["error"]["code"]) == (1, "config-invalid")
    assert "web.api_key" in ended.out


def test_a_wait_whose_time_is_over_has_status_1(shell: Shell) -> None:
    shell.orders(1, amount=900)
    shell.run("orders.csv")
    case = shell("cases", "list", "--json").json["cases"][0]["id"]

    waited = shell("cases", "wait", case, "--timeout", "0s", "--json")

    assert (waited.status, waited.json["cases"][0]["state"]) == (1, "waiting")
