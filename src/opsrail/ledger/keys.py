"""The signing key's file: kept outside the database, readable by its owner alone.

One key a line. `PRIVATE+KEY+...` lines sign every checkpoint; lines with a bare verifier key name retired keys, whose old
checkpoints stay good. The first line is the newest key.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from opsrail.clock import Clock
from opsrail.errors import ConfigInvalid, Fault, InvalidInput
from opsrail.ledger.notes import SigningKey, VerifierKey, sign

ORIGIN = "opsrail.local/ledger"
"""Name of a ledger whose owner gave none."""


class Signer:
    """The keys that sign this ledger's checkpoints, newest first, and those that did.

    Attributes:
        origin: Names the ledger in each checkpoint.
        verifiers: Public keys of all of them.
    """

    def __init__(self, keys: Sequence[SigningKey], retired: Sequence[VerifierKey] = ()) -> None:
        """Take at least one key. Raises ConfigInvalid without."""
        if not keys:
            raise ConfigInvalid(
                "The ledger has no key to sign with; restore its key file, or remove the empty file to begin with a new key."
            )
        self._keys = tuple(keys)
        self.origin = keys[0].verifier.name
        self.verifiers = (*(key.verifier for key in keys), *retired)

    def sign(self, text: str) -> str:
        """Return the note signed by each key."""
        return sign(text, self._keys)


def load_or_create_signer(path: Path, clock: Clock, origin: str = ORIGIN) -> Signer:
    """Return the signer of a key file; without the file, make a key and write it (mode 0600, whole or not at all).

    Args:
        origin: Name of a new key, e.g. `claims.example.org/ledger`. A key file keeps the name it was made with.

    Raises:
        ConfigInvalid: others may read the file, or a line is damaged. Terminal: nothing was changed.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = _written(path, clock, [SigningKey(origin, clock.token(32)).secret_text()])
        with contextlib.suppress(FileExistsError):  # another process was first: its key counts
            os.link(fresh, path)
        fresh.unlink()
        _sync_folder(path.parent)
    return load_signer(path)


def load_signer(path: Path) -> Signer:
    """Return the signer of an existing key file.

    Raises:
        ConfigInvalid: it is missing, others may read it, or a line is damaged. Terminal.
    """
    try:
        mode = path.stat().st_mode & 0o777
        lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise ConfigInvalid(
            f"The ledger's key file {path} cannot be read: {error.strerror}."
        ) from error
    if mode & 0o077:
        raise ConfigInvalid(
            f"The ledger's key file {path} may be read by others (mode {mode:o}); run: chmod 600 {path}"
        )
    keys: list[SigningKey] = []
    retired: list[VerifierKey] = []
    faults: list[Fault] = []
    for number, line in enumerate(lines, 1):
        try:
            if line.startswith("PRIVATE+"):
                keys.append(SigningKey.parse(line))
            else:
                retired.append(VerifierKey.parse(line))
        except InvalidInput as fault:
            faults.append(Fault(f"line {number}", fault.summary))
    if faults:
        raise ConfigInvalid(
            f"The ledger's key file {path} is damaged; restore it from your backup.", faults
        )
    return Signer(keys, retired)


def rotate_key(path: Path, clock: Clock) -> Signer:
    """Put a new key first in the file, under the same name; the keys before it go on signing beside it until retired.

    Raises:
        ConfigInvalid: as `load_signer`.
    """
    origin = load_signer(path).origin
    lines = path.read_text("utf-8").splitlines()
    os.replace(
        _written(path, clock, [SigningKey(origin, clock.token(32)).secret_text(), *lines]), path
    )
    _sync_folder(path.parent)
    return load_signer(path)


def retire_keys(path: Path, clock: Clock) -> Signer:
    """Forget the secrets of all keys but the newest; their verifier keys stay, so that old checkpoints stay good.

    Raises:
        ConfigInvalid: as `load_signer`.
    """
    signer = load_signer(path)
    newest = path.read_text("utf-8").splitlines()[0]
    os.replace(_written(path, clock, [newest, *(str(key) for key in signer.verifiers[1:])]), path)
    _sync_folder(path.parent)
    return load_signer(path)


def _written(path: Path, clock: Clock, lines: Sequence[str]) -> Path:
    """Return a new file beside `path` that holds the lines durably."""
    fresh = path.with_name(f"{path.name}.{clock.new_id()}")
    with open(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
