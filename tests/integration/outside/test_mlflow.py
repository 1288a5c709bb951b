"""Model versions from and to a real MLflow server: SQLite, artifacts in a folder, models logged with MLflow's own client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from opsrail.app import App, build
from opsrail.app.outside import exchange_of
from opsrail.config import Config
from opsrail.errors import ArtifactRefused, InvalidInput, NotFound
from opsrail.registry.exchange import trained_on
from opsrail.registry.importer import Offered
from opsrail.registry.importing import Told
from opsrail.values.canonical import digest
from opsrail.values.columns import Number
from opsrail.values.exchange import outside_name
from opsrail.values.models import ModelVersion
from tests.integration.cli.conftest import Shell
from tests.integration.cli.conftest import forks as forks  # the fixture
from tests.integration.cli.conftest import shell as shell  # the fixture
from tests.support.outside import program, said, server
from tests.support.ports import free_port
from tests.unit.models.tiny_models import tiny_bytes

pytestmark = pytest.mark.connected
SCRIPT = str(Path(__file__).with_name("log_models.py"))
TRAINED = "sha256:" + "a" * 64


class Mlflow(NamedTuple):
    """A server with models, and what they predict in MLflow's own environment."""

    url: str
    folder: Path
    told: dict[str, Any]

    def score(self, *names: str) -> dict[str, Any]:
        """Return what MLflow itself makes of the first versions of registered models."""
        words = (program("mlflow"), SCRIPT, "score", self.url, *names)
        found: dict[str, Any] = json.loads(said(*words, cwd=self.folder).splitlines()[-1])
        return found


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    folder = tmp_path_factory.mktemp("mlflow")
    (folder / "graph.onnx").write_bytes(tiny_bytes(metadata={}))
    url = f"http://127.0.0.1:{(port := free_port())}"
    words = ("server", "--port", str(port), "--workers", "1")
    places = ("--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./kept")
    logged: list[str] = []

    def log() -> None:
        out = said(program("mlflow"), SCRIPT, "log", url, "graph.onnx", cwd=folder)
        logged.append(out.splitlines()[-1])

    with server(url, program("mlflow", "mlflow"), *words, *places, cwd=folder, meanwhile=log):
        yield Mlflow(url, folder, json.loads(logged[0]))


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with build(Config(), tmp_path / "opsrail-data").opened() as app:
        yield app


async def taken(
    app: App, mlflow: Mlflow, reference: str, name: str, told: Told | None = None
) -> ModelVersion:
    exchange = exchange_of(app, mlflow.url)
    try:
        model = await exchange.fetch(outside_name(reference))
        offered = Offered(
            name, model.content, model.ending, trained_on(model) or TRAINED, "Mia", told or Told()
        )
        offered = await exchange.offered(model, offered)
    finally:
        await exchange.close()
    looked = await app.importer.look(offered)
    exchange.check(model, looked)
    return await app.importer.keep(offered, looked)


async def given(app: App, mlflow: Mlflow, version: ModelVersion, to: str) -> Any:
    exchange = exchange_of(app, mlflow.url)
    try:
        return await exchange.publish(version.name, version.number, outside_name(to), by="Mia")
    finally:
        await exchange.close()


async def scores(app: App, version: ModelVersion, rows: list[dict[str, float]]) -> list[float]:
    model = await app.registry.model(version, wait_s=30)
    return [one.value for one in model.score(rows)]


@pytest.mark.parametrize(
    ("reference", "predicted", "runtime"),
    [
        ("mlflow:boosted/1", "boosted", "lightgbm"),
        ("mlflow:boosted@champion", "boosted", "lightgbm"),
        ("mlflow:linear/1", "linear", "sklearn"),
        ("mlflow:trees/1", "trees", "xgboost"),
        ("mlflow:trees/2", "trees", "xgboost"),
    ],
)
async def test_a_version_logged_by_mlflow_scores_here_as_it_does_there(
    app: App, mlflow: Mlflow, reference: str, predicted: str, runtime: str
) -> None:
    version = await taken(app, mlflow, reference, "claims")

    assert version.runtime == runtime
    found = await scores(app, version, mlflow.told["rows"])
    assert found == pytest.approx(mlflow.told[predicted], abs=1e-6)


async def test_figures_parameters_commit_and_data_sets_of_the_run_come_along(
    app: App, mlflow: Mlflow
) -> None:
    version = await taken(app, mlflow, "mlflow:boosted@champion", "claims")

    assert version.metrics == {"auc": 0.91}
    assert version.card["purpose"] == "Finds claims that a person should see."
    assert version.card["code_revision"] == "0123456789abcdef0123456789abcdef01234567"
    there: Any = version.card["mlflow"]
    assert (there["name"], there["version"], there["server"]) == ("boosted", "1", mlflow.url)
    assert there["params"] == {"rounds": "5"}
    assert there["tags"] == {"team": "fraud"}
    assert there["datasets"][0]["name"] == "claims-1994"
    assert there["file_digest"].startswith("sha256:")
    assert version.training_digest == trained_digest(there["datasets"])


