"""A server of a tiny network in a thread of the test, on a loopback address, and its public client."""

from __future__ import annotations

import base64
import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import uvicorn

from affect_lightning.serving.chat_requests import ChatRequest, RequestError
from affect_lightning.serving.clip_model import Answer, ClipModel
from affect_lightning.serving.web_app import ServingOptions, build_app
from patience import LONGEST

NAME = "exported"


class WatchedModel(ClipModel):
    """Keeps what it was asked and how that ended; may wait before it answers, or at its third look at whether to go on.

    Attributes:
        asked: Requests.
        ended_by: Statuses of errors that ended an answer.
        may_answer: Waited for before each answer.
        holds: Whether answers wait at their third token until they are given up.
        has_begun: Set when an answer waits.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked: list[ChatRequest] = []
        self.ended_by: list[int] = []
        self.may_answer, self.has_begun = threading.Event(), threading.Event()
        self.may_answer.set()
        self.holds = False

    def answer(self, request: ChatRequest, tell: Callable[[int, str], None], check: Callable[[], None]) -> Answer:
        self.asked.append(request)
        self.has_begun.set()
        assert self.may_answer.wait(LONGEST)
        looks = 0

        def look() -> None:
            nonlocal looks
            looks += 1
            end = time.monotonic() + LONGEST
            while self.holds and looks == 5 and time.monotonic() < end:
                check()
                time.sleep(0.01)
            check()

        try:
            return super().answer(request, tell, look)
        except RequestError as error:
            self.ended_by.append(error.status)
            raise


@contextmanager
def serving(model: ClipModel, **options: Any) -> Iterator[tuple[str, Any]]:
    """Serve while the block runs; gives the address up to `/v1`, and the endpoint."""
    app = build_app(model, ServingOptions(NAME, **options))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, access_log=False, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + LONGEST
    while not server.started and time.monotonic() < end:
        time.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1", app.state.endpoint
    finally:
        close_clients()
        server.should_exit = True
        thread.join(LONGEST)
        app.state.endpoint.close()
        # The server ends its event loop while sockets that it has closed still wait for their last call.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


_clients: list[openai.OpenAI] = []


def client_of(address: str, key: str = "none") -> openai.OpenAI:
    """The public client; `close_clients` closes its connection, which it would leave open."""
    _clients.append(openai.OpenAI(base_url=address, api_key=key, max_retries=0, timeout=LONGEST))
    return _clients[-1]


def close_clients() -> None:
    while _clients:
        _clients.pop().close()


def data_url(path: Path, kind: str = "video/mp4") -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def clip_and(text: str, path: Path, **more: Any) -> list[dict[str, Any]]:
    """The message with a video and a question."""
    video = {"type": "video_url", "video_url": {"url": data_url(path)}, **more}
    return [{"role": "user", "content": [video, {"type": "text", "text": text}]}]
