"""A Hugging Face hub of one model on this machine: what `snapshot_download` asks for, and no more."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(ThreadingHTTPServer):
    """Serves a folder as the model `somebody/network`, at COMMIT and at the tag `v1`.

    Attributes:
        asked: Paths that were asked for.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: HubServer

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        parts = self.path.partition("?")[0].strip("/").split("/")
        known = (COMMIT, "v1", "main")
        if parts[:4] == ["api", "models", "somebody", "network"] and parts[-1] in known:
            files = sorted(path for path in self.server.folder.rglob("*") if path.is_file())
            listed = {str(path.relative_to(self.server.folder)): path.read_bytes() for path in files}
            if parts[4] == "tree":
                answer: object = [
                    {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for name, content in listed.items()
                ]
            else:
                answer = {"id": "somebody/network", "sha": COMMIT, "siblings": [{"rfilename": name} for name in listed]}
            self._send(json.dumps(answer).encode())
        elif parts[:3] == ["somebody", "network", "resolve"] and parts[3] in known:
            self._send(self.server.folder.joinpath(*parts[4:]).read_bytes())
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RevisionNotFound" if "network" in parts else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the screen."""