def trained_digest(datasets: list[dict[str, str]]) -> str:
    from opsrail.values.canonical import canonical

    return digest(canonical(datasets))


async def test_a_version_that_would_have_to_be_unpickled_is_refused_with_the_way_out(
    app: App, mlflow: Mlflow
) -> None:
    with pytest.raises(ArtifactRefused, match="serialization_format='skops'"):
        await taken(app, mlflow, "mlflow:pickled/1", "claims")

    assert await app.registry.versions() == []


async def test_a_graph_without_names_is_told_what_it_reads_here(app: App, mlflow: Mlflow) -> None:
    with pytest.raises(InvalidInput, match="does not name its"):
        await taken(app, mlflow, "mlflow:graph/1", "graph")
    columns = {name: Number(name) for name in ("age", "amount_usd", "kind")}

    assert (await taken(app, mlflow, "mlflow:graph/1", "graph", Told(columns))).runtime == "onnx"


async def test_names_that_only_mlflows_signature_tells_are_taken_from_it(
    app: App, mlflow: Mlflow
) -> None:
    version = await taken(app, mlflow, "mlflow:linear/1", "claims")
    model: Any = await app.registry.model(version, wait_s=30)

    assert [column.name for column in model.columns] == ["age", "amount_usd", "trips"]


async def test_what_is_exported_comes_back_as_the_same_artifact_and_mlflow_itself_scores_it(
    app: App, mlflow: Mlflow
) -> None:
    versions = {}
    for name, number in (("boosted", 1), ("trees", 2), ("linear", 1)):
        version = versions[name] = await taken(app, mlflow, f"mlflow:{name}/{number}", name)
        done = await given(app, mlflow, version, f"mlflow:back-{name}")
        again = await given(app, mlflow, version, f"mlflow:back-{name}")
        back = await taken(app, mlflow, f"mlflow:back-{name}/1", "back")

        assert (done.is_new, again.is_new, done.version, again.version) == (True, False, "1", "1")
        assert (back.digest, back.training_digest) == (version.digest, version.training_digest)

    there = mlflow.score(*(f"back-{name}" for name in versions))
    for name, version in versions.items():
        found = there[f"back-{name}"]
        assert found["tags"]["opsrail.digest"] == version.digest
        assert found["tags"]["opsrail.version"] == f"{name}/{version.number}"
        assert (found["metrics"], found["status"]) == ({"auc": 0.91}, "FINISHED")
        assert found["scores"] == pytest.approx(mlflow.told[name], abs=1e-6)


async def test_an_export_whose_file_was_changed_there_is_refused(app: App, mlflow: Mlflow) -> None:
    version = await taken(app, mlflow, "mlflow:boosted/1", "claims")
    done = await given(app, mlflow, version, "mlflow:tampered")
    (file,) = mlflow.folder.glob(f"kept/*/{done.run_id}/artifacts/model/model.lgb")
    file.write_bytes(file.read_bytes().replace(b"leaf_value=", b"leaf_value=0", 1))

    with pytest.raises(ArtifactRefused, match="it was changed"):
        await taken(app, mlflow, f"mlflow:tampered/{done.version}", "back")


async def test_an_export_whose_signature_was_changed_there_is_refused(
    app: App, mlflow: Mlflow
) -> None:
    version = await taken(app, mlflow, "mlflow:boosted/1", "claims")
    done = await given(app, mlflow, version, "mlflow:resigned")
    (file,) = mlflow.folder.glob(f"kept/*/{done.run_id}/artifacts/model/opsrail/signature.json")
    file.write_bytes(file.read_bytes().replace(b'"nan"', b"0.5", 1))

    with pytest.raises(ArtifactRefused, match="its files make"):
        await taken(app, mlflow, f"mlflow:resigned/{done.version}", "back")


async def test_what_is_not_there_is_said(app: App, mlflow: Mlflow) -> None:
    for reference in ("mlflow:boosted/99", "mlflow:nothing/1", "mlflow:boosted@nobody"):
        with pytest.raises(NotFound, match="has no such thing"):
            await taken(app, mlflow, reference, "claims")


def test_the_command_imports_and_exports(
    mlflow: Mlflow, shell: Shell, app: App, tmp_path: Path
) -> None:
    uri = ("--tracking-uri", mlflow.url)
    wrong = shell("models", "import", "mlflow:boosted/1", *uri, "--digest", TRAINED, "--json")
    shown = shell("models", "import", "mlflow:boosted@champion", *uri, "--json")
    out = shell("models", "export", "boosted/1", "mlflow:by-command", "--json", env={
        "OPSRAIL_MODELS__TRACKING_URI": mlflow.url,
    })  # fmt: skip

    assert (wrong.status, wrong.json["error"]["code"]) == (1, "artifact-refused")
    assert shown.json["model"]["name"] == "boosted"
    assert (out.json["export"]["name"], out.json["export"]["is_new"]) == ("by-command", True)
