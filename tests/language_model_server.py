"""A small OpenAI-compatible server on this machine that misbehaves as a test asks it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from patience import LONGEST

# What to answer: the model's words, or an action on the handler. Gets the prompt (a text, or parts with pictures and
# sound) and its number of earlier requests.
Behaviour = Callable[[Any, int], "str | Callable[[BaseHTTPRequestHandler], None]"]


class ChatTestServer(ThreadingHTTPServer):
    """Counts and keeps what it is asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, behaviour: Behaviour, key: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviour, self.key = behaviour, key
        self.lock = threading.Lock()
        self.prompts: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: ChatTestServer

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][0]["content"]
        with server.lock:
            earlier = server.prompts.count(prompt)
            server.prompts.append(prompt)
            server.bodies.append(body)
            server.headers.append(dict(self.headers))
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        told: Any
        if self.path != "/v1/chat/completions":
            told = refuse(404, f"there is no {self.path}")
        elif server.key and self.headers.get("Authorization") != f"Bearer {server.key}":
            told = refuse(401, f"Incorrect API key provided: {self.headers.get('Authorization')}")
        else:
            told = server.behaviour(prompt, earlier)
        if isinstance(told, str):
            told = refuse(200, json.dumps({"choices": [{"message": {"role": "assistant", "content": told}}]}))
        with server.lock:  # before the reply: the client may ask again the moment it has it
            server.at_once -= 1
        told(self)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def send(handler: BaseHTTPRequestHandler, status: int, body: str, **headers: str) -> None:
    """Send a whole reply."""
    content = body.encode()
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def refuse(status: int, body: str = "no", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer with that status."""
    return lambda handler: send(handler, status, body, **headers)


def silent_until(told: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
    """Say nothing until then, and hang up."""

    def keep_silent(handler: BaseHTTPRequestHandler) -> None:
        told.wait(LONGEST)

    return keep_silent


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Promise more than is sent."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


@contextmanager
def serving(behaviour: Behaviour, key: str = "") -> Iterator[ChatTestServer]:
    """Serve in a thread while the block runs."""
    server = ChatTestServer(behaviour, key)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
