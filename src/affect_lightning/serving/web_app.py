"""The HTTP side of serving, in FastAPI: who may ask, how much, how many at once, and until when (ours).

A request takes one of a few places before its body is read, and keeps it until the network is done with it: so memory and
waiting are bounded. One thread asks the network. Nothing of a request is logged or kept. `clip_model.py` answers.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from affect_lightning.serving.addresses import is_loopback
from affect_lightning.serving.chat_replies import STREAM_END, Reply, error_body, event, model_entry
from affect_lightning.serving.chat_requests import ChatRequest, RequestError, read_request
from affect_lightning.serving.clip_model import Answer, ClipModel
from affect_lightning.serving.requests_under_way import (
    GONE,
    Job,
    Places,
    as_request_error,
    next_event,
    seconds_until,
    too_late,
)

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import Response

# Times the most bytes of a body: so much of one that is refused is read away, so that its sender hears why. Our choice.
_DRAINED = 2
_NOT_KEPT = {"cache-control": "no-store"}


@dataclass(frozen=True)
class ServingOptions:
    """How the server behaves.

    Attributes:
        name: Of the model.
        key: That a request must have; empty for none, which is for loopback addresses only.
        most_bytes: Of a request's body.
        timeout: Seconds for a request, from its first byte to the end of its answer.
        waiting: Requests that may wait while one is answered.
    """

    name: str
    key: str = field(default="", repr=False)
    most_bytes: int = 64 * 2**20
    timeout: float = 300.0
    waiting: int = 16


class Endpoint:
    """The handlers, with what they share."""

    def __init__(self, model: ClipModel, options: ServingOptions) -> None:
        self._model, self._options = model, options
        self.places = Places(options.waiting + 1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._started = int(time.time())

    # --- who may ask ---

    def check_asker(self, request: Request) -> None:
        """Refuse a wrong key; without a key, refuse pages of the Web that reach this machine by a name of theirs.

        Raises:
            RequestError: The status is 401 or 403.
        """
        key = self._options.key
        if key:
            given = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, f"Bearer {key}".encode()):
                raise RequestError(
                    "Send the key of this server as `Authorization: Bearer KEY`.", status=401, code="invalid_api_key"
                )
            return
        host = request.headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if not is_loopback(name.lower().strip("[]")):
            raise RequestError(f"Ask by the name localhost or 127.0.0.1; got the host {host!r:.100}.", status=403)

    # --- the three paths ---

    async def health(self, _: Request) -> Response:
        """Whether the server is there."""
        return _json({"status": "ok"})

    async def models(self, request: Request) -> Response:
        """The one model."""
        self.check_asker(request)
        entry = model_entry(self._options.name, self._started)
        wanted = request.path_params.get("name")
        if wanted is None:
            return _json({"object": "list", "data": [entry]})
        if wanted != self._options.name:
            raise RequestError(
                f"There is no model {wanted!r:.100}, only {self._options.name!r}.", status=404, code="model_not_found"
            )
        return _json(entry)

    async def complete(self, request: Request) -> Response:
        """A chat completion."""
        self.check_asker(request)
        deadline = time.monotonic() + self._options.timeout
        try:
            self.places.take()
        except RequestError:
            await self._drain(request, deadline)
            raise
        try:
            asked = await self._read(request, deadline)
        except BaseException:
            self.places.free()
            raise
        job = Job(deadline)
        self._thread.submit(self._work, job, asked).add_done_callback(self._done)
        leaving = asyncio.create_task(_left(request))
        leaving.add_done_callback(lambda _: job.give_up())
        if asked.is_streamed:
            return await self._streamed(job, leaving, asked)
        try:
            happened = await next_event(job, leaving)
            while not isinstance(happened, Answer):
                happened = await next_event(job, leaving)
        finally:
            leaving.cancel()
        return _json(Reply(self._options.name).whole(happened), headers=_NOT_KEPT)

    # --- the request ---

    async def _read(self, request: Request, deadline: float) -> ChatRequest:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" or request.headers.get("content-encoding", "identity") != "identity":
            await self._drain(request, deadline)
            raise RequestError("Send plain JSON: `Content-Type: application/json`, without compression.", status=415)
        body = await self._body(request, deadline)
        return await asyncio.to_thread(_parsed, body, self._options.name)

    async def _body(self, request: Request, deadline: float) -> bytearray:
        """The body, unless it is too long or too slow."""
        most = self._options.most_bytes
        declared = request.headers.get("content-length", "")
        is_over = False
        if not declared.isdigit() or int(declared) <= most:
            try:
                body, is_over = await asyncio.wait_for(_received(request, most), seconds_until(deadline))
            except asyncio.TimeoutError as error:
                raise too_late() from error
            if len(body) <= most:
                return body
        if not is_over:
            await self._drain(request, deadline)
        raise RequestError(
            f"Send a smaller request: it has more than {most} bytes.", status=413, code="request_too_large"
        )

    async def _drain(self, request: Request, deadline: float) -> None:
        """Read the rest of a body away, up to a bound, so that its sender comes to read the answer."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_read_away(request, _DRAINED * self._options.most_bytes), seconds_until(deadline))

    # --- the answer ---

    def _work(self, job: Job, asked: ChatRequest) -> float:
        """In the network's thread: answer, and say how many seconds it took."""
        start = time.monotonic()
        try:
            job.put(self._model.answer(asked, lambda number, text: job.put((number, text)), job.check))
        except Exception as error:  # told to the client, and the thread goes on
            job.put(as_request_error(error))
        return time.monotonic() - start

    def _done(self, future: Future[float]) -> None:
        self.places.free(None if future.cancelled() else future.result())

    async def _streamed(self, job: Job, leaving: asyncio.Task[None], asked: ChatRequest) -> Response:
        """An answer while it is written; what is wrong before its first word still has a status of its own."""
        from fastapi.responses import StreamingResponse

        try:
            first = await next_event(job, leaving)
        except BaseException:
            leaving.cancel()
            raise
        pieces = self._pieces(job, leaving, asked, first)
        return StreamingResponse(pieces, media_type="text/event-stream", headers=_NOT_KEPT)

    async def _pieces(
        self, job: Job, leaving: asyncio.Task[None], asked: ChatRequest, happened: tuple[int, str] | Answer
    ) -> AsyncIterator[str]:
        reply = Reply(self._options.name)
        try:
            for number in range(asked.choices):
                yield event(reply.chunk(number, {"role": "assistant", "content": ""}))
            while not isinstance(happened, Answer):
                number, text = happened
                yield event(reply.chunk(number, {"content": text}))
                happened = await next_event(job, leaving)
            for number, choice in enumerate(happened.choices):
                yield event(reply.chunk(number, {}, choice.finish_reason))
            if asked.tells_usage:
                yield event(reply.usage_chunk(happened))
            yield STREAM_END
        except RequestError as error:
            yield event(error_body(error))
        finally:
            job.give_up()
            leaving.cancel()

    def close(self) -> None:
        """Answer nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


async def _left(request: Request) -> None:
    """Wait until the client leaves; its body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _received(request: Request, most: int) -> tuple[bytearray, bool]:
    """The body, and whether it is over: reading ends behind so many bytes."""
    body = bytearray()
    while len(body) <= most:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise RequestError("The client left.", status=GONE)
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body, True
    return body, False


