"""Judging columns is judging rows: whatever policy, request and score."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import numpy as np
import pyarrow
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from opsrail.decide.policy import Band, NoScore, Policy, Rule
from opsrail.errors import InvalidInput
from opsrail.lab.conditions import Comparison, Condition, Group, met
from opsrail.lab.judging import DataPolicy, DataRule, judged
from opsrail.lab.records import flat
from opsrail.lab.rescoring import encoded
from opsrail.values.columns import Category, Column, Number, encode
from opsrail.values.models import Score

VERDICTS = ("approve", "review", "decline")
SCORE = st.one_of(st.none(), st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
NUMBERS = st.one_of(st.none(), st.integers(-3, 3), st.sampled_from([0.5, -1.5]))
WORDS = st.one_of(st.none(), st.sampled_from(["a", "b", "ü"]))


class Facts(BaseModel):
    x: float | None
    w: str | None


@st.composite
def bands(draw: st.DrawFn) -> tuple[Band, ...]:
    edges = sorted(draw(st.sets(st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]), max_size=3)))
    return tuple(Band(draw(st.sampled_from(VERDICTS)), below) for below in [*edges, 1.01])


TESTS = st.one_of(
    st.builds(
        Comparison,
        st.just("x"),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        st.integers(-2, 2),
    ),
    st.builds(Comparison, st.just("w"), st.sampled_from(["=", "!="]), st.sampled_from(["a", "z"])),
    st.builds(Comparison, st.just("w"), st.sampled_from(["in", "not in"]), st.just(["a", "ü"])),
    st.builds(Comparison, st.sampled_from(["x", "w"]), st.just("missing"), st.booleans()),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(
            lambda parts: Group("all", tuple(parts)), st.lists(inner, min_size=1, max_size=3)
        ),
        st.builds(
            lambda parts: Group("any", tuple(parts)), st.lists(inner, min_size=1, max_size=3)
        ),
        st.builds(lambda part: Group("not", (part,)), inner),
    ),
    max_leaves=5,
)


def holds(condition: Condition, row: dict[str, Any]) -> bool:
    """Say what a condition means, one row at a time."""
    if isinstance(condition, Group):
        found = [holds(part, row) for part in condition.parts]
        return {"all": all(found), "any": any(found), "not": not found[0]}[condition.word]
    value, wanted = row[condition.field], condition.value
    if condition.operator == "missing":
        return bool((value is None) == wanted)
    if value is None:
        return False
    compared: dict[str, Callable[[Any, Any], bool]] = {
        "=": eq,
        "!=": ne,
        "<": lt,
        "<=": le,
        ">": gt,
        ">=": ge,
        "in": lambda one, several: one in several,
        "not in": lambda one, several: one not in several,
    }
    return compared[condition.operator](value, wanted)


def table_of(rows: list[dict[str, Any]]) -> pyarrow.Table:
    return pyarrow.table({f"facts.{name}": column for name, column in flat(rows)})


@given(
    rows=st.lists(st.fixed_dictionaries({"x": NUMBERS, "w": WORDS}), min_size=1, max_size=20),
    condition=CONDITIONS,
)
def test_a_condition_means_the_same_for_many_rows(
    rows: list[dict[str, Any]], condition: Condition
) -> None:
    assert met(condition, table_of(rows)).tolist() == [holds(condition, row) for row in rows]


@given(
    rows=st.lists(
        st.tuples(st.fixed_dictionaries({"x": NUMBERS, "w": WORDS}), SCORE, st.booleans()),
        min_size=1,
        max_size=20,
    ),
    bands=bands(),
    conditions=st.lists(st.tuples(CONDITIONS, st.sampled_from(VERDICTS)), max_size=3),
    on_unknown=st.one_of(st.none(), st.sampled_from(VERDICTS)),
    silent=st.sampled_from(VERDICTS),
)
def test_a_policy_as_data_says_what_the_same_policy_in_code_says(
    rows: list[tuple[dict[str, Any], float | None, bool]],
    bands: tuple[Band, ...],
    conditions: list[tuple[Condition, str]],
    on_unknown: str | None,
    silent: str,
) -> None:
    data = DataPolicy(
        bands,
        tuple(DataRule(f"r{n}", verdict, when) for n, (when, verdict) in enumerate(conditions)),
        without_score=silent,
        on_unknown=on_unknown,
    )
    rules = [rule_of(f"r{n}", when, verdict) for n, (when, verdict) in enumerate(conditions)]
    code = Policy[Facts](bands, rules, on_unknown=on_unknown, without_score=silent)
    table, scores, unknown = recorded(rows)
    found = judged(data, table, scores, unknown).verdicts.tolist()

    assert found == [judge(code, row, score, flagged) for row, score, flagged in rows]


@given(
    rows=st.lists(
        st.tuples(st.fixed_dictionaries({"x": NUMBERS, "w": WORDS}), SCORE, st.booleans()),
        min_size=1,
        max_size=20,
    ),
    old=bands(),
    new=bands(),
    condition=CONDITIONS,
    on_unknown=st.one_of(st.none(), st.sampled_from(VERDICTS)),
)
def test_rules_that_are_kept_say_what_they_would_say_again(
    rows: list[tuple[dict[str, Any], float | None, bool]],
    old: tuple[Band, ...],
    new: tuple[Band, ...],
    condition: Condition,
    on_unknown: str | None,
) -> None:
    rule = rule_of("r", condition, "decline")
    before = Policy[Facts](old, [rule], on_unknown=on_unknown)
    after = Policy[Facts](new, [rule], on_unknown=on_unknown)
    table, scores, unknown = recorded(rows, before)
    found = judged(DataPolicy(new, on_unknown=on_unknown), table, scores, unknown).verdicts.tolist()
    kept = judged(DataPolicy(new), table, scores, unknown).verdicts.tolist()

    wanted = [judge(after, row, score, flagged) for row, score, flagged in rows]
    assert found == wanted
    assert kept == wanted


def rule_of(name: str, when: Condition, verdict: str) -> Rule[Facts]:
    return Rule[Facts](name, lambda facts: holds(when, dict(facts)), verdict, "So.")


def score_of(score: float | None, flagged: bool) -> Score | NoScore:
    if score is None:
        return NoScore("model-unavailable", "None.")
    return Score(score, 0.5, "sha256:0", ("x",) if flagged else ())


def judge(policy: Policy[Facts], row: dict[str, Any], score: float | None, flagged: bool) -> str:
    return policy.judge(Facts(**row), score_of(score, flagged)).verdict


def recorded(
    rows: list[tuple[dict[str, Any], float | None, bool]], policy: Policy[Facts] | None = None
) -> tuple[pyarrow.Table, Any, Any]:
    """Return rows as a history has them, decided by a policy."""
    decided = policy or Policy[Facts]([Band("approve", 1.01)])
    said = [decided.judge(Facts(**row), score_of(score, flag)) for row, score, flag in rows]
    table = table_of([row for row, _, _ in rows])
    more = {
        "score": pyarrow.array([score for _, score, _ in rows], pyarrow.float64()),
        "verdict": pyarrow.array([one.verdict for one in said]),
        "policy_source": pyarrow.array([one.reasons[0].source for one in said]),
        "policy_code": pyarrow.array([one.reasons[0].code for one in said]),
    }
    for name, column in more.items():
        table = table.append_column(name, column)
    scores = np.array([math.nan if score is None else score for _, score, _ in rows])
    unknown = np.array([flag and score is not None for _, score, flag in rows])
    return table, scores, unknown


def test_of_numbers_that_a_record_has_as_text_what_is_missing_stands_in_and_what_is_none_is_refused() -> (
    None
):
    table = pyarrow.table({"facts.x": ["1.5", None, "true", "no"]})

    numbers, is_unknown, is_refused = encoded([Number("x", -1.0)], table, "float64")

    assert numbers[:, 0].tolist() == [1.5, -1.0, 1.0, 0.0]
    assert is_unknown.tolist() == [False, True, False, False]
    assert is_refused.tolist() == [False, False, False, True]


COLUMNS = st.one_of(
    st.builds(Number, st.just("x"), st.sampled_from([None, math.nan, -1.0, 0.0])),
    st.builds(
        Category, st.just("w"), st.just({"a": 0.0, "b": 1.0}), st.sampled_from([-1.0, math.nan])
    ),
)


@given(
    columns=st.lists(COLUMNS, min_size=1, max_size=3),
    rows=st.lists(
        st.fixed_dictionaries(
            {"x": NUMBERS | st.booleans() | st.sampled_from([1e39, -4e38, 0.1]), "w": WORDS}
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_columns_make_the_same_numbers_of_many_rows_as_of_each(
    columns: list[Column], rows: list[dict[str, Any]]
) -> None:
    numbers, is_unknown, is_refused = encoded(columns, table_of(rows), "float64")
    for place, row in enumerate(rows):
        try:
            (alone,) = encode(columns, [row], model="m")
        except InvalidInput:
            assert is_refused[place]
            continue
        assert not is_refused[place]
        assert np.array_equal(numbers[place], alone, equal_nan=True)
        assert is_unknown[place] == any(
            column.missing is not None
            and (number == column.missing or (math.isnan(number) and math.isnan(column.missing)))
            for column, number in zip(columns, alone, strict=True)
        )
