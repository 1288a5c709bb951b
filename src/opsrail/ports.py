"""What opsrail needs from outside, as Protocols. Adapters in `store/` and `connect/` implement them; `app/` picks.

One contract suite a port (`opsrail.testing.contracts`) says what each method promises; every adapter passes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, runtime_checkable

from opsrail.errors import InvalidInput
from opsrail.values.columns import Column, trial_rows
from opsrail.values.containers import Described, Signature
from opsrail.values.documents import TextLine
from opsrail.values.exchange import OutsideModel, OutsideName, Published
from opsrail.values.explanations import Contributions, ModelCells
from opsrail.values.features import OutsideValue
from opsrail.values.ledger import ChainRow
from opsrail.values.models import ModelVersion, Score
from opsrail.values.notices import Notice
from opsrail.values.rows import Append, R, Value, Where, Write


class Finding(NamedTuple):
    """One thing a self-check found.

    Attributes:
        level: `ok`, `warn` (works, promises less) or `fail` (promises cannot be kept: refused at start).
        message: What is and what should be.
    """

    name: str
    level: str
    message: str


class Store(Protocol):
    """Rows, durable, in one database. All methods may raise StoreUnavailable: nothing of that call was written."""

    async def open(self) -> None:
        """Connect and bring the schema up to date.

        Raises:
            SchemaMismatch: the database is newer than this opsrail. Terminal; nothing was changed.
            StoreUnavailable: it cannot be reached.
        """

    async def close(self) -> None:
        """Finish commits under way, refuse new ones, release everything."""

    async def commit(self, writes: Sequence[Write]) -> None:
        """Make all writes durable, whole, in order; many callers share one fsync.

        Returns when the database has them on disk. Cancelling the caller does not cancel a commit that has begun.

        Raises:
            StaleWrite: an Insert's key is taken, an Update found no matching row, or a Require does not hold.
            Fenced: a Require with refusal `fenced` does not hold.
            StoreUnavailable: not written, or (server lost mid-commit) not known to be written.
        """

    async def get(self, table: type[R], *key: Value) -> R | None:
        """Return the row with that primary key."""

    async def select(
        self,
        table: type[R],
        *where: Where,
        order: Sequence[str] = (),
        descending: bool = False,
        limit: int = 1000,
    ) -> list[R]:
        """Return rows that meet all conditions, ordered by the columns (default: primary key), at most `limit`."""

    async def columns(
        self,
        table: type[tuple[Any, ...]],
        names: Sequence[str],
        *where: Where,
        after: Sequence[Value] = (),
        descending: bool = False,
        limit: int = 10_000,
    ) -> list[list[Any]]:
        """Return some columns of the rows that meet all conditions, by primary key: one list a column, equally long.

        For reading millions of rows page by page: each page is one short read of its own, which holds up no writer, and rows
        are not made.

        Args:
            names: Columns to read, at least one.
            after: Primary key of the last row of the page before; empty: from the first.
            descending: From the last key to the first.
            limit: Rows, at most.
        """

    async def count(
        self, table: type[tuple[Any, ...]], *where: Where, by: Sequence[str] = ()
    ) -> dict[tuple[Any, ...], int]:
        """Return the number of rows for each combination of the `by` columns; `{(): n}` without."""

    async def take(
        self,
        table: type[R],
        *where: Where,
        set: Mapping[str, Value],
        add: Mapping[str, int] | None = None,
        order: Sequence[str] = (),
        limit: int = 100,
    ) -> list[R]:
        """Change up to `limit` matching rows at once and return them as changed; durable on return.

        Two callers never take the same row for the same conditions; rows locked by another are skipped.

        Args:
            set: Columns to overwrite.
            add: Columns to add a number to.
        """

    async def now_ms(self) -> int:
        """Return the database's clock, epoch ms: the one clock that leases of several processes share."""

    def changed(self, table: type[tuple[Any, ...]]) -> asyncio.Event:
        """Return the event that is set after a commit added or changed rows there, also (soon) by another process.

        One waiter clears it, then reads. A missed event is bounded by the waiter's own poll.
        """

    async def check(self) -> list[Finding]:
        """Return how durable this database really is (fsync settings, file system, free space, version)."""


