"""The past, read into a feature view: what `opsrail features backfill` and the job of that name both do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints

from opsrail.app.wired import App
from opsrail.app.work import Bench, FileId, Made, Part
from opsrail.decide.code import code_digest
from opsrail.errors import InvalidInput

if TYPE_CHECKING:
    from opsrail.features.backfill import Backfilled, SourceRow, SourceRows
    from opsrail.features.source import Columns, SqlSource
    from opsrail.features.view import FeatureView

ENDINGS = Literal["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"]
WHOLE = 100.0


class BackfillWish(Part):
    """What a job of this kind is asked."""

    file: Annotated[
        FileId | None, Field(description="Rows that were sent; null: the view's own source")
    ] = None
    ending: Annotated[ENDINGS, Field(description="How the file is written")] = "csv"


class BackfillJob(BackfillWish):
    """The same, of a view."""

    view: Annotated[str, StringConstraints(max_length=80)]


async def backfill_job(app: App, wish: BackfillJob, bench: Bench) -> Made:
    """Do a job of this kind."""
    path = None
    if wish.file is not None:
        path = bench.desk / f"{wish.file}.{wish.ending}"
        path.write_bytes((await app.jobs.file(wish.file)).content)

    def told(done: float, total: float) -> None:
        bench.tick(done * WHOLE, total * WHOLE, f"% read; {app.features.backfill.done.kept:,} kept")

    done = await backfilled(app, wish.view, path, told)
    return Made({"backfill": backfill_record(wish.view, done)})


async def backfilled(
    app: App, ref: str, path: Path | None, told: Callable[[float, float], None]
) -> Backfilled:
    """Keep the values of a file, or of a view's own source; what is there already is passed over.

    Args:
        ref: `name@version`.
        told: Called with the part that was read, and 1.0.

    Raises:
        NotFound: the view was never served here. Terminal.
        InvalidInput: the view has no source at hand, folds facts, or the source cannot be read. Terminal.
    """
    await app.features.keep_definitions(code_digest)
    view = await app.features.known_view(ref)
    with _opened(app, view, path) as (rows, columns):
        return await app.features.backfill.values(view, rows, columns, told=told)


def backfill_record(ref: str, done: Backfilled) -> dict[str, Any]:
    """Return what a backfill did as plain JSON values."""
    faults = [{"place": fault.place, "message": fault.message} for fault in done.faults]
    return {"view": ref, **done._asdict(), "faults": faults}


def columns_of(view: FeatureView[Any]) -> Columns:
    """Return in which columns a view's values stand. Raises InvalidInput: another system keeps them."""
    from opsrail.features.outside import elsewhere
    from opsrail.features.source import FeastSource, Pushed

    if view.kept is None:
        return Pushed()
    if isinstance(view.kept.source, FeastSource):
        raise elsewhere(view, "its values")
    return view.kept.source


@contextmanager
def _opened(
    app: App, view: FeatureView[Any], path: Path | None
) -> Iterator[tuple[SourceRows, Columns]]:
    """Open what a view is read from. Raises InvalidInput when nothing says what."""
    from opsrail.features.source import FileSource, SqlSource

    source = columns_of(view)
    if path is None and isinstance(source, SqlSource) and source.url:
        with _query(app, source) as rows:
            yield rows, source
        return
    if path is None and isinstance(source, FileSource) and source.path:
        path = Path(source.path)
    if path is None:
        raise InvalidInput(
            f"{view.ref} has no source at hand; name a file with --from, its code with --file, or --cases"
        )
    with file_rows(path) as rows:
        yield rows, source


@contextmanager
def file_rows(path: Path) -> Iterator[SourceRows]:
    """Open a file of values. Raises InvalidInput, MissingExtra."""
    import hashlib

    from opsrail.cases.rows import opened_rows
    from opsrail.features.backfill import SourceRow, SourceRows

    with opened_rows(path) as opened:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        rows: Iterator[SourceRow] = (
            SourceRow(row.line, row.values, row.faults) for row in opened.rows
        )
        name = f"file:{path.name}@sha256:{digest[:16]}"
        yield SourceRows(name, rows, opened.read_ratio, opened.is_text, is_file=True)


@contextmanager
def _query(app: App, source: SqlSource) -> Iterator[SourceRows]:
    from opsrail.config import resolved
    from opsrail.features.backfill import SourceRow, SourceRows
    from opsrail.values.canonical import digest

    with app.opened_query(resolved(source.url), source.query) as found:
        rows: Iterator[SourceRow] = (
            SourceRow(line, dict(zip(found.columns, row, strict=True)))
            for line, row in enumerate(found.rows, 1)
        )
        yield SourceRows(f"sql:{digest(source.query.encode())[:23]}", rows, lambda: 0.0)
