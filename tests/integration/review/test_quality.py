"""Figures and the export on both databases."""

from __future__ import annotations

from opsrail.clock import SystemClock
from opsrail.lab.rulings import quality
from opsrail.ports import Store
from opsrail.review.exporting import Wanted, exported
from opsrail.values.reviews import Purpose, ReviewState, RulingRow
from tests.support.sampled import asked, decided, put

START_MS = 1_767_258_000_000
END_MS = START_MS + 10_000_000
CLOCK = SystemClock()


async def test_figures_and_lines_are_read_from_rows(store: Store) -> None:
    rows: list[tuple[object, ...]] = []
    for n in range(40):
        about = decided(START_MS, n, verdict="approve" if n % 2 else "review")
        how = {
            "decision_id": about.id, "state": ReviewState.RULED, "ruling": "decline" if n % 5 == 0 else "approve",
            "ruled_by": "user:ann", "ruled_at_ms": START_MS + 1_000 * (n // 8), "claimed_at_ms": START_MS,
            "purpose": Purpose.AUDIT if n % 2 else Purpose.CASE,
            "labels": '{"labels": {}, "sampled": 0.5}' if n % 2 else None,
        }  # fmt: skip
        rows += [about, asked(START_MS, n, **how)]
    labels = '{"labels": {}, "sampled": null, "control": "c-1"}'
    for n, ruling in enumerate(("approve", "decline")):
        how = {
            "purpose": Purpose.CONTROL,
            "truth": "approve",
            "labels": labels,
            "state": ReviewState.RULED,
        }
        late = {"ruling": ruling, "ruled_by": f"user:{n}", "ruled_at_ms": START_MS + 500_000 + n}
        rows.append(asked(START_MS, 100 + n, decision_id=None, **how, **late))
    rows.append(asked(START_MS, 200))
    both = asked(START_MS, 3)
    rows += [
        RulingRow(both.id, "user:ann", "approve", "", None, "decline", True, 3.0, START_MS + 1),
        RulingRow(both.id, "user:bob", "approve", "", None, "approve", False, 5.0, START_MS + 2),
    ]
    await put(store, rows)
    found = await quality(store, since_ms=START_MS, until_ms=END_MS, queue="claims-desk")
    nothing = await quality(store, since_ms=START_MS, until_ms=END_MS, automations=())
    pages = exported(store, CLOCK, Wanted(0, END_MS))
    lines = [line async for page in pages for line in page]

    assert (found.rulings, found.people.hits, found.people.of) == (43, 1, 2)
    assert (found.machine.known, found.machine.hits) == (20, 16)
    assert (found.agreement.items, found.agreement.judges) == (2, 4)
    assert (found.reconsidered.towards.hits, found.reconsidered.towards.of) == (1, 1)
    assert (found.waiting["claims-desk"].of, nothing.rulings) == (1, 0)
    assert len({line["review_id"] for line in lines}) == len(lines) == 40
    assert sum(line["sampling_probability"] == 0.5 for line in lines) == 20
    assert len(lines[3]["rulings"]) == 2
