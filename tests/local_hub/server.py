"""The HTTP server of the stand-in Hub, faults on demand, and a log of the requests."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from tests.local_hub.api import ROUTES, Call, Reply, role_of
from tests.local_hub.storage import HubError


class Request(NamedTuple):
    """A line of the log; the path is unquoted. The status is 0 where the connection was closed without an answer."""

    method: str
    path: str
    status: int


@dataclass
class Fault:
    """What shall go wrong with the next `times` requests whose method and path match."""

    kind: str
    method: str
    path_regex: str
    times: int
    value: int


class Hub:
    """A Hub that listens on a free port of this machine and keeps its repositories in a folder. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.RLock()
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.uploads: dict[Path, int] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.server.daemon_threads, self.server.block_on_close = True, False
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fail(self, method: str, path_regex: str, status: int = 503, times: int = 2) -> None:
        """Answer the next matching requests with this status and do nothing else; `method` is a pattern too."""
        self._add(Fault("fail", method, path_regex, times, status))

    def truncate(self, path_regex: str, after_bytes: int, times: int = 1) -> None:
        """Announce the full length of the next matching bodies longer than `after_bytes`, stop there and hang up."""
        self._add(Fault("truncate", "GET", path_regex, times, after_bytes))

    def drop(self, path_regex: str, times: int = 1, method: str = ".*") -> None:
        """Read the next matching requests, do nothing, and hang up without an answer."""
        self._add(Fault("drop", method, path_regex, times, 0))

    def reset_faults(self) -> None:
        with self.lock:
            self.faults.clear()

    def _add(self, fault: Fault) -> None:
        with self.lock:
            self.faults.append(fault)

    def take_fault(self, kinds: tuple[str, ...], method: str, path: str, length: int = 0) -> Fault | None:
        """Use up the oldest fault that matches; only a body longer than that can be truncated."""
        with self.lock:
            for fault in self.faults:
                ready = fault.kind in kinds and fault.times > 0 and (fault.kind != "truncate" or fault.value < length)
                if ready and re.fullmatch(fault.method, method) and re.search(fault.path_regex, path):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet

    def do_any(self) -> None:
        body, path = self.read_body(), unquote(self.path)
        fault = self.hub.take_fault(("fail", "drop"), self.command, path)
        if fault and fault.kind == "drop":
            self.log(path, 0)
            self.close_connection = True
        elif fault:
            self.answer(path, error_reply(HubError(fault.value, "This error was asked for by a test")))
        else:
            self.answer(path, self.call(body))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_any  # noqa: N815

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # the client went away
            self.close_connection = True

    def read_body(self) -> bytes:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionError("the client went away within its request")
        return body

    def call(self, body: bytes) -> Reply:
        """Answer of the endpoint; 501 where the stand-in has none, so that a test shows what a client asked for."""
        url, method = urlsplit(self.path), "GET" if self.command == "HEAD" else self.command
        try:
            role = role_of(self.headers.get("Authorization"))
            for wanted, pattern, function in ROUTES:
                if wanted == method and (match := re.fullmatch(pattern, url.path)):
                    parts = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                    query = parse_qs(url.query)
                    with self.hub.lock:
                        return function(Call(self.hub, role, parts, query, self.headers, body))
            raise HubError(501, f"The stand-in Hub has no {method} {self.path}")
        except HubError as error:
            return error_reply(error)

    def answer(self, path: str, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body, default=str).encode()
        fault = self.hub.take_fault(("truncate",), self.command, path, len(body))
        self.log(path, reply.status)
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **reply.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: fault.value] if fault else body)
        self.close_connection = self.close_connection or fault is not None

    def log(self, path: str, status: int) -> None:
        with self.hub.lock:
            self.hub.requests.append(Request(self.command, path, status))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on standard error: the log is `Hub.requests`."""


def error_reply(error: HubError) -> Reply:
    """The error as the clients read it. They wait Retry-After + 1 seconds before they ask again."""
    line = " ".join(error.message.split()).encode("ascii", "replace").decode()  # what a header can hold
    headers = {"X-Error-Message": line, "X-Error-Code": error.code, "X-Repo-Commit": error.commit}
    headers["Retry-After"] = "0" if error.status == 503 else None
    return Reply({"error": error.message}, error.status, {name: value for name, value in headers.items() if value})
