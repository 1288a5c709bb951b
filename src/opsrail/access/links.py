"""Where a one-time link leads. Pure."""

from __future__ import annotations

from opsrail.config import WebConfig

SIGN_IN = "/console/sign-in"


def link_of(web: WebConfig, token: str, url: str | None = None) -> str:
    """Return the address that signs somebody in.

    Args:
        url: How browsers reach the server; None: as the settings say.
    """
    host = f"[{web.host}]" if ":" in web.host else web.host
    base = url or web.public_url or f"http://{host}:{web.port}"
    return f"{base.rstrip('/')}{SIGN_IN}?link={token}"
