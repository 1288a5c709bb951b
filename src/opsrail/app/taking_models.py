"""Model versions from files that were sent, or from an MLflow server: the jobs `register`, `import` and `import-mlflow`.

They do what `opsrail models register` and `models import` do, with the same checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import Field, StringConstraints

from opsrail.app.outside import exchange_of
from opsrail.app.wired import App
from opsrail.app.work import POINT, Bench, Digest, FileId, Json, Made, Number, Part
from opsrail.errors import InvalidInput, NotFound
from opsrail.registry.describing import version_record
from opsrail.registry.exchange import trained_on
from opsrail.registry.importer import Looked, Offered, looked_record
from opsrail.registry.importing import Told, told_of
from opsrail.registry.samples import read_sample
from opsrail.values.exchange import REFERENCE, outside_name

if TYPE_CHECKING:
    from opsrail.cases.loader import Definitions
    from opsrail.features.view import FeatureView
    from opsrail.values.models import ModelVersion

OUTSIDE_NAME = r"[^/@:\s\x00-\x20\x7f-\xa0\ufeff]{1,200}"
"""Without white space, whichever reader's idea of it."""
Who = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Described(Part):
    """What is said of a model, whichever way it comes."""

    metrics: Annotated[
        dict[str, Number],
        Field(max_length=200, description="Figures measured in training", default_factory=dict),
    ]
    card: Annotated[
        dict[str, Json],
        Field(description="Owner, intended_use, ..., pools", default_factory=dict),
    ]


class RegisterWish(Described):
    """An artifact that is kept as it is."""

    file: FileId
    digest: Annotated[Digest | None, Field(description="That the file has to have")] = None
    training_digest: Annotated[Digest, Field(description="Of what it was trained on")]
    runtime: Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9-]{0,62}$")] = "onnx"


class Read(Described):
    """How a file is to be read that training left."""

    signature: Annotated[
        dict[str, Json] | None, Field(description="Columns, words in order of training, confidence")
    ] = None
    sample: Annotated[FileId | None, Field(description="Rows: make or check the signature")] = None
    sample_ending: Literal["csv", "jsonl"] = "csv"
    point: Annotated[
        Annotated[str, StringConstraints(pattern=f"^{POINT}$")] | None,
        Field(description="Check against what this decision point gives"),
    ] = None
    is_dry_run: Annotated[bool, Field(description="Look, try, and keep nothing")] = False


class ImportWish(Read):
    """A file as training left it."""

    file: FileId
    ending: Annotated[
        Literal[".onnx", ".txt", ".json", ".ubj", ".skops"], Field(description="Of the file's name")
    ]
    digest: Annotated[Digest | None, Field(description="That the file has to have")] = None
    training_digest: Annotated[Digest, Field(description="Of what it was trained on")]


class MlflowWish(Read):
    """A version in the MLflow server that the settings name."""

    reference: Annotated[
        str,
        StringConstraints(pattern=f"^mlflow:{OUTSIDE_NAME}(/[0-9]{{1,18}}|@{OUTSIDE_NAME})$"),
        Field(description="`mlflow:NAME/VERSION` or `mlflow:NAME@ALIAS`"),
    ]
    digest: Annotated[Digest | None, Field(description="That its file has to have")] = None
    training_digest: Annotated[
        Digest | None, Field(description="Of what it was trained on; null: as it is told there")
    ] = None


class RegisterJob(RegisterWish):
    """The same, under a name."""

    name: str
    by: Who


class ImportJob(ImportWish):
    """The same, under a name."""

    name: str
    by: Who


class MlflowJob(MlflowWish):
    """The same, under a name."""

    name: str
    by: Who


async def register_job(app: App, wish: RegisterJob, bench: Bench) -> Made:
    """Do a job of this kind."""
    version = await app.registry.register(
        wish.name,
        (await app.jobs.file(wish.file)).content,
        runtime=wish.runtime,
        training_digest=wish.training_digest,
        by=wish.by,
        metrics=wish.metrics,
        card=wish.card,
    )
    return Made({"model": version_record(version)})


async def import_job(app: App, wish: ImportJob, bench: Bench) -> Made:
    """Do a job of this kind."""
    content = (await app.jobs.file(wish.file)).content
    offered = await _offered(app, wish, content, wish.ending, wish.training_digest, bench)
    looked = await app.importer.look(offered)
    return await _made(app, wish, offered, looked)


async def import_mlflow_job(app: App, wish: MlflowJob, bench: Bench) -> Made:
    """Do a job of this kind. The server is the one of the settings: whoever asks names none."""
    wanted = outside_name(wish.reference)
    if REFERENCE.fullmatch(wish.reference) is None or not (wanted.version or wanted.alias):
        raise InvalidInput(f"say which version: {wish.reference}/VERSION or @ALIAS")
    exchange = exchange_of(app)
    try:
        model = await exchange.fetch(wanted, wish.digest)
        trained = wish.training_digest or trained_on(model)
        if trained is None:
            raise InvalidInput("MLflow does not tell what it was trained on; say training_digest")
        said = await _offered(app, wish, model.content, model.ending, trained, bench)
        offered = await exchange.offered(model, said)
    finally:
        await exchange.close()
    looked = await app.importer.look(offered)
    exchange.check(model, looked)
    made = await _made(app, wish, offered, looked)
    there = {"server": model.server, "name": model.name, "version": model.version}
    return made._replace(result={**made.result, "from": {**there, "notes": list(model.notes)}})


async def _offered(
    app: App, wish: ImportJob | MlflowJob, content: bytes, ending: str, trained: str, bench: Bench
) -> Offered:
    """Return a file with all that is said of it."""
    offered = Offered(
        wish.name, content, ending, trained, wish.by,
        Told() if wish.signature is None else told_of(orjson.dumps(wish.signature)),
        metrics=wish.metrics, card=wish.card,
    )  # fmt: skip
    if wish.sample is not None:
        path = bench.desk / f"sample.{wish.sample_ending}"
        path.write_bytes((await app.jobs.file(wish.sample)).content)
        offered = replace(offered, sample=read_sample(path))
    if wish.point is not None:
        request, features = asked_by(app.definitions, wish.point)
        offered = replace(offered, request=request, features=features)
    return offered


async def _made(app: App, wish: ImportJob | MlflowJob, offered: Offered, looked: Looked) -> Made:
    version: ModelVersion | None = None
    if not wish.is_dry_run:
        version = await app.importer.keep(offered, looked)
    record = None if version is None else version_record(version)
    return Made({"model": record, "import": looked_record(looked)})


def asked_by(definitions: Definitions, point: str) -> tuple[Any, Mapping[str, Any]]:
    """Return the request model of a decision point, and what its views give.

    Raises:
        NotFound: the code defines no such point. Terminal.
    """
    found = definitions.points.get(point)
    if found is None:
        files = ", ".join(definitions.files) or "the code"
        known = ", ".join(definitions.points) or "none"
        raise NotFound(f"{files} defines no decision point {point!r} (it defines: {known})")
    features: dict[str, Any] = {}
    for view in definitions.views:
        if view.ref in found.features:
            features |= kinds_of(view)
    return found.request, features


def kinds_of(view: FeatureView[Any]) -> dict[str, Any]:
    """Return what a view gives by name: a type; of a kept view also None, as any of its values may be unknown."""
    if view.kept is not None:
        return {name: kind | None for name, kind in view.kept.features.items()}
    return {name: type(value) for name, value in view.read(view.initial()).items()}
