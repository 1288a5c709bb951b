from __future__ import annotations

import hashlib
from pathlib import Path

from examples.claims.claim_rows import (
    CLAIMS_FILE,
    LEFT_OUT,
    claim_features,
    is_fraud,
    read_claims,
    week_of,
)


def test_the_files_are_the_ones_their_sums_name() -> None:
    folder = CLAIMS_FILE.parent
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").split("\n")
    sums = dict(line.split("  ")[::-1] for line in lines if line)

    found = {name: hashlib.sha256(Path(folder, name).read_bytes()).hexdigest() for name in sums}

    assert found == sums


def test_claims_are_read_in_the_order_of_time() -> None:
    rows = read_claims()

    weeks = [week_of(row) for row in rows]
    assert (len(rows), sum(map(is_fraud, rows))) == (15_420, 923)
    assert weeks == sorted(weeks)


def test_the_model_never_reads_a_column_that_is_left_out() -> None:
    features = claim_features(read_claims()[0])

    assert not features.keys() & LEFT_OUT.keys()
    assert len(features) == 33 - len(LEFT_OUT)


def test_an_age_of_zero_is_not_known() -> None:
    row = read_claims()[0]

    ages = [claim_features(row | {"Age": age})["Age"] for age in ("0", "21")]

    assert ages == [None, 21.0]
