"""The stand-in's HTTP server: both endpoints on one port; IAM is asked before a call is served."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from ..emulator import Emulator
from .access import ApiError, authorize
from .autoscaling import AutoScaling
from .ssm import SystemsManager

NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/"


class Server(ThreadingHTTPServer):
    """Listens from the start; answers once it is connected."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.ssm: SystemsManager | None = None
        self.autoscaling: AutoScaling | None = None
        self.emulator: Emulator | None = None
        self._count = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=[0.1], daemon=True)

    def connect(self, emulator: Emulator, ssm: SystemsManager, autoscaling: AutoScaling) -> None:
        """Begin to answer."""
        self.emulator, self.ssm, self.autoscaling = emulator, ssm, autoscaling
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join(10)
        self.server_close()

    def count(self, action: str, error: str = "") -> None:
        """Note a call, and the error it ended in."""
        with self._count:
            self.calls[action] += 1
            if error:
                self.errors[f"{action} {error}"] += 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no news here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the calls are counted."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target")
        if target:
            self._answer_json(target.rpartition(".")[2], json.loads(body or b"{}"))
        else:
            request = dict(parse_qsl(body.decode(), keep_blank_values=True))
            self._answer_xml(request.get("Action", ""), request)

    def _check(self, checks: list[dict[str, Any]]) -> None:
        assert self.server.emulator
        authorize(self.server.emulator, self.headers.get("Authorization", ""), checks)

    def _answer_json(self, action: str, request: dict[str, Any]) -> None:
        api = self.server.ssm
        assert api
        try:
            if action not in api.actions:
                raise ApiError("UnknownOperationException", f"the stand-in has no {action}")
            self._check(api.needs(action, request))
            answer, status, code = api.actions[action](request), 200, ""
        except ApiError as error:
            code = error.code + ("Exception" if error.code == "AccessDenied" else "")
            answer, status = {"__type": code, "message": error.message}, error.status
        self.server.count(action, code)
        self._send(status, "application/x-amz-json-1.1", json.dumps(answer))

    def _answer_xml(self, action: str, request: dict[str, str]) -> None:
        api = self.server.autoscaling
        assert api
        identity = f"<RequestId>{uuid.uuid4()}</RequestId>"
        try:
            if action not in api.actions:
                raise ApiError("InvalidAction", f"the stand-in has no {action}")
            self._check(api.needs(action, request))
            result = api.actions[action](request)
            status, code = 200, ""
            text = (
                f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{result}</{action}Result>'
                f"<ResponseMetadata>{identity}</ResponseMetadata></{action}Response>"
            )
        except ApiError as error:
            status, code = error.status, error.code
            text = (
                f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
                f"<Message>{escape(error.message)}</Message></Error>{identity}</ErrorResponse>"
            )
        self.server.count(action, code)
        self._send(status, "text/xml", text)

    def _send(self, status: int, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        self.end_headers()
        self.wfile.write(data)
