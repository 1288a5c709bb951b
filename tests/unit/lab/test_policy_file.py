"""A policy in a YAML file, and all that can be wrong with one, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsrail.decide.policy import Band
from opsrail.errors import InvalidInput
from opsrail.lab.conditions import Comparison, Group
from opsrail.lab.judging import KEEP, DataPolicy, DataRule
from opsrail.lab.policy_file import policy_of, read_policy

BANDS = "bands: [{verdict: approve, below: 0.03}, {verdict: review, below: 1.01}]\n"


def faults(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as told:
        policy_of(text)
    return [str(fault) for fault in told.value.faults]


def test_a_whole_policy_is_read() -> None:
    policy, lines = policy_of("""
bands:
  - {verdict: approve, below: 0.03}
  - {verdict: review, below: 1.01}
on_unknown: none
without_score: review
rules:
  - name: dear
    verdict: decline
    reason: It is dear.
    when:
      all:
        - {field: amount, operator: ">", value: 10000}
        - not: {field: country, operator: in, value: [CH, LI]}
""")
    at = ("rules", 0, "when", "all")
    inner = Comparison("country", "in", ["CH", "LI"], (*at, 1, "not"))
    when = Group("all", (Comparison("amount", ">", 10000, (*at, 0)), Group("not", (inner,))))

    assert policy == DataPolicy(
        (Band("approve", 0.03), Band("review", 1.01)),
        (DataRule("dear", "decline", when),),
        without_score="review",
        on_unknown=None,
    )
    assert lines[*at, 1] == 14


def test_what_is_not_said_is_kept() -> None:
    policy, _ = policy_of(BANDS)

    assert (policy.rules, policy.without_score, policy.on_unknown, policy.on_error) == (KEEP,) * 4


def test_all_faults_are_told_at_once_with_their_lines() -> None:
    assert faults("""bands:
  - {verdict: approve, below: x}
  - {below: 0.2}
rulez: 3
on_error: 5
rules:
  - name: dear
    verdict: 3
    when: {any: [{field: amount, operator: "~", value: 1}]}
  - name: dear
    verdict: a
    when: {field: x, operator: in, value: 3}
  - name: both
    verdict: a
    when: {all: [], field: x}
    name: again
""") == [
        "line 16, rules[2].name: stands twice",
        "line 4, rulez: is not known here; there are bands, rules, without_score, on_unknown, on_error, review",
        "line 2, bands[0].below: 'x' is not a number",
        "line 3, bands[1]: has no verdict",
        "line 8, rules[0].verdict: 3 is not a text",
        "line 9, rules[0].when.any[0].operator: '~' is none of =, !=, <, <=, >, >=, in, not in, missing",
        "line 10, rules[1].name: 'dear' stands twice; a reason must name one rule",
        "line 12, rules[1].when.value: 3 is not a list of numbers or texts, which 'in' takes",
        "line 15, rules[2].when: 'all' stands alone, or a field with operator and value",
        "line 5, on_error: 5 is not a text",
    ]  # fmt: skip


def test_bands_that_leave_a_score_without_a_verdict_are_told_where_they_stand() -> None:
    assert faults("bands:\n  - {verdict: a, below: 0.3}\n  - {verdict: b, below: 0.2}\n") == [
        "line 3, bands[1]: below=0.2 is not above 0.3, where the band starts; sort the bands by `below`",
        "line 2, bands: scores from 0.3 to 1 have no band; the last `below` must be above 1, e.g. 1.01",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is no YAML"),
        ("", "must be an object of bands"),
        ("- 1", "must be an object of bands"),
        ("bands: &b []\nrules: *b", "aliases"),
        ("bands: " + "[" * 5_000, "is no YAML"),
        ("bands: " + "[" * 60 + "]" * 60, "nested deeper"),
        (
            BANDS + "rules: [{name: a, verdict: b, when: {field: x, operator: missing, value: 1}}]",
            "true or false",
        ),
        (
            BANDS + "rules: [{name: a, verdict: b, when: {field: x}}]",
            "has no operator and no value",
        ),
        (BANDS + "rules: 3", "must be a list"),
        ("!!python/object/apply:os.system ['true']", "is no YAML"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, told: str) -> None:
    assert told in " ".join(faults(text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    for content, told in (
        (b"\xff", "is not UTF-8"),
        (b" " * 1_000_001, "is larger than"),
        (b"x: 1", "cannot be used as a policy"),
    ):
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match=f"new.yaml {told}"):
            read_policy(path)
    path.write_text(BANDS)
    assert read_policy(path)[0].bands[0] == Band("approve", 0.03)
