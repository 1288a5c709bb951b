"""Figures of quality in sentences."""

from __future__ import annotations

from opsrail.cli.reviews_quality import sentences
from opsrail.lab import quality_of
from opsrail.lab.quality import MONDAY_MS, Ruled

WEEK_MS = MONDAY_MS + 2_900 * 604_800_000


def test_figures_are_told_with_intervals_and_what_is_not_known_is_said() -> None:
    rulings = [
        Ruled(f"c-{n}", "desk", who, "approve", WEEK_MS, truth="approve", held_s=4.0, waited_s=60.0)
        for n in range(3)
        for who in ("ann", "bob")
    ]
    rulings.append(
        Ruled("r", "desk", "ann", "decline", WEEK_MS, "decline", said="approve", ratio=0.1)
    )
    told = "\n".join(sentences(quality_of(rulings, [("desk", 9.0)], queue="desk")))
    nothing = "\n".join(sentences(quality_of([])))

    assert "7 rulings of desk." in told
    assert "People on control cases: 100.0% of 6 (61.0% to 100.0%)." in told
    assert "The machine, by spot checks: right in 0.0% (0.0% to 97.5%), from 1." in told
    assert "week of 2025-0" in told
    assert "desk: held before the ruling 4 s (95%: 4 s)" in told
    assert "Agreement between reviewers: not known" in nothing
    assert "The machine, by spot checks: none were ruled on." in nothing
