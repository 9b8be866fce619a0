"""The proxies' own process: microburst in front of each endpoint, and answers that get lost.

Runs as a program; `faults.py` starts it, with what it should do on stdin as JSON, and reads the
proxies' ports from its first line. What differs from microburst as it is, and why:

- The Host header is kept: it is signed, and ministack checks the signatures of temporary keys.
- Bodies may be larger than aiohttp's 1 MiB. They, and answers to HEAD, keep their length.
- A lost answer is lost whole, an empty one too: the endpoint has carried out the request, then the
  connection breaks before a byte of the answer.
- SQS's errors have plain codes in the header for its older clients; only a few of AWS's have the
  name space that microburst writes before all, and clients would not repeat such a call.
- No service is looked for in the host's name: that reads all models, for seconds, at the first
  request.
- Connections to the endpoint are dropped before the endpoint's own patience with idle ones ends:
  no fault happens that was not asked for.
- Requests and faults are counted by service and operation (`GET /_faults`).
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import random
import signal
import sys
from collections import Counter
from typing import Any

import aiohttp
from aiohttp import web
from microburst import detection, protocols
from microburst.core.context import RequestContext
from microburst.core.pipeline import Microburst
from microburst.forward import HOP_BY_HOP, ResponseFault, Upstream
from microburst.rules import Decision, RuleEngine

protocols.query_error_namespace = lambda _service: None
detection.parse_host = lambda _host: (None, None, None)

LARGEST_BODY = 1 << 30
IDLE_S = 2.0


class Endpoint(Upstream):  # type: ignore[misc]
    """What is behind a proxy."""

    async def start(self) -> None:
        """Open the connections' pool."""
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
            timeout=aiohttp.ClientTimeout(total=600, connect=30),
            auto_decompress=False,
        )

    def _outbound_headers(self, request: web.Request) -> dict[str, str]:
        headers: dict[str, str] = super()._outbound_headers(request)
        # The body is read already: nothing is left to wait for.
        headers.pop("expect", None)
        return headers | {"host": request.headers["Host"]}

    async def relay(
        self,
        request: web.Request,
        body: bytes | None,
        mutator: ResponseFault | None = None,
        data: bytes | None = None,
    ) -> web.StreamResponse:
        """Pass a request on, and its answer back unless that is to be lost."""
        if mutator is not None and mutator.abort_bytes != 0:
            answer: web.StreamResponse = await super().relay(request, body, mutator, data)
            return answer
        assert self.session is not None
        async with self.session.request(
            request.method,
            self.base_url + request.rel_url.raw_path_qs,
            headers=self._outbound_headers(request),
            data=await request.read() if body is None else body,
            allow_redirects=False,
        ) as found:
            content = await found.read()
        if mutator is not None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()  # Nobody is left to read it.
        headers = [(k, v) for k, v in found.headers.items() if k.lower() not in HOP_BY_HOP]
        if request.method == "HEAD" and "Content-Length" in found.headers:
            headers.append(("Content-Length", found.headers["Content-Length"]))
        return web.Response(status=found.status, headers=headers, body=content or None)


class Engine(RuleEngine):  # type: ignore[misc]
    """Decides about each request, and counts."""

    def __init__(self, kinds: list[str], spared: list[str]) -> None:
        super().__init__()
        self.kinds = kinds
        self.spared = frozenset(spared)
        self.requests: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()

    def decide(self, info: RequestContext) -> Decision | None:
        """The fault that a request meets, if any."""
        action = f"{info.service}:{info.operation}"
        self.requests[action] += 1
        if action in self.spared:
            return None
        decision = super().decide(info)
        if decision is not None:
            kind = self.kinds[self._rules.index(decision.rule)]
            self.injected[f"{kind} {action}"] += 1
        return decision


def proxy(upstream: str, asked: dict[str, Any]) -> web.Application:
    """The application of one proxy."""
    microburst = Microburst(upstream, resign=False)
    microburst.upstream = Endpoint(upstream, stats=microburst.stats)
    engine = microburst.engine = Engine([kind for kind, _ in asked["rules"]], asked["spared"])
    engine.set_rules([rule for _, rule in asked["rules"]])

    async def faults(_request: web.Request) -> web.Response:
        return web.json_response({"requests": engine.requests, "injected": engine.injected})

    app = web.Application(client_max_size=LARGEST_BODY)
    app.on_startup.append(microburst.start)
    app.on_cleanup.append(microburst.stop)
    app.router.add_get("/_faults", faults)
    app.router.add_route("*", "/{tail:.*}", microburst.handle_proxy)
    return app


async def serve(asked: dict[str, Any]) -> None:
    """Serve until killed."""
    ports = []
    for upstream in asked["upstreams"]:
        runner = web.AppRunner(proxy(upstream, asked), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(runner.addresses[0][1])
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    # Die with the test process, whatever kills that.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    what = json.load(sys.stdin)
    random.seed(what["seed"])
    asyncio.run(serve(what))
