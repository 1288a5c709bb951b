"""The key file."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsrail.clock import SystemClock
from opsrail.errors import ConfigInvalid
from opsrail.ledger import keys
from opsrail.ledger.notes import read


def test_a_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.key"
    made = keys.load_or_create_signer(path, SystemClock(), "test.example/ledger")
    found = keys.load_or_create_signer(path, SystemClock(), "another/name")

    assert found.verifiers == made.verifiers
    assert found.origin == "test.example/ledger"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["ledger.key"]


def test_a_replaced_key_signs_beside_the_new_one_until_it_is_retired(tmp_path: Path) -> None:
    path = tmp_path / "ledger.key"
    old = keys.load_or_create_signer(path, SystemClock())
    both = keys.rotate_key(path, SystemClock())
    new = keys.retire_keys(path, SystemClock())
    note_of_both, note_of_new = both.sign("text\n"), new.sign("text\n")

    assert read(note_of_both, old.verifiers)[1] == old.verifiers
    assert read(note_of_both, both.verifiers)[1] == both.verifiers
    assert new.verifiers == both.verifiers
    assert read(note_of_new, new.verifiers)[1] == both.verifiers[:1]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.key"
    keys.load_or_create_signer(path, SystemClock())
    path.chmod(0o640)

    with pytest.raises(ConfigInvalid, match=r"mode 640.*chmod 600"):
        keys.load_signer(path)


def test_a_damaged_key_file_is_refused_with_its_lines_and_without_its_secrets(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.key"
    keys.load_or_create_signer(path, SystemClock())
    path.write_text(path.read_text()[:-6] + "\nnonsense\n")

    with pytest.raises(ConfigInvalid) as refused:
        keys.load_signer(path)
    assert [fault.place for fault in refused.value.faults] == ["line 1", "line 2"]
    assert path.read_text().split("+")[4][:10] not in str(refused.value)


def test_a_missing_or_empty_key_file_cannot_sign(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        keys.load_signer(tmp_path / "none")
    (tmp_path / "empty").touch(0o600)
    with pytest.raises(ConfigInvalid, match="no key to sign with"):
        keys.load_signer(tmp_path / "empty")