class RowReader(Protocol):
    """The part of a store that reads single rows; every `Store` is one."""

    async def get(self, table: type[R], *key: Value) -> R | None:
        """Return the row with that primary key. Raises StoreUnavailable."""


class EntryChain(Protocol):
    """Links ledger entries of one process in commit order; pure but for its head. Driven by the store's group commit."""

    def link(self, entries: Sequence[Append]) -> list[ChainRow]:
        """Return the rows of several types for the entries, chained to the head, which stays; the store inserts them.

        One call a transaction: besides a row an entry there is one that tells the sequencer of the batch. Empty for
            no entries.
        """

    def advance(self, rows: Sequence[ChainRow]) -> None:
        """Move the head past rows that are committed: the whole list that `link` returned."""

    def renew(self) -> None:
        """Start a fresh chain: it is not known whether the last rows were committed."""


class LoadedModel(Protocol):
    """A model version in memory, ready to score. Blocking: called off the event loop.

    One that asks another machine says so with an attribute `is_remote = True`. Then its faults are retried and late answers
    hedged, from a budget, so it must not retry by itself; a fault that may pass is ModelUnavailable, one that is this row's
    own is InvalidInput. One that takes several calls at the same time says how many: `at_once = 8`.

    One whose work is bounded by its rows, which holds no loop and waits for nothing, says so with `is_bounded = True`: while
    its calls are short they are made on the event loop itself, since a thread would cost more than the model.
    """

    digest: str

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        """Return one score a row of named features, in order."""
        ...


def is_remote(model: LoadedModel) -> bool:
    """Return whether a model is asked over a network; models in this process need not say that they are not."""
    return getattr(model, "is_remote", False) is True


def is_bounded(model: LoadedModel) -> bool:
    """Return whether a model's calls may be made on the event loop while they are short."""
    return getattr(model, "is_bounded", False) is True and not is_remote(model)


def calls_at_once(model: LoadedModel) -> int:
    """Return how many calls a model takes at the same time, 1 unless it says more."""
    return max(1, int(getattr(model, "at_once", 1)))


@runtime_checkable
class ColumnedModel(Protocol):
    """A loaded model that says which columns it reads. Optional: others cannot be tried out before they are asked."""

    columns: tuple[Column, ...]


@runtime_checkable
class ArrayModel(Protocol):
    """A loaded model that also takes the numbers that its columns make of rows. Optional: others get rows.

    Attributes:
        kind: What it computes with, `float32` or `float64`.
    """

    columns: tuple[Column, ...]
    kind: str

    def score_array(self, numbers: Any) -> list[float]:
        """Return the probability of each row: the same as `LoadedModel.score` gives. Blocking.

        Args:
            numbers: As `Column.code` gives them, of `kind` [rows, columns], not empty.

        Raises:
            ModelUnavailable: the runtime failed, or answered something that is no probability.
        """
        ...


TRIAL_ROWS = (1, 8, 64)
"""Sizes of the batches that warm a model. Ours: a lone request, a few, and a full batch at the usual limit."""


def warm_up(model: LoadedModel) -> None:
    """Have a model score trial batches, so that the first request meets no code that was never run. Blocking.

    Raises:
        ModelUnavailable: it failed.
    """
    if isinstance(model, ColumnedModel):
        for count in TRIAL_ROWS:
            with suppress(InvalidInput):  # a row of zeros need not make sense to it
                model.score(trial_rows(model.columns, count))


class ModelHealth(NamedTuple):
    """How the processes fare in which a model runs.

    Attributes:
        state: `serving`, `quarantined` or `trial`.
        children: Of them, how many are ready.
        wanted: How many should be.
        crashes: Deaths since it was loaded.
        quarantined_for_s: How long it is still left alone; 0 unless quarantined.
    """

    state: str
    children: int
    wanted: int
    crashes: int
    quarantined_for_s: float


