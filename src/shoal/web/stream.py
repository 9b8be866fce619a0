"""Responses in pieces, which let go of their source when the visitor goes away."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Stream(StreamingResponse):
    """A response whose source is closed with it: else files stay open until garbage is collected.

    Args:
        source: yields the pieces.
        media_type, headers: of the response.
    """

    def __init__(
        self,
        source: Generator[bytes] | AsyncGenerator[str],
        media_type: str,
        headers: dict[str, str],
    ) -> None:
        super().__init__(source, media_type=media_type, headers=headers)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces, then close their source, come what may."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                if isinstance(self._source, AsyncGenerator):
                    await self._source.aclose()
                else:
                    await run_in_threadpool(self._source.close)
