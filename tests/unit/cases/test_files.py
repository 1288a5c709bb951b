from __future__ import annotations

import csv
import gzip
import tracemalloc
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from opsrail import Automation, Case
from opsrail.cases.files import check_file, faults_text, good_rows, read_rows, rejected_path
from opsrail.cases.lines import Row
from opsrail.errors import Conflict, InvalidInput


class Claim(BaseModel):
    model_config = ConfigDict(strict=True)

    id: Annotated[str, Field(min_length=1)]
    age: int
    share: float = 0.5
    note: str | None = None


claims = Automation("claims", case=Claim, outcome=Claim, key="id")


@claims.run
async def handle(case: Case, claim: Claim) -> Claim:
    return claim


def rows_of(path: Path, content: bytes | str) -> list[Row]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(path))


def faults_of(rows: list[Row]) -> dict[int, str]:
    return {row.line: faults_text(row.faults) for row in rows if row.faults}


def checked_models(path: Path, automation: Automation[Any, Any] = claims) -> list[BaseModel]:
    return list(good_rows(check_file(path, automation), automation))


# -- reading ---------------------------------------------------------------------------------------


def test_a_byte_order_mark_and_crlf_and_blank_lines_are_no_part_of_the_rows(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", b"\xef\xbb\xbfid, age\r\n\r\nx,1\r\n\r\n")

    assert rows == [Row(3, {"id": "x", "age": "1"}, (), ("x", "1"))]


def test_a_row_of_another_width_is_at_fault_and_the_next_is_read(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", "id,age\nx\ny,1\nz,1,2\n")

    assert faults_of(rows) == {
        2: "has 1 cell; the first line names 2",
        4: "has 3 cells; the first line names 2",
    }
    assert rows[1].values == {"id": "y", "age": "1"}


def test_a_quoted_cell_may_hold_commas_quotes_and_lines(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", 'id,age\n"a,""b""\nc",1\nx,2\n')

    assert [(row.line, dict(row.values)) for row in rows] == [
        (2, {"id": 'a,"b"\nc', "age": "1"}),
        (4, {"id": "x", "age": "2"}),
    ]


def test_an_unclosed_quote_costs_its_own_row_when_the_others_are_rows_by_themselves(
    tmp_path: Path,
) -> None:
    rows = rows_of(tmp_path / "a.csv", 'id,age\na,1\nb,"2\nc,3\nd,4\n')

    assert [row.values.get("id") for row in rows] == ["a", None, "c", "d"]
    assert list(faults_of(rows)) == [3]


def test_a_quote_that_closes_in_a_later_row_costs_the_first_row_only(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", 'id,age\nb,"2\nc,3\nd,"4"\n')

    assert [row.values.get("age") for row in rows] == [None, "3", "4"]


def test_lines_of_a_broken_text_never_become_rows(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", 'id,age\n1,"he said\nwell, "no"\nand left",2\n4,5\n')

    assert list(faults_of(rows)) == [2, 3, 4]
    assert [dict(row.values) for row in rows if not row.faults] == [{"id": "4", "age": "5"}]


def test_bytes_that_are_not_utf8_are_told_with_their_place_and_kept_as_they_are(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,age\ncaf\xe9,1\nx,2\n")

    checked = check_file(path, claims)

    assert (checked.rows, checked.rejected) == (2, 1)
    assert (
        str(checked.first_rejected[0])
        == "line 2: byte 0xE9 at character 4 is not UTF-8; save the file as UTF-8"
    )
    assert rejected_path(path).read_bytes().splitlines()[1].endswith(b"caf\xe9,1")


def test_nul_huge_cells_and_huge_lines_are_faults_and_the_rows_behind_them_run(
    tmp_path: Path,
) -> None:
    huge = "x" * 140_000
    rows = rows_of(tmp_path / "a.csv", f"id,age\na\0,1\n{huge},2\n{huge * 10},3\nb,4\n")

    assert list(faults_of(rows)) == [2, 3, 4]
    assert rows[-1].values == {"id": "b", "age": "4"}


def test_json_lines_that_are_no_objects_are_faults(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path / "a.jsonl", b'{"id": "x"}\n[1]\n{"id"\n{"id": NaN}\n{"id": "\xff"}\n\n"x"\n'
    )

    assert rows[0] == Row(1, {"id": "x"}, (), ('{"id": "x"}',))
    assert list(faults_of(rows)) == [2, 3, 4, 5, 7]


def test_a_gzipped_file_is_the_same_work_as_the_file_itself(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.csv", tmp_path / "b.csv.gz"
    plain.write_text("id,age\nx,1\n")
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    assert check_file(plain, claims).digest == check_file(packed, claims).digest


def test_the_same_file_for_another_automation_is_other_work(tmp_path: Path) -> None:
    other = Automation("other", case=Claim, outcome=Claim)
    path = tmp_path / "a.csv"
    path.write_text("id,age\nx,1\n")

    assert check_file(path, claims).digest != check_file(path, other).digest


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_whatever_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.csv"
    path.write_bytes(b"id,age\n" + content)

    rows = list(read_rows(path))

    assert all(bool(row.values) != bool(row.faults) for row in rows)
    assert [row.line for row in rows] == sorted(row.line for row in rows)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)


@given(st.lists(st.tuples(cells, cells), max_size=20))
@settings(max_examples=100, deadline=None)
def test_every_row_that_is_written_rightly_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("right") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("id", "age"), *written])

    assert [(row.values["id"], row.values["age"]) for row in read_rows(path)] == written


# -- checking --------------------------------------------------------------------------------------


def test_text_becomes_what_the_model_wants_even_of_a_strict_model(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,age,share,note\n007,41,0.25,\n")

    assert checked_models(tmp_path / "a.csv") == [Claim(id="007", age=41, share=0.25, note=None)]


def test_an_empty_cell_of_an_optional_field_is_its_default(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,age,share,note\nx,1,,\n")

    assert checked_models(tmp_path / "a.csv") == [Claim(id="x", age=1, share=0.5)]


def test_a_required_field_that_may_be_none_takes_an_empty_cell(tmp_path: Path) -> None:
    class Open(BaseModel):
        id: str
        closed: int | None

    (tmp_path / "a.csv").write_text("id,closed\nx,\n")

    models = checked_models(tmp_path / "a.csv", Automation("open", case=Open, outcome=Open))

    assert models == [Open(id="x", closed=None)]


def test_every_fault_of_a_row_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,age,share\n,old,much\n")

    checked = check_file(tmp_path / "a.csv", claims)

    assert [fault.place for fault in checked.first_rejected[0].faults] == ["id", "age", "share"]


def test_a_missing_column_is_told_once_and_not_by_every_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name\nx\ny\n")

    with pytest.raises(InvalidInput) as refused:
        check_file(tmp_path / "a.csv", claims)

    assert [str(fault) for fault in refused.value.faults] == [
        "columns: 'id' is missing; the file has: name",
        "columns: 'age' is missing; the file has: name",
    ]


def test_a_number_that_json_cannot_hold_is_a_fault_of_the_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,age,share\nx,1,nan\n")

    checked = check_file(tmp_path / "a.csv", claims)

    assert "does not read back from JSON" in str(checked.first_rejected[0])


def test_a_key_that_cannot_name_a_case_is_a_fault_of_the_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id": "a\\u0000", "age": 1}\n{"id": "' + "x" * 300 + '", "age": 1}\n'
    )

    assert check_file(tmp_path / "a.jsonl", claims).rejected == 2


def test_nothing_is_left_beside_a_file_without_faults_or_of_a_check_that_failed(
    tmp_path: Path,
) -> None:
    (tmp_path / "good.csv").write_text("id,age\nx,1\n")
    torn = gzip.compress(b"id,age\nx,bad\n" * 10_000)[:-20]
    (tmp_path / "torn.csv.gz").write_bytes(torn)

    check_file(tmp_path / "good.csv", claims)
    with pytest.raises(InvalidInput, match="is damaged"):
        check_file(tmp_path / "torn.csv.gz", claims)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.csv", "torn.csv.gz"]


def test_good_rows_go_on_behind_those_that_are_cases_already(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,age\na,1\nb,bad\nc,3\nd,4\n")
    checked = check_file(tmp_path / "a.csv", claims)

    left = [model.id for model in good_rows(checked, claims, skip=1) if isinstance(model, Claim)]

    assert left == ["c", "d"]


def test_a_file_that_changes_between_check_and_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,age\na,1\n")
    checked = check_file(path, claims)
    path.write_text("id,age\na,1\nb,2\n")

    with pytest.raises(Conflict, match="changed while it was read"):
        next(good_rows(checked, claims))


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("a.csv", "a.rejected.csv"),
        ("a.csv.gz", "a.rejected.csv"),
        ("a.b.jsonl", "a.b.rejected.csv"),
        ("scans", "scans.rejected.csv"),
        ("a.rejected.csv", "a.rejected.rejected.csv"),
    ],
)
def test_rejected_rows_go_beside_the_input(tmp_path: Path, name: str, beside: str) -> None:
    assert rejected_path(tmp_path / name) == tmp_path / beside


def test_a_long_file_takes_the_memory_of_a_few_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w") as file:
        file.write("id,age\n")
        file.writelines(f"{number},{'x' if number % 2 else 1}\n" for number in range(20_000))
    tracemalloc.start()

    checked = check_file(path, claims)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (checked.rows, checked.rejected) == (20_000, 10_000)
    assert len(checked.first_rejected) == 20
    assert peak_bytes < 2_000_000


def test_a_quote_without_its_pair_is_a_fault_for_it_may_end_a_broken_text(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", 'id,age\n5" pipe,1\n5"x7" board,2\n')

    assert list(faults_of(rows)) == [2]
    assert rows[1].values == {"id": '5"x7" board', "age": "2"}


def test_a_rejected_row_with_a_carriage_return_inside_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'id,age,note\nx,one,"a\rb"\ny\rz,2,c\n')

    checked = check_file(path, claims)

    assert checked.rejected_file is not None
    with checked.rejected_file.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["line", "2", "3"]
    assert rows[1][2:] == ["x", "one", "a\rb"]
