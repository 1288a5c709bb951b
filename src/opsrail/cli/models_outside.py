"""`opsrail models import mlflow:...` and `opsrail models export`: versions from and to an MLflow server."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from opsrail.cli.models_given import Meant
from opsrail.cli.models_shown import say_imported
from opsrail.cli.options import Invocation, VersionText, common, examples, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.registry.importer import Looked, Offered, WouldBe
    from opsrail.values.exchange import OutsideModel, Published
    from opsrail.values.models import ModelVersion


class There(NamedTuple):
    """A model in an MLflow server.

    Attributes:
        reference: `mlflow:NAME/VERSION` or `mlflow:NAME@ALIAS`.
        server: Its address; empty: the setting's.
        digest: That its file has to have; None: any.
    """

    reference: str
    server: str
    digest: str | None


def import_outside(
    invocation: Invocation, there: There, name: str | None, meant: Meant, *, is_kept: bool
) -> None:
    """Make a version of a model in an MLflow server."""
    from opsrail.app.outside import exchange_of
    from opsrail.cli.session import on_app
    from opsrail.values.exchange import outside_name

    wanted = outside_name(there.reference)
    if not wanted.version and not wanted.alias:
        raise click.UsageError(
            f"say which version: {there.reference}/VERSION or {there.reference}@ALIAS"
        )

    async def work(app: App) -> tuple[OutsideModel, Offered, Looked, ModelVersion | WouldBe]:
        exchange = exchange_of(app, there.server)
        try:
            model = await exchange.fetch(wanted, there.digest)
            offered = await exchange.offered(model, _offered(model, name, meant))
        finally:
            await exchange.close()
        looked = await app.importer.look(offered)
        exchange.check(model, looked)
        return model, offered, looked, await app.importer.take(offered, looked, is_kept=is_kept)

    model, offered, looked, version = on_app(invocation, work, makes=is_kept, keeps=is_kept)
    if not invocation.is_json:
        click.echo(f"{model.name} version {model.version} at {model.server}: {model.file}.")
        for note in model.notes:
            click.echo(note)
    say_imported(offered, looked, version, is_json=invocation.is_json)


def _offered(model: OutsideModel, name: str | None, meant: Meant) -> Offered:
    from opsrail.registry.exchange import trained_on

    trained = meant.said.trained(trained_on(model))
    return meant.offered(name or model.name, model.content, model.ending, trained)


@click.command(
    "export",
    epilog=examples(
        "opsrail models export claims-fraud/7 mlflow:claims-fraud --tracking-uri http://127.0.0.1:5000",
    ),
)
@click.argument("version", type=VersionText(), metavar="NAME/NUMBER")
@click.argument("to", metavar="mlflow:NAME")
@click.option("--tracking-uri", help="MLflow server. [default: models.tracking_uri]")
@operator
@common
def export(
    invocation: Invocation, version: tuple[str, int], to: str, tracking_uri: str | None, by: str
) -> None:
    """Write a version to an MLflow server: file, signature, card, figures, digests.

    MLflow gives it its next number, unless the same artifact stands there under that name already.
    """
    from opsrail.app.outside import exchange_of
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.values.exchange import outside_name

    wanted = outside_name(to)
    if wanted.version or wanted.alias:
        raise click.UsageError(f"MLflow gives versions their numbers; write mlflow:{wanted.name}")

    async def work(app: App) -> Published:
        exchange = exchange_of(app, tracking_uri or "")
        try:
            return await exchange.publish(*version, wanted, by=by)
        finally:
            await exchange.close()

    done = on_app(invocation, work)
    if invocation.is_json:
        print_json({"export": done._asdict()})
        return
    what = "Exported" if done.is_new else "Nothing was written, the same artifact stands there:"
    click.echo(f"{what} {version} as {done.name} version {done.version} at {done.server}.")
