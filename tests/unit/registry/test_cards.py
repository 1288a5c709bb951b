"""Cards: what is told, what is missing and shown so, a better wording, and what no wording changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from opsrail.errors import Conflict, InvalidInput
from opsrail.ledger.book import entries_about
from opsrail.registry.card_book import CardBook, CardView
from opsrail.registry.card_page import markdown, text
from opsrail.registry.cards import FACTS, MISSING, SECTIONS, gaps, parse_card
from opsrail.values.models import ModelVersion
from opsrail.values.registry import CardRow, ModelVersionRow
from opsrail.values.rows import Insert
from tests.support.decisions import Road, linear

WHOLE: dict[str, Any] = {
    "owner": "Claims analytics",
    "licence": "proprietary",
    "code_revision": "8f3a1c2",
    "risk_tier": "high",
    **dict.fromkeys(SECTIONS, "Told."),
}
YAML = b"""\
owner: Claims analytics
risk_tier: medium
model_details:
  made: 2026-05-03
  kind: gradient boosting, 200 trees
factors: [age, area]
intended_use: |
  Ranks vehicle claims.
  Not for pricing.
"""


def view_of(card: dict[str, Any]) -> CardView:
    version = ModelVersion(
        "fraud", 7, "sha256:aa", "onnx", "sha256:bb", {"auc": 0.763}, card, 1_000
    )
    return CardView(version, card, 0, None, None, 1_000)


def test_what_a_card_does_not_tell_is_a_gap() -> None:
    assert gaps({}) == [*FACTS, *SECTIONS]
    assert gaps(WHOLE) == []
    assert gaps({**WHOLE, "caveats": "", "factors": []}) == ["factors", "caveats"]


@pytest.mark.parametrize("render", [markdown, text])
def test_gaps_stand_where_the_telling_would(render: Any) -> None:
    bare, whole = render(view_of({})), render(view_of(WHOLE))

    assert bare.count(MISSING) == len(FACTS) + len(SECTIONS) + 1
    assert "13 of 13 things" in bare
    assert MISSING not in whole
    for shown in (bare, whole):
        assert "auc: 0.763" in shown
        assert "sha256:bb" in shown


def test_lists_and_objects_are_shown_as_points() -> None:
    shown = markdown(view_of(parse_card(YAML, "card.yaml")))

    assert "- made: 2026-05-03\n- kind: gradient boosting, 200 trees" in shown
    assert "- age\n- area" in shown
    assert "Ranks vehicle claims.\nNot for pricing." in shown


def test_a_card_cannot_break_out_of_its_page() -> None:
    shown = markdown(view_of({"owner": "a | b\n# Heading\x1b[31m", "caveats": "<script>"}))

    assert "| owner | a \\| b # Heading [31m |" in shown
    assert "<script>" not in shown
    assert "\x1b" not in text(view_of({"owner": "\x1b[31m"}))


@given(
    st.dictionaries(
        st.sampled_from((*FACTS, *SECTIONS, "else")),
        st.recursive(
            st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans()),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=10,
        ),
    )
)
def test_every_card_can_be_shown_and_its_gaps_are_those_it_has(card: dict[str, Any]) -> None:
    view = view_of(card)

    assert markdown(view).count(f"**{MISSING}**") == len(set(view.gaps) & set(SECTIONS))
    assert text(view)


@pytest.mark.parametrize(
    ("content", "name", "why"),
    [
        (b"{", "card.json", "unexpected end"),
        (b"[]", "card.json", "is list, not an object"),
        (b"a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", "card.yaml", "line 5: 'a' stands twice"),
        (b"a: &x [1]\nb: *x\n", "card.yml", "line 2: has an alias"),
        (b"a: [\n", "card.yaml", "while parsing"),
        (b"a: !!python/object/apply:os.system ['true']\n", "card.yaml", "could not determine"),
        (b"# " + b"x" * 300_000, "card.yaml", "is larger than"),
        (b"just words", "card.yaml", "is str, not an object"),
    ],
)
def test_a_card_that_cannot_be_read_is_refused(content: bytes, name: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_card(content, name)

    assert any(why in fault.message for fault in refused.value.faults)


async def road_with(card: dict[str, Any]) -> tuple[Road, ModelVersion]:
    road = Road()
    await road.store.open()
    return road, await road.registered(linear(), **card)


async def test_all_faults_of_a_card_are_told_at_once_and_nothing_is_registered() -> None:
    road = Road()
    await road.store.open()
    wrong: dict[str, Any] = {
        "owner": 5,
        "risk_tier": "extreme",
        "factors": 3,
        "cost_usd": -1,
        "licence": "",
    }
    with pytest.raises(InvalidInput) as refused:
        await road.registered(linear(), **wrong)

    assert sorted(fault.place for fault in refused.value.faults) == [
        "card.cost_usd",
        "card.factors",
        "card.licence",
        "card.owner",
        "card.risk_tier",
    ]
    assert await road.store.select(ModelVersionRow) == []


async def test_a_better_wording_is_a_revision_and_the_version_stays() -> None:
    road, version = await road_with({"owner": "Ann", "risk_tier": "high", "cost_usd": 0.1})
    cards = CardBook(road.store, road.clock)
    first = await cards.of(version)
    wording = {**WHOLE, "cost_usd": 0.1}
    revised = await cards.revise(version, wording, by="ben", reason="figures added")

    assert (first.revision, len(first.gaps), first.card) == (0, 11, version.card)
    assert (revised.revision, revised.by, revised.gaps) == (1, "ben", [])
    assert await cards.of(version) == revised
    assert await road.registry.version("fraud", 1) == version
    (row,) = await road.store.select(ModelVersionRow)
    assert from_json(row.card) == version.card
    kinds = {
        entry.kind: from_json(entry.body) for entry in await entries_about(road.store, "fraud/1")
    }
    assert kinds["model.card-revised"]["reason"] == "figures added"
    assert kinds["model.registered"]["card_digest"] != kinds["model.card-revised"]["card_digest"]
    assert "revision 1 by ben" in text(revised)


async def test_what_requests_and_approvals_go_by_is_not_reworded() -> None:
    road, version = await road_with({"risk_tier": "high", "cost_usd": 0.1})
    cards = CardBook(road.store, road.clock)
    with pytest.raises(InvalidInput) as refused:
        await cards.revise(version, {"risk_tier": "low", "pools": ["spare"]}, by="", reason=" ")

    assert sorted(fault.place for fault in refused.value.faults) == [
        "by",
        "card.cost_usd",
        "card.pools",
        "card.risk_tier",
        "reason",
    ]
    assert (await cards.of(version)).revision == 0


async def test_of_two_wordings_at_once_one_stands() -> None:
    road, version = await road_with({})
    cards = CardBook(road.store, road.clock)
    await road.store.commit([Insert(CardRow("fraud", 1, 1, "{}", "ann", "first", 5))])

    class Late(CardBook):
        async def of(self, version: ModelVersion) -> CardView:
            return view_of({})  # what it read before the other one wrote

    with pytest.raises(Conflict, match="just worded anew"):
        await Late(road.store, road.clock).revise(version, {}, by="ben", reason="second")
    assert (await cards.of(version)).by == "ann"
