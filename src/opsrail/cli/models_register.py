"""`opsrail models register` and `opsrail models import`: a file becomes a model version."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from opsrail.cli.options import Invocation, common, examples, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.registry.importer import Looked, Offered
    from opsrail.values.columns import Column
    from opsrail.values.models import ModelVersion

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True)
class Said:
    """What the options say of a model."""

    training_rows: Path | None
    training_digest: str | None
    metrics: Mapping[str, float]
    card: Mapping[str, Any]
    by: str

    def trained(self) -> str:
        """Return the digest of what it was trained on, given as a file or as itself."""
        from opsrail.values.canonical import digest as digest_of

        if self.training_rows is not None and self.training_digest is None:
            return digest_of(self.training_rows.read_bytes())
        if self.training_rows is None and self.training_digest is not None:
            return self.training_digest
        raise click.UsageError(
            "say what it was trained on: --training-rows FILE or --training-digest sha256:HEX"
        )


def described(function: F) -> F:
    """Give a command the options that say what a model is, and hand it a `Said`."""

    @click.option("--training-rows", type=FILE, help="File it was trained on; its digest is kept.")
    @click.option("--training-digest", metavar="sha256:HEX", help="Or the digest itself.")
    @click.option(
        "--metric",
        "metrics",
        multiple=True,
        metavar="NAME=NUMBER",
        help="A figure measured in training; may be repeated.",
    )
    @click.option(
        "--card", type=FILE, help="JSON: what it is for, its limits, cost_usd of a call, pools."
    )
    @click.option(
        "--isolation",
        type=click.Choice(("none", "process")),
        help="process: run it in child processes alone, so that its crash is theirs.",
    )
    @operator
    @functools.wraps(function)
    def call(
        *positions: Any,
        training_rows: Path | None,
        training_digest: str | None,
        metrics: tuple[str, ...],
        card: Path | None,
        isolation: str | None,
        by: str,
        **given: Any,
    ) -> Any:
        figures = dict(_figure(metric) for metric in metrics)
        told = _card(card) | ({} if isolation is None else {"isolation": isolation})
        said = Said(training_rows, training_digest, figures, told, by)
        return function(*positions, said=said, **given)

    return cast(F, call)


@click.command(
    "register",
    epilog=examples(
        "opsrail models register claims-fraud fraud.onnx --training-rows claims.csv.gz --metric auc=0.763",
        "opsrail models register claims-fraud fraud.onnx --training-digest sha256:0f3c... --card card.json",
    ),
)
@click.argument("name")
@click.argument("artifact", type=FILE)
@click.option("--runtime", default="onnx", show_default=True, help="What loads it.")
@described
@common
def register(
    invocation: Invocation,
    name: str,
    artifact: Path,
    runtime: str,
    said: Said,
) -> None:
    """Keep an artifact as it is as the next version; `models import` makes one of other files.

    It answers nothing until it is promoted.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    trained = said.trained()
    content = artifact.read_bytes()

    async def work(app: App) -> ModelVersion:
        return await app.registry.register(
            name,
            content,
            runtime=runtime,
            training_digest=trained,
            by=said.by,
            metrics=said.metrics,
            card=said.card,
        )

    version = on_app(invocation, work)
    if invocation.is_json:
        print_json({"model": version_record(version)})
        return
    click.echo(f"Registered {version.name}/{version.number} ({version.digest}).")
    _say_promote(version)


@click.command(
    "import",
    epilog=examples(
        "opsrail models import model.txt --name claims-fraud --sample claims.csv --training-rows claims.csv",
        "opsrail models import model.skops --name claims-fraud --signature signature.json --point fraud-risk claims.py "
        "--training-digest sha256:0f3c... --dry-run",
        "opsrail models import claims.py --name claims-rules",
    ),
)
@click.argument("file", type=FILE)
@click.option("--name", required=True, help="Of the model.")
@click.option("--sample", type=FILE, help="CSV or JSON Lines: makes or checks the signature.")
@click.option(
    "--signature", type=FILE, help="JSON: columns, words in order of training, confidence."
)
@click.option(
    "--point",
    nargs=2,
    metavar="POINT FILE.py",
    help="Check against what this decision point gives.",
)
@click.option("--dry-run", is_flag=True, help="Look, try, and keep nothing.")
@described
@common
def import_(
    invocation: Invocation,
    file: Path,
    name: str,
    sample: Path | None,
    signature: Path | None,
    point: tuple[str, str] | None,
    dry_run: bool,
    said: Said,
) -> None:
    """Make a version of a file as training left it: .onnx, .txt (LightGBM), .json and .ubj (XGBoost), .skops, .py.

    Its signature, what stands in each column, comes from the file, --signature and --sample. All faults are told at once.
    The same file, told the same, is the same version. It answers nothing until it is promoted.
    """
    if file.suffix == ".py":
        if sample or signature or point or dry_run:
            raise click.UsageError(
                "--sample, --signature, --point and --dry-run are for files that training leaves; a function's columns "
                "stand in its file"
            )
        _import_functions(invocation, file, name, said)
        return
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    offered = _offered(file, name, sample, signature, point, said)

    async def work(app: App) -> tuple[Looked, ModelVersion | None]:
        looked = await app.importer.look(offered)
        return looked, None if dry_run else await app.importer.keep(offered, looked)

    looked, version = on_app(invocation, work)
    if invocation.is_json:
        record = None if version is None else version_record(version)
        print_json({"model": record, "import": _looked_record(offered, looked)})
        return
    _print_looked(offered, looked)
    if version is None:
        click.echo("Nothing was kept: --dry-run.")
        return
    click.echo(f"Imported {version.name}/{version.number} ({version.digest}).")
    _say_promote(version)


