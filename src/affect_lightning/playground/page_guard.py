"""Who may open the playground, and what its page may load (ours).

Every request must carry the key of the address that the command printed: as `?key=` the first time, then as a cookie that no
script reads. So no other page in the browser, and no other user of the machine, asks the network or sees a clip. On loopback,
requests under another host's name are refused, too. The page may load nothing from outside.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_STARTING = "/startup-events"  # Gradio asks itself for this before the first visitor; it tells nothing
# Gradio's page has scripts and styles inside; nothing of another host may run, load or be sent to.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
# Links and scripts of other hosts: the browser is forbidden to load them, but would still ask for the hosts' addresses.
_FROM_OUTSIDE = re.compile(rb"<(?:link|script)\b[^>]*https://[^>]*>(?:\s*</script>)?")
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


class PageGuard:
    """Stands before the page's application and refuses who has no key."""

    def __init__(self, app: Application, *, key: str, hosts: frozenset[str] | None) -> None:
        """Take the application.

        Args:
            app: Of the page.
            key: That opens it.
            hosts: Host names with ports under which it is asked; None for any.
        """
        self._app, self._key, self._hosts = app, key, hosts
        self._cookie = cookie_name(key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        is_first = self._opens(parse_qs(scope.get("query_string", b"").decode("latin-1")).get("key", [""])[0])
        is_known = self._is_here(headers) and (is_first or self._opens(_value(headers, self._cookie)))
        if not is_known and not str(scope["path"]).endswith(_STARTING):
            await _refuse(scope, send)
            return

        cookie = f"{self._cookie}={self._key}; HttpOnly; SameSite=Strict; Path=/"
        added = [*_HEADERS, *([(b"set-cookie", cookie.encode())] if is_first else [])]
        await self._app(scope, receive, _Response(send, added))

    def _is_here(self, headers: MutableMapping[str, str]) -> bool:
        return self._hosts is None or headers.get("host") in self._hosts

    def _opens(self, key: str) -> bool:
        return secrets.compare_digest(key.encode(), self._key.encode())


class _Response:
    """Sends a response with more headers; out of a page, what would be loaded from another host is taken."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self._send, self._headers = send, headers
        self._start: MutableMapping[str, Any] | None = None  # of a page, held back until its body is known
        self._body = b""

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": self._more(message.get("headers", []))}
            if any(name.lower() == b"content-type" and b"text/html" in value for name, value in message["headers"]):
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = _FROM_OUTSIDE.sub(b"", self._body)
            kept = [pair for pair in self._start["headers"] if pair[0].lower() != b"content-length"]
            length = (b"content-length", str(len(body)).encode())
            await self._send({**self._start, "headers": [*kept, length]})
            message = {"type": "http.response.body", "body": body}
        await self._send(message)

    def _more(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        named = {name for name, _ in _HEADERS}
        return [*(pair for pair in headers if pair[0].lower() not in named), *self._headers]


def cookie_name(key: str) -> str:
    """Of the cookie that holds the key. Playgrounds on other ports have other names: cookies know no ports."""
    return f"affect-playground-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _value(headers: MutableMapping[str, str], name: str) -> str:
    """Of a cookie; empty if there is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4401})
        return
    start = {"type": "http.response.start", "status": 401, "headers": [(b"content-type", b"text/plain"), *_HEADERS]}
    await send(start)
    await send({"type": "http.response.body", "body": b"Open the whole address that the command printed."})
