"""Answers that are made while they are sent, a few at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Streamed(StreamingResponse):
    """An answer that is made while it is sent; whatever ends it, what it held is let go."""

    def __init__(
        self,
        content: AsyncGenerator[bytes, None],
        let_go: Callable[[], None],
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._content = content
        self._let_go = let_go

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            async with aclosing(self._content):
                await super().__call__(scope, receive, send)
        finally:
            self._let_go()