def version_record(version: ModelVersion) -> dict[str, Any]:
    """Return a model version as plain JSON values."""
    from dataclasses import asdict

    from opsrail.cli.render import moment

    plain = asdict(version)
    plain["created_at"] = moment(plain.pop("created_at_ms"))
    return plain


def _offered(
    file: Path,
    name: str,
    sample: Path | None,
    signature: Path | None,
    point: tuple[str, str] | None,
    said: Said,
) -> Offered:
    from opsrail.registry.importer import Offered
    from opsrail.registry.importing import Told, told_of
    from opsrail.registry.samples import read_sample

    request, features = _asked_by(point)
    return Offered(
        name,
        file.read_bytes(),
        file.suffix,
        said.trained(),
        said.by,
        told_of(signature.read_bytes()) if signature else Told(),
        read_sample(sample) if sample else None,
        request,
        features,
        said.metrics,
        said.card,
    )


def _import_functions(invocation: Invocation, file: Path, name: str, said: Said) -> None:
    """Register every `PythonModel` of that name that a file defines, in the file's order."""
    from opsrail.cases.loader import load_file
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.errors import NotFound

    definitions = load_file(file)
    models = [model for model in definitions.models if model.name == name]
    if not models:
        known = ", ".join(sorted({model.name for model in definitions.models})) or "none"
        raise NotFound(f"{file} defines no PythonModel named {name!r} (it defines: {known})")

    async def work(app: App) -> ModelVersion:
        for model in models:
            version = await app.registry.register(
                name,
                model.artifact,
                runtime="python",
                training_digest=f"sha256:{model.code}",
                by=said.by,
                metrics=said.metrics,
                card=said.card,
            )
        return version

    version = on_app(invocation, work, definitions)
    if invocation.is_json:
        print_json({"model": version_record(version), "import": None})
        return
    click.echo(
        f"Imported {version.name}/{version.number}: a function with code {models[-1].code[:12]}."
    )
    _say_promote(version)


def _asked_by(point: tuple[str, str] | None) -> tuple[Any, dict[str, Any]]:
    """Return the request model of a decision point, and what its views give, in an author's file."""
    if point is None:
        return None, {}
    from opsrail.cases.loader import load_file
    from opsrail.errors import NotFound

    definitions = load_file(Path(point[1]))
    found = definitions.points.get(point[0])
    if found is None:
        known = ", ".join(definitions.points) or "none"
        raise NotFound(f"{point[1]} defines no decision point {point[0]!r} (it defines: {known})")
    features: dict[str, Any] = {}
    for view in definitions.views:
        if view.ref in found.features:
            features |= view.read(view.initial())
    return found.request, features


def _looked_record(offered: Offered, looked: Looked) -> dict[str, Any]:
    return {
        "runtime": looked.runtime,
        "bytes": len(looked.artifact),
        "columns": [
            _column_record(looked, place, column) for place, column in enumerate(looked.columns)
        ],
        "notes": list(looked.notes),
        "card_missing": list(looked.card_missing),
        "trial": [
            {"score": one.value, "confidence": one.confidence, "unknown": list(one.unknown)}
            for one in looked.trial
        ],
    }


def _column_record(looked: Looked, place: int, column: Column) -> dict[str, Any]:
    from opsrail.values.columns import Category

    codes = column.codes if isinstance(column, Category) else None
    ends = [looked.reference.get(end) for end in ("lows", "highs")]
    missing = column.missing
    return {
        "name": column.name,
        "kind": "number" if codes is None else "words",
        "missing": "nan" if missing is not None and missing != missing else missing,
        "words": None if codes is None else sorted(codes, key=lambda word: codes[word]),
        "low": ends[0][place] if ends[0] else None,
        "high": ends[1][place] if ends[1] else None,
        "from": looked.origins[column.name],
    }


def _print_looked(offered: Offered, looked: Looked) -> None:
    from opsrail.cli.render import print_table

    cells = []
    for place, column in enumerate(looked.columns):
        told = _column_record(looked, place, column)
        span = None if told["low"] is None else f"{told['low']:g} to {told['high']:g}"
        words = None if told["words"] is None else ", ".join(told["words"][:5])
        missing = "refused" if told["missing"] is None else told["missing"]
        cells.append((column.name, told["kind"], missing, words or span, told["from"]))
    print_table(("feature", "kind", "missing", "words or range", "told by"), cells, empty="")
    for note in looked.notes:
        click.echo(note)
    for number, score in enumerate(looked.trial, 1):
        unknown = f", unknown: {', '.join(score.unknown)}" if score.unknown else ""
        click.echo(
            f"Row {number} scores {score.value:.4f} (confidence {score.confidence:.2f}{unknown})."
        )
    if looked.card_missing:
        click.echo(f"The card does not tell: {', '.join(looked.card_missing)}.")


def _say_promote(version: ModelVersion) -> None:
    click.echo(
        f"Let it answer: opsrail models promote POINT {version.name} {version.number} --stage live --reason WHY"
    )


def _figure(metric: str) -> tuple[str, float]:
    name, _, number = metric.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise click.UsageError(f"--metric {metric}: write NAME=NUMBER, e.g. auc=0.763") from None


def _card(path: Path | None) -> dict[str, Any]:
    from pydantic_core import from_json

    if path is None:
        return {}
    try:
        card = from_json(path.read_bytes())
    except ValueError as wrong:
        raise click.UsageError(f"--card {path}: {wrong}") from None
    if not isinstance(card, dict):
        raise click.UsageError(f"--card {path}: is not a JSON object")
    return card
