"""`affect-lightning serve`: a trained network as an OpenAI-compatible chat endpoint (docs/serving.md).

`affect_lightning.serving` has the endpoint; this reads the options, loads the network and runs uvicorn until a signal.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affect_lightning.clip_answers.hub_folders import check_place
from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.errors import ConfigurationError
from affect_lightning.serving.addresses import is_loopback

KEY_VARIABLE = "AFFECT_SERVE_KEY"
_EXTRA = ("fastapi", "uvicorn")
_GRACE = 10  # seconds that a request under way gets after the signal; our choice
_MEBIBYTE = 2**20


def run(arguments: Sequence[str]) -> int:
    """Answer OpenAI's chat completions about video and sound with an exported network; Ctrl-C ends it."""
    options = _parser().parse_args(arguments)
    key = _checked_key(options)
    _check_numbers(options)
    check_place(options.checkpoint)
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"Install what `serve` needs: `pip install 'affect-lightning[serve]'`. There is no {' and no '.join(missing)}."
        )
    listener = _listener(options.host, options.port)
    try:
        _serve(options, key, listener)
    finally:
        listener.close()
    print("Stopped.")
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(prog="affect-lightning serve", description=run.__doc__)
    parser.add_argument("checkpoint", help="folder of `affect-lightning export`, or USER/NAME on a hub")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (%(default)s: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one (%(default)s)")
    parser.add_argument("--key", help=f"key that clients must send; better in the environment, as {KEY_VARIABLE}")
    parser.add_argument("--name", help="name of the model for clients (default: that of the folder)")
    parser.add_argument("--revision", metavar="COMMIT", help="commit, tag or branch on the hub")
    parser.add_argument("--device", default="auto", help="cpu, cuda or such as cuda:1 (default: a GPU if there is one)")
    parser.add_argument(
        "--reading", action="append", default=[], metavar="OPTION=VALUE",
        help="how clips are read, over what the folder says, such as frames=8; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--missing-sound", choices=["refuse", "silence"], default="refuse",
        help="what to do with pictures without sound if the network hears (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--waiting", type=int, default=16, help="requests that may wait; more get 429 (%(default)s)")
    parser.add_argument("--timeout", type=float, default=300.0, help="most seconds for a request (%(default)g)")
    parser.add_argument(
        "--max-request", type=int, default=64, metavar="MIB", help="most MiB of a request (%(default)s)"
    )
    parser.add_argument(
        "--allow-folder", action="append", default=[], type=Path, metavar="DIR",
        help="let requests name files below this folder as file: URLs; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="HOST",
        help="fetch http(s): URLs of this host, or HOST:PORT; repeatable",
    )  # fmt: skip
    return parser


def _checked_key(options: argparse.Namespace) -> str:
    key = str(os.environ.get(KEY_VARIABLE, "") if options.key is None else options.key).strip()
    if (options.key is not None and not key) or not key.isascii() or any(sign.isspace() for sign in key):
        raise ConfigurationError(f"Give a key of ASCII characters without blanks, with --key or in {KEY_VARIABLE}.")
    if not key and not is_loopback(options.host):
        raise ConfigurationError(
            f"Set a key in the environment, as {KEY_VARIABLE}, or with --key: others reach this machine at {options.host}, "
            f"and would use the model. Without --host, only this machine reaches it, and no key is needed."
        )
    return key


def _check_numbers(options: argparse.Namespace) -> None:
    if options.waiting < 0 or not options.timeout > 0 or options.max_request < 1 or not 0 <= options.port < 65536:
        raise ConfigurationError(
            f"--waiting is 0 or more, --timeout above 0, --max-request 1 or more and --port 0 to 65535; got "
            f"{options.waiting}, {options.timeout:g}, {options.max_request} and {options.port}."
        )
    for folder in options.allow_folder:
        if not folder.is_dir():
            raise ConfigurationError(f"Correct --allow-folder: {folder} is no folder.")


def _reading(entries: Sequence[str]) -> dict[str, Any] | None:
    import yaml

    found: dict[str, Any] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"Give --reading as OPTION=VALUE, such as frames=8; got {entry!r}.")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"The value of --reading {entry!r} cannot be read.") from error
    return found or None


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens: a port that is taken is told before the network is loaded."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"Choose another --port or --host: {host}:{port} cannot be used ({reason})."
        ) from error
    return listener


def _serve(options: argparse.Namespace, key: str, listener: socket.socket) -> None:
    from affect_lightning.data.decoding import MAX_PIXELS

    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))  # OpenCV reads it when it is loaded
    import torch
    import uvicorn

    from affect_lightning.clip_answers.describing_network import AffectGPT
    from affect_lightning.serving.clip_model import ClipModel
    from affect_lightning.serving.request_media import MediaRules
    from affect_lightning.serving.web_app import ServingOptions, build_app

    place = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    network = AffectGPT.from_pretrained(options.checkpoint, revision=options.revision)
    try:
        network.to(place)
    except (RuntimeError, AssertionError) as error:
        raise ConfigurationError(f"Choose another --device: {place!r} cannot be used ({str(error)[:200]}).") from error
    most = options.max_request * _MEBIBYTE
    model = ClipModel(
        network,
        rules=MediaRules(tuple(options.allow_folder), frozenset(options.allow_host), most),
        reading=_reading(options.reading),
        silence_for_none=options.missing_sound == "silence",
    )
    name = options.name or Path(options.checkpoint).expanduser().resolve().name
    app = build_app(model, ServingOptions(name, key, most, options.timeout, options.waiting))
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = uvicorn.Server(
        uvicorn.Config(app, access_log=False, log_config=None, timeout_graceful_shutdown=_GRACE, server_header=False)
    )
    listener.listen(128)
    for known in (signal.SIGINT, signal.SIGTERM):
        signal.signal(known, lambda *_: None)  # uvicorn ends in peace, and then hands the signal on to this
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"{name} answers at http://{shown}:{port}/v1 (Ctrl-C ends it).", flush=True)
    server.run(sockets=[listener])
    app.state.endpoint.close()
