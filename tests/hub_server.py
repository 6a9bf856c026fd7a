"""A hub on this machine: the few addresses that huggingface_hub asks to make a repository, commit to it and read it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlparse


class HubServer(ThreadingHTTPServer):
    """Keeps repositories in memory: files by name, whether each is private, and what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []
        self.refuses_with: int | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit_of(self, repository: str) -> str:
        content = b"".join(name.encode() + data for name, data in sorted(self.files[repository].items()))
        return hashlib.sha1(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: HubServer

    def log_message(self, format: str, *args: Any) -> None:
        """Tests look at `asked` instead."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, code: int, content: Any = None, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content or {}).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        path, body, server = unquote(urlparse(self.path).path), self._body(), self.server
        server.asked.append(f"POST {path}")
        if server.refuses_with:
            self._answer(server.refuses_with, {"error": "no"})
        elif path == "/api/repos/create":
            given = json.loads(body)
            name = "/".join(filter(None, (given.get("organization"), given["name"])))
            server.files.setdefault(name, {})
            server.private.setdefault(name, given.get("private", given.get("visibility") == "private"))
            self._answer(200, {"url": f"{server.endpoint}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif found := re.fullmatch(r"/api/models/(.+)/preupload/(.+)", path):
            files = json.loads(body)["files"]
            told = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]
            self._answer(200, {"files": told})
        elif found := re.fullmatch(r"/api/models/(.+)/commit/(.+)", path):
            for line in body.decode().splitlines():
                value = json.loads(line)
                if value["key"] == "file":
                    data = base64.b64decode(value["value"]["content"])
                    server.files[found[1]][value["value"]["path"]] = data
            commit = server.commit_of(found[1])
            address = f"{server.endpoint}/{found[1]}/commit/{commit}"
            self._answer(200, {"commitUrl": address, "commitOid": commit, "hookOutput": "", "success": True})
        else:
            self._answer(404, {"error": f"no {path}"})

    def do_GET(self) -> None:
        path, server = unquote(urlparse(self.path).path), self.server
        server.asked.append(f"{self.command} {path}")
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._model(found[1], found[2])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(.+)", path):
            files = server.files[found[1]]
            self._answer(
                200,
                [{"type": "file", "path": name, "size": len(data), "oid": "0" * 40} for name, data in files.items()],
            )
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            data = server.files.get(found[1], {}).get(found[3])
            if data is None:
                self._answer(404, {"error": "no entry"}, {"X-Error-Code": "EntryNotFound"})
                return
            marks = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": server.commit_of(found[1])}
            self._answer(200, data, marks)
        else:
            self._answer(404, {"error": f"no {path}"})

    do_HEAD = do_GET

    def _model(self, name: str, revision: str | None) -> None:
        if name not in self.server.files:
            self._answer(404, {"error": "no model"}, {"X-Error-Code": "RepoNotFound"})
        elif revision not in (None, "main", self.server.commit_of(name)):
            self._answer(404, {"error": "no revision"}, {"X-Error-Code": "RevisionNotFound"})
        else:
            files = [{"rfilename": one} for one in self.server.files[name]]
            self._answer(200, {"id": name, "modelId": name, "sha": self.server.commit_of(name), "siblings": files})


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """A hub while the block runs."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