async def _read_away(request: Request, left: int) -> None:
    """Read until the end of the body, or for so many bytes."""
    message: Any = {"more_body": True}
    while left > 0 and message.get("more_body"):
        message = await request.receive()
        left -= len(message.get("body", b""))


def _parsed(body: bytearray, name: str) -> ChatRequest:
    try:
        content = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The body is no JSON ({str(error)[:200]}).") from error
    return read_request(content, name)


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    from fastapi.responses import JSONResponse

    return JSONResponse(content, status, dict(headers or {}))


def _answered(error: RequestError) -> Response:
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return _json(error_body(error), error.status, headers)


def _told(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The handler, with errors as OpenAI's error object."""

    @functools.wraps(handle)
    async def handled(request: Request) -> Response:
        try:
            return await handle(request)
        except RequestError as error:
            return _answered(error)

    return handled


def build_app(model: ClipModel, options: ServingOptions) -> FastAPI:
    """The application.

    Args:
        model: Answers.
        options: Of the server.
    """
    from fastapi import FastAPI

    endpoint = Endpoint(model, options)
    app = FastAPI(title="affect-lightning", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.endpoint = endpoint
    app.add_route("/health", _told(endpoint.health), methods=["GET"])
    app.add_route("/v1/models", _told(endpoint.models), methods=["GET"])
    app.add_route("/v1/models/{name:path}", _told(endpoint.models), methods=["GET"])
    app.add_route("/v1/chat/completions", _told(endpoint.complete), methods=["POST"])

    async def refused(_: Request, error: Any) -> Response:
        status = int(getattr(error, "status_code", 500))
        text = "This server has GET /health, GET /v1/models and POST /v1/chat/completions."
        return _answered(RequestError(text, status=status, code="not_found" if status == 404 else None))

    for status in (404, 405):
        app.add_exception_handler(status, refused)
    return app