@runtime_checkable
class SupervisedModel(Protocol):
    """A loaded model that runs in processes of its own. Optional.

    Attributes:
        is_scalable: Whether it may have more or fewer than it has.
        busy_s: Seconds of work that all of them did.
        start_s: How long the last one took to be ready.
    """

    is_scalable: bool
    busy_s: float
    start_s: float

    def health(self) -> ModelHealth:
        """Return how they fare."""
        ...

    def release(self) -> None:
        """End its quarantine, as an operator says, and start it again."""
        ...

    def scale(self, wanted: int) -> None:
        """Have so many processes ready, within the bounds that it was given. Does not block."""
        ...


@runtime_checkable
class ClosableModel(Protocol):
    """A loaded model that holds more than memory. Optional."""

    def close(self) -> None:
        """Release it; nothing is asked of it any more. Blocking: seconds at most."""
        ...


@runtime_checkable
class ContributingModel(Protocol):
    """A loaded model that can say what each feature added to a score. Optional: others are asked as black boxes.

    Blocking, as `LoadedModel`. A booster's own `pred_contrib` fits: the last column is the baseline.
    """

    def contributions(self, rows: Sequence[Mapping[str, object]]) -> list[Contributions] | None:
        """Return the contributions to each row's score, in order; None when this artifact has no exact ones after all.

        Raises:
            InvalidInput, ModelUnavailable: as `LoadedModel.score`.
        """
        ...


@runtime_checkable
class CellModel(Protocol):
    """A loaded model that can say where its score may change. Optional: without, no smallest change is proven."""

    def cells(self) -> ModelCells:
        """Return where scores may change. Called once a search."""
        ...

    def reach(self, row: Mapping[str, object], free: Sequence[str]) -> tuple[float, float]:
        """Return bounds of a row's score when the features named may be anything training saw; (0, 1) always holds."""
        ...


class ModelRuntime(Protocol):
    """Loads artifacts of one kind, never by pickle."""

    name: str

    def load(self, artifact: bytes, expected_digest: str) -> LoadedModel:
        """Return the model. Raises ArtifactRefused when the digest differs or the artifact is not allowed."""
        ...


class ModelFormat(Protocol):
    """Makes artifacts of one kind of file, as training leaves it. Blocking."""

    def describe(self, content: bytes) -> Described:
        """Return what the file tells of its model. Raises ArtifactRefused when it is damaged or not allowed."""
        ...

    def artifact(self, content: bytes, signature: Signature) -> bytes:
        """Return what a runtime loads: the same file with the same signature gives the same bytes."""
        ...


class FeatureSource(Protocol):
    """Another system that knows features of entities, asked at the moment of a decision. Cancelled when time is over."""

    name: str

    async def read(self, entity: str) -> Mapping[str, OutsideValue]:
        """Return what it knows of an entity now, by feature.

        Raises:
            FeaturesUnavailable: it did not answer, not in time, or not with these features. The decision falls back.
        """
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class ModelExchange(Protocol):
    """Another registry of models. Each method may raise Unavailable, Denied and NotFound, with what the server said."""

    async def fetch(self, name: OutsideName) -> OutsideModel:
        """Return a version with its file, never one to be unpickled. Raises ArtifactRefused when it is not taken."""
        ...

    async def publish(
        self, name: OutsideName, version: ModelVersion, artifact: bytes, by: str
    ) -> Published:
        """Write a version under that name; the same artifact is not written twice. Raises ArtifactRefused: it holds none."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class Notifier(Protocol):
    """Tells a person or another system."""

    async def send(self, notice: Notice, address: str) -> None:
        """Send it, maybe again under the same id. Raises Unavailable: try again; Terminal: never."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class PageReader(Protocol):
    """Reads the text of one page image. Blocking and heavy: called in a child process."""

    name: str

    def read(self, image: bytes) -> tuple[TextLine, ...]:
        """Return the lines, top to bottom. Raises ArtifactRefused when the image is damaged or too large."""
        ...
