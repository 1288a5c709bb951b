"""Every error has its HTTP answer, and none tells what goes on inside."""

from __future__ import annotations

import inspect
import json

import pytest

from opsrail import errors
from opsrail.access.keys import Unauthenticated
from opsrail.web import problems
from opsrail.web.problems import PROBLEMS, Malformed, catalogue, respond, status_of

ERRORS = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, errors.OpsrailError)
]
OWN = [
    member
    for _, member in inspect.getmembers(problems, inspect.isclass)
    if issubclass(member, errors.OpsrailError)
]


@pytest.mark.parametrize("error", [*ERRORS, *OWN], ids=lambda error: error.__name__)
def test_an_error_has_a_row(error: type[Exception]) -> None:
    assert error in PROBLEMS


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInput, 422),
        (errors.NotFound, 404),
        (errors.KeyReused, 422),
        (errors.InFlight, 409),
        (errors.AlreadyRuled, 409),
        (errors.StaleWrite, 409),
        (errors.Conflict, 409),
        (errors.Denied, 403),
        (Unauthenticated, 401),
        (errors.Overloaded, 503),
        (errors.StoreUnavailable, 503),
        (errors.Fenced, 503),
        (errors.AuthorError, 500),
        (Malformed, 400),
        (KeyError, 500),
        (ExceptionGroup, 500),
    ],
)
def test_an_error_is_answered_with(error: type[Exception], status: int) -> None:
    assert status_of(error) == status


def test_a_subclass_that_nobody_listed_is_answered_as_its_parent() -> None:
    class Odd(errors.AlreadyRuled):
        pass

    assert status_of(Odd) == 409


@pytest.mark.parametrize(
    "error", [errors.StoreUnavailable, errors.NotDurable, errors.ConfigInvalid, OSError]
)
def test_what_went_wrong_inside_is_not_told(error: type[Exception]) -> None:
    answer = respond(error("/var/lib/secret.db is full"))

    assert b"secret" not in bytes(answer.body)
    assert answer.status_code >= 500


def test_every_fault_of_an_input_is_told_with_its_place() -> None:
    faults = [errors.Fault("age", "is negative"), errors.Fault("name", "is empty")]
    body = json.loads(bytes(respond(errors.InvalidInput("the claim is wrong", faults)).body))

    assert body["detail"] == "the claim is wrong"
    assert body["faults"] == [
        {"place": "age", "message": "is negative"},
        {"place": "name", "message": "is empty"},
    ]


def test_a_problem_has_the_members_of_rfc_9457() -> None:
    answer = respond(errors.NotFound("no case x"))
    body = json.loads(bytes(answer.body))

    assert answer.headers["content-type"] == "application/problem+json"
    assert body == {
        "type": "urn:opsrail:problem:not-found",
        "title": "Not found",
        "status": 404,
        "detail": "no case x",
        "code": "not-found",
        "correlation_id": "",
    }


@pytest.mark.parametrize(("after_s", "told"), [(None, "1"), (0.2, "1"), (2.0, "2"), (2.1, "3")])
def test_what_is_down_says_when_to_try_again(after_s: float | None, told: str) -> None:
    answer = respond(errors.Overloaded("full", after_s=after_s))

    assert answer.headers["retry-after"] == told
    assert json.loads(bytes(answer.body))["retry_after_s"] == int(told)


def test_more_than_a_hundred_faults_are_cut() -> None:
    faults = [errors.Fault(str(number), "is wrong") for number in range(1000)]

    assert len(json.loads(bytes(respond(errors.InvalidInput("no", faults)).body))["faults"]) == 100


@pytest.mark.parametrize("error", [errors.KeyReused, errors.InFlight, Malformed, KeyError])
def test_a_problem_leads_to_what_it_means(error: type[Exception]) -> None:
    answer = respond(error("k-1"))
    code = json.loads(bytes(answer.body))["code"]

    assert answer.headers["link"] == f'</v1/problems#/problems/{code}>; rel="describedby"'
    assert catalogue()[code]["status"] == answer.status_code


@pytest.mark.parametrize(
    ("package", "extra"),
    [("pyarrow.parquet", "lab"), ("psycopg", "postgres"), ("PIL", "documents")],
)
def test_a_package_that_is_not_installed_is_told_with_the_line_that_installs_it(
    package: str, extra: str
) -> None:
    answer = respond(ModuleNotFoundError(f"No module named {package!r}", name=package))
    told = json.loads(bytes(answer.body))

    assert (answer.status_code, told["code"]) == (500, "missing-extra")
    assert f"pip install 'opsrail[{extra}]'" in told["detail"]


def test_a_module_of_our_own_that_is_missing_is_a_fault_of_ours() -> None:
    missing = ModuleNotFoundError("No module named 'opsrail.gone'", name="opsrail.gone")

    assert json.loads(bytes(respond(missing).body))["code"] == "internal"
