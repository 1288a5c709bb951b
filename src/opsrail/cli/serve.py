"""`opsrail serve`: carries cases and answers over HTTP until it is stopped."""

from __future__ import annotations

from pathlib import Path

import click

from opsrail.cli.options import Invocation, common, examples


@click.command(
    epilog=examples(
        "opsrail serve claims.py",
        "OPSRAIL_WEB__API_KEY=file:/run/secrets/opsrail opsrail serve claims.py --host 0.0.0.0 --port 8080",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--host", help="Address to listen on. [default: web.host, loopback]")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="0: any free port. [default: web.port, 8321]"
)
@common
def serve(invocation: Invocation, file: Path, host: str | None, port: int | None) -> None:
    """Serve the automations of FILE: cases, decisions and reviews over HTTP, work that is due.

    Anything but loopback needs an API key: set web.api_key to `env:NAME` or `file:PATH`.
    """
    from opsrail.app import build
    from opsrail.cases.loader import load_file
    from opsrail.cli.logs import log_to
    from opsrail.cli.session import absolute, loop, settings
    from opsrail.web.server import serve as served

    config = settings(invocation)
    app = build(config, invocation.data, load_file(absolute(file)), runs=True)
    log_to(invocation.data)
    announced = served(app, host, port, announce=lambda url: _announce(invocation, url, app.held))
    loop(announced, serves=True)
    if not invocation.is_json:
        click.echo(
            "Stopped; every accepted case is durable and goes on when opsrail serves again.",
            err=True,
        )


def _announce(invocation: Invocation, url: str, held: Exception | None) -> None:
    from opsrail.cli.render import print_json

    if held is not None:
        click.echo(f"Read only until an operator has looked at it. {held}", err=True)
    if invocation.is_json:
        print_json({"url": url})
        return
    click.echo(
        f"opsrail answers at {url}; Ctrl-C stops it. It logs to {invocation.data / 'opsrail.log'}."
    )
