"""Where the policy's approve band ends: chosen on 1994 and 1995 alone, by scores that each came before its truth.

    python -m examples.claims.choose_bands

The training rows are cut into six parts in the order of time; each part but the first is scored by a model that was fitted
on all parts before it. The band ends at the largest threshold under which at most 1 % of the claims are fraud, the share
that the automation's objective calls unacceptable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from examples.claims.claim_rows import claim_features, is_fraud, read_claims
from examples.claims.train import (
    MODEL_NAME,
    Band,
    bands,
    columns_of,
    fitted,
    probabilities,
    split_by_year,
)
from examples.claims.vehicle_history import histories_before
from opsrail.values.columns import encode

PARTS = 6
THRESHOLDS = (0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.08, 0.12)
MOST_FRAUD_RATIO = 0.01


def table(rows: Sequence[Mapping[str, str]], *, seed: int = 0) -> list[Band]:
    """Return what each threshold would have done. Seconds.

    Args:
        rows: Training rows in the order of their weeks.
    """
    features = [
        claim_features(row) | history
        for row, history in zip(rows, histories_before(rows), strict=True)
    ]
    numbers = np.array(encode(columns_of(features), features, model=MODEL_NAME), dtype=np.float32)
    truths = np.array([is_fraud(row) for row in rows])
    edges = [len(rows) * part // PARTS for part in range(1, PARTS + 1)]
    scores: list[float] = []
    for start, end in pairwise(edges):
        model = fitted(numbers[:start], truths[:start], seed)
        scores += probabilities(model, numbers[start:end]).tolist()
    return bands(scores, truths[edges[0] :].tolist(), THRESHOLDS)


def chosen(tried: Sequence[Band]) -> Band:
    """Return the widest band whose approved claims hold at most `MOST_FRAUD_RATIO` of fraud."""
    return max(
        (band for band in tried if band.missed_ratio <= MOST_FRAUD_RATIO),
        key=lambda band: band.below,
    )


if __name__ == "__main__":
    tried = table(split_by_year(read_claims())[0])
    print(
        "| approve below | approved | of them fraud | frauds that people see |\n|---|---|---|---|"
    )
    for band in tried:
        print(
            f"| {band.below:g} | {band.automated_ratio:.1%} | {band.missed_ratio:.2%} | {band.caught_ratio:.1%} |"
        )
    print(f"\nchosen: {chosen(tried).below:g}")
