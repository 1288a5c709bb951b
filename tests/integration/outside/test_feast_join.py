"""The join that Feast is measured with is the join that opsrail is measured with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import feast_join, training_set
from tests.support.outside import program

pytestmark = pytest.mark.connected
ROWS = 2_000


def test_where_nothing_is_written_late_both_give_the_same_and_feast_drops_rows_without_values(
    tmp_path: Path,
) -> None:
    program("feast")
    drawn = training_set.drawn(ROWS, ROWS, ROWS // 10)
    views = {}
    for name, table in drawn.views.items():
        place = table.column_names.index("written_at")
        views[name] = table.set_column(place, "written_at", table.column("event_at"))
    training_set.written(drawn._replace(views=views), tmp_path)

    told = feast_join.feast_joined(tmp_path)
    found = feast_join.unlike(tmp_path)
    ours = training_set.joined(tmp_path)

    assert found == {"rows_count": told["rows_given"], "unlike_ratio": 0.0}
    known = [ours.column(names[0]).is_valid().to_numpy() for names in training_set.VIEWS.values()]
    assert told["rows_asked"] == ours.num_rows == ROWS
    assert told["rows_given"] == int((known[0] & known[1]).sum()) < ROWS
