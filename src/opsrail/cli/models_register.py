"""`opsrail models register` and `opsrail models import`: a file becomes a model version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from opsrail.cli.models_given import FILE, Importable, Meant, Said, described
from opsrail.cli.models_outside import There, import_outside
from opsrail.cli.models_shown import say_imported, say_promote, version_record
from opsrail.cli.options import Invocation, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.registry.importer import Looked, WouldBe
    from opsrail.values.models import ModelVersion


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

    version = on_app(invocation, work, makes=True)
    if invocation.is_json:
        print_json({"model": version_record(version)})
        return
    click.echo(f"Registered {version.name}/{version.number} ({version.digest}).")
    say_promote(version)


@click.command(
    "import",
    epilog=examples(
        "opsrail models import model.txt --name claims-fraud --sample claims.csv --training-rows claims.csv",
        "opsrail models import model.skops --name claims-fraud --signature signature.json --point fraud-risk claims.py "
        "--training-digest sha256:0f3c... --dry-run",
        "opsrail models import claims.py --name claims-rules",
        "opsrail models import mlflow:claims-fraud@champion --tracking-uri http://127.0.0.1:5000",
    ),
)
@click.argument("file", type=Importable(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Of the model; of one from MLflow its name there, unless told.")
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
@click.option("--tracking-uri", help="MLflow server. [default: models.tracking_uri]")
@click.option("--digest", metavar="sha256:HEX", help="That the file from MLflow has to have.")
@described
@common
def import_(
    invocation: Invocation,
    file: Path | str,
    name: str | None,
    sample: Path | None,
    signature: Path | None,
    point: tuple[str, str] | None,
    dry_run: bool,
    tracking_uri: str | None,
    digest: str | None,
    said: Said,
) -> None:
    """Make a version of a file as training left it: .onnx, .txt (LightGBM), .json and .ubj (XGBoost), .skops, .py.

    Its signature, what stands in each column, comes from the file, --signature and --sample. All faults are told at once.
    The same file, told the same, is the same version. It answers nothing until it is promoted.

    mlflow:NAME/VERSION and mlflow:NAME@ALIAS take a version from an MLflow server, with what its run tells.
    """
    meant = Meant(sample, signature, point, said)
    if isinstance(file, str):
        there = There(file, tracking_uri or "", digest)
        import_outside(invocation, there, name, meant, is_kept=not dry_run)
        return
    if tracking_uri or digest:
        raise click.UsageError("--tracking-uri and --digest are for models from MLflow")
    if name is None:
        raise click.UsageError("say what the model is called: --name NAME")
    if file.suffix == ".py":
        if sample or signature or point or dry_run:
            raise click.UsageError(
                "--sample, --signature, --point and --dry-run are for files that training leaves; a function's columns "
                "stand in its file"
            )
        _import_functions(invocation, file, name, said)
        return
    from opsrail.cli.session import on_app

    content, trained = file.read_bytes(), said.trained()
    offered = meant.offered(name, content, file.suffix, trained)

    async def work(app: App) -> tuple[Looked, ModelVersion | WouldBe]:
        looked = await app.importer.look(offered)
        return looked, await app.importer.take(offered, looked, is_kept=not dry_run)

    looked, version = on_app(invocation, work, makes=not dry_run, keeps=not dry_run)
    say_imported(offered, looked, version, is_json=invocation.is_json)


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

    version = on_app(invocation, work, definitions, makes=True)
    if invocation.is_json:
        print_json({"model": version_record(version), "import": None})
        return
    click.echo(
        f"Imported {version.name}/{version.number}: a function with code {models[-1].code[:12]}."
    )
    say_promote(version)
