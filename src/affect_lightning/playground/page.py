"""The playground's page, by Gradio: inputs on the left, what is seen and answered on the right (ours).

Only this module knows Gradio. It sends nothing outside: no analytics, no share service, no fonts of others. `actions.py`
does the work, `page_guard.py` stands before the page.
"""

from __future__ import annotations

import inspect
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from affect_lightning.errors import ConfigurationError
from affect_lightning.playground.actions import OWN_QUESTION, Given, Playground
from affect_lightning.playground.page_guard import PageGuard

LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"
_KEPT_SECONDS = 3600  # how long a clip of a visitor who left stays in memory; our choice
_QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_SSR_MODE": "False"}


def import_gradio(folder: Path) -> Any:
    """Gradio, told to be quiet and to keep uploads in a folder before it is imported.

    Raises:
        ConfigurationError: It is not installed.
    """
    os.environ.update({**_QUIET, "GRADIO_TEMP_DIR": str(folder)})
    try:
        import gradio
    except ImportError as error:
        raise ConfigurationError(
            "Run `pip install 'affect-lightning[playground]'`: the playground needs Gradio, which is not installed."
        ) from error
    return gradio


def build_page(gradio: Any, playground: Playground) -> Any:
    """The page as Gradio's Blocks, not yet served."""
    title = " and ".join(network.name for network in playground.networks)
    with gradio.Blocks(title=f"Playground: {title}", analytics_enabled=False, fill_width=True) as page:
        gradio.Markdown("## What does the person feel?")
        given = gradio.State(Given(), time_to_live=_KEPT_SECONDS)
        with gradio.Row():
            with gradio.Column(scale=1, min_width=330):
                video = gradio.Video(label="Video", sources=["upload", "webcam"], elem_id="video")
                with gradio.Accordion("Sound, if the video has none", open=False, elem_id="sound-box"):
                    sound = gradio.Audio(
                        show_label=False, sources=["upload", "microphone"], type="filepath", elem_id="sound"
                    )
                subtitle = gradio.Textbox(label="What the person says", elem_id="subtitle", lines=2)
                hear = gradio.Button("Hear the words", elem_id="hear", visible=playground.hears)
                question = gradio.Dropdown(
                    playground.questions, value="name", label="Question", filterable=False, elem_id="question"
                )
                own = gradio.Textbox(label="A question of your own", visible=False, elem_id="own")
                streams = gradio.CheckboxGroup(
                    playground.streams, value=playground.streams, label="What the network is given", elem_id="streams"
                )
                ask = gradio.Button("Ask", variant="primary", elem_id="ask")
            with gradio.Column(scale=3):
                seen = gradio.HTML(elem_id="seen")
                answers = gradio.HTML(elem_id="answers")
        _connect(gradio, playground, given, video, False, seen)
        _connect(gradio, playground, given, sound, True, seen)
        hear.click(playground.hear, [given], [subtitle, answers])
        question.change(lambda kind: gradio.update(visible=kind == OWN_QUESTION), [question], [own])
        ask.click(playground.ask, [given, subtitle, question, own, streams], [answers], show_progress="hidden")
    page.queue(default_concurrency_limit=1, api_open=False)
    return page


def _connect(gradio: Any, playground: Playground, given: Any, source: Any, is_sound: bool, seen: Any) -> None:
    """Let an input take what arrives. It is emptied at once, because the file is gone then."""

    def taken(path: str | None, before: Given) -> tuple[Any, ...]:
        if path is None:
            return gradio.skip(), gradio.skip(), gradio.skip()
        return None, *playground.take(path, is_sound, before)

    source.change(taken, [source, given], [source, given, seen])


@contextmanager
def served(page: Any, playground: Playground, *, port: int = 0, everywhere: bool = False) -> Iterator[str]:
    """Serve the page inside the block.

    Args:
        page: Of `build_page`.
        playground: Knows the limits.
        port: 0 for any that is free.
        everywhere: Whether other machines can reach it, too.

    Yields:
        The address to open, with its key.

    Raises:
        ConfigurationError: The port is taken.
    """
    host = EVERYWHERE if everywhere else LOOPBACK
    port, key = _free_port(host, port), secrets.token_urlsafe(16)
    hosts = None if everywhere else frozenset(f"{name}:{port}" for name in (LOOPBACK, "localhost"))
    has_links = "footer_links" in inspect.signature(page.launch).parameters  # since Gradio 6
    quiet: dict[str, Any] = {"footer_links": []} if has_links else {"show_api": False}
    page.launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=False,
        quiet=True,
        prevent_thread_lock=True,
        ssr_mode=False,
        enable_monitoring=False,
        max_file_size=f"{playground.limits.megabytes}mb",
        app_kwargs={"middleware": [_middleware(key, hosts)]},
        **quiet,
    )
    try:
        yield f"http://{socket.gethostname() if everywhere else host}:{port}/?key={key}"
    finally:
        page.close(verbose=False)


def _middleware(key: str, hosts: frozenset[str] | None) -> Any:
    from fastapi.middleware import Middleware

    return Middleware(PageGuard, key=key, hosts=hosts)


def _free_port(host: str, port: int) -> int:
    """The port, or a free one for 0; whether it is free is asked before Gradio asks in its own way."""
    try:
        with socket.socket() as probe:
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"Choose another --port, or 0 for a free one: {port} cannot be taken: {error}."
        ) from error
