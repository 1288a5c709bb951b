"""Makes an installation of a folder: its database, the ledger's key, and the checkpoint that is kept outside both."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from opsrail import faults
from opsrail.app.notified import announced_by
from opsrail.app.wired import NOTHING, App
from opsrail.cases.loader import Definitions
from opsrail.clock import Clock, SystemClock
from opsrail.config import Config, crash_points
from opsrail.ledger.anchor import Anchor
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import load_or_create_signer
from opsrail.store.catalog import open_store

DATABASE = "opsrail.db"
KEY_FILE = "ledger.key"
ANCHOR_FILE = "checkpoint.note"
JOB_MODULE = "opsrail.app.job_main"


def build(
    config: Config,
    data: Path,
    definitions: Definitions = NOTHING,
    *,
    runs: bool = False,
    clock: Clock | None = None,
) -> App:
    """Wire an installation in a folder; nothing is opened yet.

    Args:
        data: Its folder; made if missing.
        runs: Whether this process will carry cases (`App.running`): takes the folder's lock.

    Raises:
        ConfigInvalid: the folder cannot be used, or the key file is readable by others. Terminal.
        MissingExtra: the store's packages are not installed. Terminal.
    """
    clock = clock or SystemClock()
    if named := crash_points():
        faults.arm_from(named)
    data.mkdir(parents=True, exist_ok=True)
    chain, follow = WriterChain(clock), announced_by(config, clock)
    store, alone = open_store(
        config.store.url, data / DATABASE, chain, clock, exclusive=runs, follow=follow
    )
    signer = load_or_create_signer(data / KEY_FILE, clock, config.ledger.origin)
    app = App(
        config, definitions, store, signer, clock, anchor=Anchor(data / ANCHOR_FILE), alone=alone
    )
    app.jobs.module, app.jobs.order = JOB_MODULE, partial(order_of, config, data, definitions)
    return app


def order_of(config: Config, data: Path, definitions: Definitions) -> dict[str, Any]:
    """Return what another process needs to open an installation, as plain JSON."""
    folder, files = str(data.absolute()), list(definitions.files)
    return {"config": config.model_dump(mode="json"), "folder": folder, "files": files}
