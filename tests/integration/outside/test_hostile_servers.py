"""Servers that lead elsewhere, flood, dawdle or lie: an operator's address is all that is asked, and keys stay in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from opsrail.app import App, build
from opsrail.app.outside import exchange_of
from opsrail.config import Config, ModelsConfig
from opsrail.connect.outside_http import OutsideHttp, server_of
from opsrail.errors import ArtifactRefused, Denied, InvalidInput, OpsrailError, Unavailable
from opsrail.values.exchange import outside_name

KEY = "k3y-that-nobody-may-see"
Answering = Callable[[str], tuple[int, bytes, dict[str, str]]]
MLMODEL = b"flavors:\n  lightgbm:\n    data: %s\n    model_class: lightgbm.basic.Booster\n"


class Peer:
    """A server that answers as it is told to, and remembers what it was asked."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.asked: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head)
        status, body, more = self._answering(head.split()[1])
        fields = {"content-length": str(len(body)), "connection": "close", **more}
        text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{text}\r\n".encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def peer(answering: Answering) -> AsyncIterator[Peer]:
    serving = Peer(answering)
    server = await asyncio.start_server(serving.serve, "127.0.0.1", 0)
    async with server:
        serving.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield serving


def mlflow(
    *, uri: str = "mlflow-artifacts:/1/model", mlmodel: bytes = b"", version: Any = None
) -> Answering:
    """Answer as an MLflow server whose version has its files there."""

    def answer(path: str) -> tuple[int, bytes, dict[str, str]]:
        if "get-download-uri" in path:
            return 200, json.dumps({"artifact_uri": uri}).encode(), {}
        if "model-versions/get" in path:
            held = {"version": "1", "status": "READY", "run_id": ""} | (version or {})
            return 200, json.dumps({"model_version": held}).encode(), {}
        return 200, mlmodel if path.endswith("MLmodel") else b"tree", {}

    return answer


async def fetched(folder: Path, url: str, **models: Any) -> Any:
    config = Config(models=ModelsConfig(**models))
    async with build(config, folder).opened() as app:
        return await _fetched(app, url)


async def _fetched(app: App, url: str) -> Any:
    exchange = exchange_of(app, url)
    try:
        return await exchange.fetch(outside_name("mlflow:claims/1"))
    finally:
        await exchange.close()


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async with peer(lambda path: (200, b"{}", {})) as target:
        led = {"location": f"{target.url}/elsewhere"}
        async with peer(lambda path: (302, b"", led)) as here:
            with pytest.raises(Unavailable, match="wants to lead elsewhere"):
                await fetched(tmp_path, here.url)

        assert target.asked == []


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/model",
        "file:///etc",
        "/etc/passwd",
        "mlflow-artifacts://169.254.169.254/1/model",
        "http://169.254.169.254/api/2.0/mlflow-artifacts/artifacts/1",
        "mlflow-artifacts:/1/../../secrets",
        "dbfs:/models/1",
    ],
)
async def test_files_that_lie_elsewhere_are_not_asked_for(tmp_path: Path, uri: str) -> None:
    async with peer(mlflow(uri=uri)) as here:
        with pytest.raises(ArtifactRefused, match="does not serve"):
            await fetched(tmp_path, here.url)

        assert not any("artifacts/" in head.split()[1] for head in here.asked)


@pytest.mark.parametrize("file", [b"../../../etc/passwd", b"/etc/passwd", b"a/../../b.txt"])
async def test_a_description_cannot_name_a_file_outside_its_folder(
    tmp_path: Path, file: bytes
) -> None:
    async with peer(mlflow(mlmodel=MLMODEL % file)) as here:
        with pytest.raises(ArtifactRefused, match="is not taken"):
            await fetched(tmp_path, here.url)


@pytest.mark.parametrize(
    "mlmodel", [b"\xff\xfe", b"a: [", b"- 1", b"flavors: 7", b"{" * 1500, b"!!python/object:os.system x"]
)  # fmt: skip
async def test_a_description_that_is_none_is_refused(tmp_path: Path, mlmodel: bytes) -> None:
    async with peer(mlflow(mlmodel=mlmodel)) as here:
        with pytest.raises(ArtifactRefused):
            await fetched(tmp_path, here.url)


async def test_a_digest_that_the_file_has_not_is_refused_at_the_download(tmp_path: Path) -> None:
    tags = [{"key": "opsrail.file_digest", "value": "sha256:" + "0" * 64}]
    answering = mlflow(mlmodel=MLMODEL % b"model.lgb", version={"tags": tags})
    async with peer(answering) as here:
        with pytest.raises(ArtifactRefused, match="it was changed"):
            await fetched(tmp_path, here.url)


async def test_a_server_that_answers_too_much_or_too_late_is_unavailable(tmp_path: Path) -> None:
    flood = b'{"model_version": "' + b"x" * 9_000_000 + b'"}'
    async with peer(lambda path: (200, flood, {})) as here:
        with pytest.raises(Unavailable, match="answered more than"):
            await fetched(tmp_path, here.url)
    async with peer(lambda path: (200, b"", {"content-length": "10"})) as here:
        with pytest.raises(Unavailable):
            await fetched(tmp_path, here.url)
    silent = await asyncio.start_server(_silent, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match=r"no answer in 0\.2 s"):
            await fetched(tmp_path, f"http://127.0.0.1:{port}", tracking_timeout_s=0.2)


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def test_what_is_no_mlflow_server_is_said(tmp_path: Path) -> None:
    async with peer(lambda path: (200, b"<html>", {})) as here:
        with pytest.raises(Unavailable, match="is it an MLflow server"):
            await fetched(tmp_path, here.url)


@pytest.mark.parametrize(
    ("secret", "sent"), [(KEY, f"Bearer {KEY}"), (f"mia:{KEY}", "Basic bWlhOms=")]
)
async def test_the_key_goes_to_the_server_of_the_settings_alone_and_into_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, sent: str
) -> None:
    monkeypatch.setenv("MLFLOW_KEY", secret)

    def refused(path: str) -> tuple[int, bytes, dict[str, str]]:
        return 401, json.dumps({"message": "no"}).encode(), {}

    async with peer(refused) as named, peer(refused) as other:
        setting = {"tracking_uri": named.url, "tracking_secret": "env:MLFLOW_KEY"}
        messages = []
        for url in ("", other.url):
            with pytest.raises(Denied) as fault:
                await fetched(tmp_path, url, **setting)
            messages.append(str(fault.value))

        assert f"authorization: {sent[:13]}" in named.asked[0]
        assert "authorization" not in other.asked[0]
        assert not any(KEY in message for message in messages)


@pytest.mark.parametrize(
    "url",
    [
        "http://mia:secret@127.0.0.1:5000",
        "ftp://127.0.0.1",
        "file:///etc",
        "127.0.0.1:5000",
        "http://",
        "http://host:99999999",
        "http://host/?a=1",
    ],
)
async def test_an_address_that_is_none_is_refused_and_a_password_in_it_is_not_repeated(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(InvalidInput) as fault:
        await fetched(tmp_path, url)

    assert "secret" not in str(fault.value)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"])
async def test_a_clouds_metadata_service_is_not_asked_whoever_names_it(host: str) -> None:
    http = OutsideHttp(server_of(f"http://{host}"), "the server")

    with pytest.raises(OpsrailError, match="not connected to"):
        await http.ask("GET", "/", wait_s=5, most_bytes=100)


async def test_no_server_at_all_is_said_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--tracking-uri"):
        await fetched(tmp_path, "")
