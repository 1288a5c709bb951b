"""Model versions from and to an MLflow server, over its REST API; no package of MLflow's is needed.

Taken: a registered model's version, its run's figures, parameters and tags, and the one file that holds the model. The
server's own artifact proxy is asked, nobody else: a server that leaves artifacts to a bucket or a folder is refused.

Written: a run with figures, tags and the files, and then, last, the model version: until it stands nothing was exported.

Source:
    MLflow REST API 2.0, https://mlflow.org/docs/latest/api_reference/rest-api.html; `mlflow-artifacts` as MLflow 3's
    `mlflow_artifacts.proto` has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opsrail.clock import Clock
from opsrail.connect import mlflow_export, mlmodel
from opsrail.connect.outside_http import Answer, OutsideHttp
from opsrail.errors import ArtifactRefused, Denied, NotFound, Unavailable
from opsrail.values.canonical import digest
from opsrail.values.exchange import OutsideModel, OutsideName, Published
from opsrail.values.models import ModelVersion

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
LARGEST_TOLD_BYTES = 8_000_000
LARGEST_MODEL_BYTES = 200_000_000
"""Ours: the largest artifact that a runtime loads (ONNX)."""
MOST_TOLD = 200
"""Parameters and tags that are taken. Ours: more is no card."""
DIGEST_TAG = "opsrail.digest"
FILE_DIGEST_TAG = "opsrail.file_digest"
TRAINING_TAG = "opsrail.training_digest"
COMMIT_TAG = "mlflow.source.git.commit"


class MlflowRegistry:
    """One MLflow server.

    Args:
        timeout_s: For one call; a file may take ten times as long.
    """

    def __init__(
        self, http: OutsideHttp, clock: Clock, *, timeout_s: float, experiment: str = "opsrail"
    ) -> None:
        self._http = http
        self._clock = clock
        self._timeout_s = timeout_s
        self._experiment = experiment

    async def close(self) -> None:
        await self._http.close()

    async def fetch(self, name: OutsideName) -> OutsideModel:
        version = await self._version(name)
        number = str(version.get("version", ""))
        what = f"{OutsideName(name.name, number)} at {self._http.server.origin}"
        if version.get("status", "READY") != "READY":
            raise Unavailable(f"{what} is not ready there yet; try again later")
        where = await self._call(
            "GET", "model-versions/get-download-uri", {"name": name.name, "version": number}
        )
        folder = self._folder(str(where.get("artifact_uri", "")), what)
        taken = mlmodel.taken(
            await self._file(f"{folder}/MLmodel", mlmodel.LARGEST_BYTES, what), what
        )
        content = await self._file(f"{folder}/{taken.file}", LARGEST_MODEL_BYTES, what)
        tags = pairs(version.get("tags"))
        check_file(what, content, tags.get(FILE_DIGEST_TAG))
        signature = None
        if taken.has_signature:
            signature = await self._file(
                f"{folder}/{mlflow_export.SIGNATURE}", LARGEST_TOLD_BYTES, what
            )
        run = await self._run(str(version.get("run_id") or ""))
        return self._model(name.name, number, version, taken, content, signature, run)

    async def publish(
        self, name: OutsideName, version: ModelVersion, artifact: bytes, by: str
    ) -> Published:
        files = mlflow_export.files_of(version, artifact)
        origin = self._http.server.origin
        if (there := await self._same(name.name, version.digest)) is not None:
            return Published(
                origin, name.name, str(there["version"]), str(there.get("run_id", "")), False
            )
        run = await self._begun(version, by)
        place = f"{run['artifact_uri'].rstrip('/')}/model"
        folder = self._folder(place, str(name))
        for path, content in files(place).items():
            await self._put(f"{folder}/{path}", content)
        await self._registered(name.name)
        tags = mlflow_export.tags_of(version, artifact)
        body = {
            "name": name.name,
            "source": place,
            "run_id": run["run_id"],
            "description": mlflow_export.description_of(version),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        made = await self._call("POST", "model-versions/create", json=body)
        ended = {"run_id": run["run_id"], "status": "FINISHED", "end_time": self._clock.now_ms()}
        await self._call("POST", "runs/update", json=ended)
        number = str(made["model_version"]["version"])
        return Published(origin, name.name, number, run["run_id"], True)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _version(self, name: OutsideName) -> dict[str, Any]:
        if name.alias:
            params = {"name": name.name, "alias": name.alias}
            return _part(
                await self._call("GET", "registered-models/alias", params), "model_version"
            )
        params = {"name": name.name, "version": name.version}
        return _part(await self._call("GET", "model-versions/get", params), "model_version")

    async def _run(self, run_id: str) -> dict[str, Any]:
        """Return the run that a version came from; empty where there is none any more."""
        if not run_id:
            return {}
        try:
            return _part(await self._call("GET", "runs/get", {"run_id": run_id}), "run")
        except NotFound:
            return {}

    def _model(
        self,
        name: str,
        number: str,
        version: Mapping[str, Any],
        taken: mlmodel.Taken,
        content: bytes,
        signature: bytes | None,
        run: Mapping[str, Any],
    ) -> OutsideModel:
        told = run.get("data") if isinstance(run.get("data"), dict) else {}
        run_tags, tags = pairs((told or {}).get("tags")), pairs(version.get("tags"))
        metrics, not_finite = figures((told or {}).get("metrics"))
        return OutsideModel(
            server=self._http.server.origin,
            name=name,
            version=number,
            ending=taken.ending,
            file=taken.file,
            content=content,
            inputs=taken.inputs,
            signature=signature,
            digest=tags.get(DIGEST_TAG),
            training_digest=tags.get(TRAINING_TAG),
            description=str(version.get("description") or ""),
            metrics=metrics,
            datasets=_datasets(run),
            revision=run_tags.get(COMMIT_TAG),
            notes=tuple(f"{one}: is no finite number and was left out." for one in not_finite),
            told={
                **taken.told,
                "run_id": str(version.get("run_id") or ""),
                "source": run_tags.get("mlflow.source.name", ""),
                "user": run_tags.get("mlflow.user", ""),
                "params": pairs((told or {}).get("params")),
                "tags": {key: value for key, value in run_tags.items() if not key.startswith("mlflow.")} | tags,
                "file_digest": digest(content),
            },
        )  # fmt: skip

    # -- writing -----------------------------------------------------------------------------------------------------

    async def _same(self, name: str, artifact_digest: str) -> dict[str, Any] | None:
        """Return the version there that holds the same artifact."""
        params = {"filter": f"name='{name}'", "max_results": "1000"}
        found = await self._call("GET", "model-versions/search", params)
        for one in found.get("model_versions", ()):
            if pairs(one.get("tags")).get(DIGEST_TAG) == artifact_digest:
                return dict(one)
        return None

    async def _begun(self, version: ModelVersion, by: str) -> dict[str, Any]:
        """Return a new run that holds the version's figures."""
        try:
            found = await self._call(
                "GET", "experiments/get-by-name", {"experiment_name": self._experiment}
            )
            experiment = str(_part(found, "experiment")["experiment_id"])
        except NotFound:
            made = await self._call("POST", "experiments/create", json={"name": self._experiment})
            experiment = str(made["experiment_id"])
        now_ms = self._clock.now_ms()
        title = f"{version.name}/{version.number}"
        tags = {"mlflow.user": by, "mlflow.source.name": "opsrail", "opsrail.version": title}
        begun = await self._call(
            "POST",
            "runs/create",
            json={
                "experiment_id": experiment,
                "run_name": title,
                "start_time": now_ms,
                "tags": [{"key": key, "value": value} for key, value in tags.items()],
            },
        )
        info: dict[str, Any] = _part(begun, "run")["info"]
        metrics = [
            {"key": key, "value": value, "timestamp": now_ms, "step": 0}
            for key, value in version.metrics.items()
        ]
        if metrics:
            batch = {"run_id": info["run_id"], "metrics": metrics}
            await self._call("POST", "runs/log-batch", json=batch)
        return info

    async def _registered(self, name: str) -> None:
        answer = await self._ask("POST", "registered-models/create", json={"name": name})
        if answer.status != 200 and "RESOURCE_ALREADY_EXISTS" not in answer.told():
            self._read(answer, "registered-models/create")

    # -- one call ----------------------------------------------------------------------------------------------------

    async def _call(
        self, method: str, path: str, params: Mapping[str, str] | None = None, json: Any = None
    ) -> dict[str, Any]:
        return self._read(await self._ask(method, path, params, json), path)

    async def _ask(
        self, method: str, path: str, params: Mapping[str, str] | None = None, json: Any = None
    ) -> Answer:
        return await self._http.ask(
            method,
            API + path,
            wait_s=self._timeout_s,
            most_bytes=LARGEST_TOLD_BYTES,
            params=params,
            json=json,
        )

    def _read(self, answer: Answer, path: str) -> dict[str, Any]:
        self._check(answer, path)
        try:
            tree = answer.json()
        except ValueError:
            tree = None
        if not isinstance(tree, dict):
            raise Unavailable(
                f"{self._http.name} answered {path} with no JSON; is it an MLflow server?"
            )
        return tree

    def _check(self, answer: Answer, path: str) -> None:
        if answer.status == 404 or (answer.status == 400 and "not found" in answer.told()):
            raise NotFound(f"{self._http.name} has no such thing ({path}, {answer.told()})")
        if answer.status in (401, 403):
            raise Denied(
                f"{self._http.name} refuses ({path}, status {answer.status}); name the key with models.tracking_secret"
            )
        if answer.status != 200:
            raise Unavailable(f"{self._http.name} did not do {path}: {answer.told()}")

    async def _file(self, path: str, most_bytes: int, what: str) -> bytes:
        answer = await self._http.ask(
            "GET", ARTIFACTS + path, wait_s=10 * self._timeout_s, most_bytes=most_bytes
        )
        if answer.status == 404:
            raise NotFound(f"{what} has no file {path.rsplit('/', 1)[-1]} there; log it anew")
        self._check(answer, "artifacts")
        return answer.content

    async def _put(self, path: str, content: bytes) -> None:
        self._check(
            await self._http.ask(
                "PUT",
                ARTIFACTS + path,
                wait_s=10 * self._timeout_s,
                most_bytes=LARGEST_TOLD_BYTES,
                content=content,
            ),
            "artifacts",
        )

    def _folder(self, uri: str, what: str) -> str:
        """Return where the server's proxy has an artifact folder; only what this very server serves is asked for."""
        parts = urlsplit(uri)
        here = self._http.server
        path = parts.path.lstrip("/")
        is_here = not parts.netloc or (parts.hostname, parts.port) == (here.host, here.port)
        is_proxied = parts.scheme == "mlflow-artifacts"
        if parts.scheme in ("http", "https") and parts.path.startswith(here.path + ARTIFACTS):
            is_proxied, path = True, parts.path.removeprefix(here.path + ARTIFACTS)
        if (
            not is_proxied
            or not is_here
            or ".." in path.split("/")
            or parts.query
            or parts.fragment
        ):
            raise ArtifactRefused(
                f"{what}: its files are at {parts.scheme or 'a path'}:..., which this server does not serve; start it with "
                "--serve-artifacts and --artifacts-destination, or download the file and import that."
            )
        return path.rstrip("/")


