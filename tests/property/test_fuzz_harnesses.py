"""Every parser's harness of `make fuzz`, with a few hundred inputs of a fixed seed and no coverage to guide it."""

from __future__ import annotations

import pytest

from tests.fuzz.harness import PARSERS, changed, harness_of, tried

SEED = 17
COUNT = 300


@pytest.mark.parametrize("parser", PARSERS)
def test_a_parser_answers_or_refuses_whatever_it_is_given(parser: str) -> None:
    harness = harness_of(parser)

    for data in changed(harness.SAMPLES, SEED, COUNT):
        tried(harness, data)
