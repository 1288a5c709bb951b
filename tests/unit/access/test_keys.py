"""Who comes in."""

from __future__ import annotations

import pytest

from opsrail.access.addresses import host_of, is_loopback, is_same_origin
from opsrail.access.directory import Directory
from opsrail.access.keys import Gate, Unauthenticated
from opsrail.clock import SystemClock
from opsrail.errors import ConfigInvalid, Denied
from opsrail.ledger.chain import WriterChain
from opsrail.store.memory import MemoryStore

KEY = "0123456789abcdef"
ANYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens here


@pytest.mark.parametrize(
    "name", ["localhost", "Localhost", "127.0.0.1", "127.1.2.3", "::1", "0:0::1"]
)
def test_only_this_machine_reaches(name: str) -> None:
    assert is_loopback(name)


@pytest.mark.parametrize(
    "name",
    ["", ANYWHERE, "::", "10.0.0.1", "localhost.example", "2130706433", "127.1", "::ffff:8.8.8.8"],
)
def test_other_machines_reach(name: str) -> None:
    assert not is_loopback(name)


@pytest.mark.parametrize(
    ("netloc", "host"),
    [
        ("localhost:8321", "localhost"),
        ("[::1]:8321", "::1"),
        ("Host.Example", "host.example"),
        ("a:b", None),
        ("a:99999", None),
        ("user@localhost", None),
        ("localhost/path", None),
        ("[::1", None),
        ("", None),
    ],
)
def test_a_host_header_names(netloc: str, host: str | None) -> None:
    assert host_of(netloc) == host


@pytest.mark.parametrize(
    ("origin", "is_same"),
    [
        ("http://localhost:1", True),
        ("https://LOCALHOST:1", True),
        ("http://localhost:2", False),
        ("http://localhost", False),
        ("file://localhost:1", False),
        ("null", False),
        ("", False),
    ],
)
def test_an_origin_is_the_hosts_own(origin: str, is_same: bool) -> None:
    assert is_same_origin(origin, "localhost:1") is is_same


def test_the_key_opens_and_names_who_came() -> None:
    assert admitted(Gate(ANYWHERE, KEY), "POST", {"authorization": f"Bearer {KEY}"}) == "http:key"


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", f"Bearer {KEY}0", f"bearer {KEY[:-1]}", f"Digest {KEY}", KEY]
)
def test_nothing_else_opens(given: str | None) -> None:
    headers = {"host": "localhost"} if given is None else {"authorization": given}
    with pytest.raises(Unauthenticated) as refused:
        Gate("127.0.0.1", KEY).admit("GET", headers)

    assert KEY not in str(refused.value)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_changes_things_may_not_come_from_another_site(method: str) -> None:
    gate = Gate("localhost", "")
    here = {"host": "localhost:1"}

    assert admitted(gate, method, here) == "http:local"
    with pytest.raises(Denied):
        gate.admit(method, {**here, "origin": "https://example.com"})
    with pytest.raises(Denied):
        gate.admit(method, {**here, "sec-fetch-site": "cross-site"})


def test_a_link_from_another_site_may_be_followed() -> None:
    headers = {"host": "localhost:1", "sec-fetch-site": "cross-site"}

    assert admitted(Gate("localhost", ""), "GET", headers) == "http:local"


@pytest.mark.parametrize("host", ["", "evil.example", "localhost@evil.example"])
def test_a_request_under_another_name_is_refused(host: str) -> None:
    with pytest.raises(Denied):
        Gate("127.0.0.1", "").admit("GET", {"host": host})


@pytest.mark.parametrize(
    ("host", "key"), [(ANYWHERE, ""), ("::", ""), ("", ""), ("127.0.0.1", "short")]
)
def test_an_open_door_is_not_made(host: str, key: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        Gate(host, key)

    assert refused.value.faults[0].place == "web.api_key"


def test_the_settings_key_may_look_like_one_that_was_given_out() -> None:
    key = "opsrail_of_the_settings"
    store = MemoryStore(WriterChain(SystemClock()), clock=SystemClock())
    gate = Gate(ANYWHERE, key, Directory(store, SystemClock(), idle_s=60))

    assert admitted(gate, "GET", {"authorization": f"Bearer {key}"}) == "http:key"
    assert admitted(gate, "GET", {"authorization": "Bearer opsrail_another"}) is None


def admitted(gate: Gate, method: str, headers: dict[str, str]) -> str | None:
    principal = gate.admit(method, headers)
    return None if principal is None else principal.name
