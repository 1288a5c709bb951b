"""Whether who opened a stream may still have what it sends: a session may end, a key may be revoked, a role be taken."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.requests import Request

from opsrail.access.keys import Principal
from opsrail.access.roles import Grants
from opsrail.errors import Denied, StoreUnavailable
from opsrail.web.door import SESSION, Door
from opsrail.web.headers import headers_of

CHECK_S = 5.0
"""How often a stream asks. Ours: sessions and keys are looked up anew each second at most."""
Holds = Callable[[Grants], bool]


class Standing:
    """Looks again and again whether who opened a stream would still be let in.

    Args:
        holds: Whether permissions are those that the stream needs.
    """

    def __init__(self, door: Door, request: Request, holds: Holds) -> None:
        self._door = door
        self._request = request
        self._holds = holds
        self._checked_s = door.app.clock.monotonic_s()

    async def confirmed(self, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Yield pieces of an answer while who asked may have them. Raises Denied: not any more."""
        async with aclosing(pieces):
            async for piece in pieces:
                await self.confirm()
                yield piece

    async def confirm(self) -> None:
        """Look, if it is time.

        Raises:
            Denied: they may not any more; what was sent until now was theirs to have.
        """
        now_s = self._door.app.clock.monotonic_s()
        if now_s - self._checked_s < CHECK_S:
            return
        self._checked_s = now_s
        if not await still_may(self._door, self._request, self._holds):
            raise Denied("who asked may not have the rest of this any more")


async def still_may(door: Door, request: Request, holds: Holds) -> bool:
    """Return whether who asked would still be let in, and see to it that they see what they may by now.

    Where the database cannot say, they go on: there is nothing new to see then.
    """
    try:
        principal = await _who(door, request)
    except Denied:
        return False
    except StoreUnavailable:
        return True
    request.scope["opsrail.principal"] = principal
    return principal is not None and holds(principal.grants)


def session_of(request: Request) -> str:
    """Return the digest of the session that asks; empty without one."""
    digest: str = request.scope.get(SESSION, "")
    return digest


async def _who(door: Door, request: Request) -> Principal | None:
    """Return who asks; None: their session has ended. Raises Denied, StoreUnavailable."""
    if session := session_of(request):
        known = await door.app.access.directory.still(session)
        return None if known is None else Principal(known.name, grants=known.grants)
    headers = headers_of(request)
    admitted = door.gate.admit(request.method, headers)
    if admitted is None:
        admitted, _, _ = await door.gate.look_up(request.method, headers, is_page=True)
    return admitted