def check_file(what: str, content: bytes, expected: str | None) -> None:
    """Raise ArtifactRefused unless a file has the digest that is expected, if any is."""
    if expected is not None and (found := digest(content)) != expected:
        raise ArtifactRefused(
            f"{what}: its file has digest {found}, expected was {expected}; it was changed. Nothing was kept."
        )


def pairs(listed: object) -> dict[str, str]:
    """Return MLflow's lists of {"key", "value"} as a mapping, at most `MOST_TOLD`."""
    if not isinstance(listed, list):
        return {}
    held = [one for one in listed if isinstance(one, dict) and "key" in one]
    return {str(one["key"]): str(one.get("value", "")) for one in held[:MOST_TOLD]}


def figures(listed: object) -> tuple[dict[str, float], list[str]]:
    """Return the finite ones of a run's figures, and the names of the others."""
    finite, rest = {}, []
    for one in listed if isinstance(listed, list) else ():
        key, value = str(one.get("key", "")), one.get("value")
        if isinstance(value, int | float) and math.isfinite(value):
            finite[key] = float(value)
        else:
            rest.append(key)
    return finite, rest


def _datasets(run: Mapping[str, Any]) -> list[dict[str, str]]:
    inputs = run.get("inputs")
    listed = inputs.get("dataset_inputs") if isinstance(inputs, dict) else None
    held = [one.get("dataset", {}) for one in listed or () if isinstance(one, dict)]
    return [
        {key: str(one.get(key, "")) for key in ("name", "digest", "source_type", "profile")}
        for one in held[:MOST_TOLD]
    ]


def _part(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = tree.get(name)
    if not isinstance(part, dict):
        raise Unavailable(f"the MLflow server answered without {name}; is it an MLflow server?")
    return part
