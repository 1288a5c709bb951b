from __future__ import annotations

import pytest

from examples.claims.automation import fraud
from examples.claims.choose_bands import chosen, table
from examples.claims.claim_rows import read_claims
from examples.claims.train import Band, split_by_year


def test_the_widest_band_with_little_enough_fraud_is_chosen() -> None:
    tried = [Band(0.01, 0.2, 0.9, 0.005), Band(0.02, 0.4, 0.8, 0.01), Band(0.03, 0.5, 0.7, 0.011)]

    assert chosen(tried).below == 0.02


@pytest.mark.slow
def test_the_policy_approves_below_what_the_years_before_1996_say() -> None:
    tried = table(split_by_year(read_claims())[0])

    assert chosen(tried).below == fraud.policy.bands[0].below
