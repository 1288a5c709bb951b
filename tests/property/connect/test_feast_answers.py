"""Whatever a server answers: one entity's values, or a fault that makes the decision fall back."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsrail.connect.feast import STATUSES, read_answer
from opsrail.connect.outside_http import Answer

REFERENCES = {"rate": "s:r", "trips": "s:t"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
MOMENTS = st.one_of(
    st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()),
    st.text(max_size=30),
    JSON,
)
RESULTS = st.fixed_dictionaries(
    {
        "values": st.lists(JSON, max_size=2) | JSON,
        "statuses": st.lists(st.sampled_from([*STATUSES, "INVALID"]) | JSON, max_size=2),
        "event_timestamps": st.lists(MOMENTS, max_size=2),
    }
)
ANSWERS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({"feature_names": st.just(["id", "s__r", "s__t"])}),
        "results": st.lists(RESULTS, min_size=2, max_size=3),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON | ANSWERS)
def test_an_answer_is_read_or_refused_as_one_that_cannot_be(tree: object) -> None:
    with suppress(ValueError, KeyError, IndexError, TypeError, AttributeError):
        found = read_answer(Answer(200, json.dumps(tree).encode()), REFERENCES)

        assert found.keys() == REFERENCES.keys()
        assert {one.status for one in found.values()} <= set(STATUSES.values())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=50))
def test_bytes_that_are_no_json_are_refused(content: bytes) -> None:
    with suppress(ValueError, KeyError, IndexError, TypeError, AttributeError):
        read_answer(Answer(200, content), REFERENCES)


def test_an_event_time_between_two_milliseconds_is_the_later_one_and_1970_is_none() -> None:
    result = {"values": [1], "statuses": ["PRESENT"]}
    answer = {
        "metadata": {"feature_names": ["id", "s__r", "s__t"]},
        "results": [
            {},
            {**result, "event_timestamps": ["2026-01-31T09:00:00.000100Z"]},
            {**result, "event_timestamps": ["1970-01-01T00:00:00Z"]},
        ],
    }
    found = read_answer(Answer(200, json.dumps(answer).encode()), REFERENCES)

    assert found["rate"].event_at_ms == 1_769_850_000_001
    assert found["trips"].event_at_ms is None
