"""`affect-lightning playground`: a trained network answers clips of one's own in the browser (`affect_lightning.playground`)."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.clip_answers.hub_folders import check_place
from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.terminal import silence_expected_warnings
from affect_lightning.errors import ConfigurationError

if TYPE_CHECKING:
    from affect_lightning.playground.actions import Playground


def run(arguments: Sequence[str]) -> int:
    """Open a page in which a trained network answers clips that are uploaded or recorded."""
    options = _parser().parse_args(arguments)
    if options.megabytes < 1 or options.seconds <= 0:
        raise ConfigurationError("Give --megabytes and --seconds as numbers above 0.")
    for checkpoint in (options.checkpoint, *options.beside):
        check_place(checkpoint, "a folder of `affect-lightning export`, a checkpoint of `fit`")
    silence_expected_warnings()
    from affect_lightning.playground.page import build_page, import_gradio, served

    with tempfile.TemporaryDirectory(prefix="affect-playground-", ignore_cleanup_errors=True) as folder:
        gradio = import_gradio(Path(folder))
        playground = _playground(options, Path(folder))
        with served(
            build_page(gradio, playground), playground, port=options.port, everywhere=options.share_anyway
        ) as address:
            _tell(address, options.share_anyway)
            _wait()
    print("\nStopped. Every upload is deleted.", file=sys.stderr)
    return 0


def _playground(options: argparse.Namespace, folder: Path) -> Playground:
    from affect_lightning.metrics import taxonomy_by_name
    from affect_lightning.playground.actions import Playground
    from affect_lightning.playground.asked_networks import AskedNetwork
    from affect_lightning.playground.uploads import Limits
    from affect_lightning.plugin_loading import build_part

    taxonomy = taxonomy_by_name(options.taxonomy)
    transcriber = None if options.transcriber is None else build_part("transcribers", _choice(options.transcriber))
    names = [options.checkpoint, *options.beside]
    networks = [AskedNetwork.read(name) for name in names]
    if len({network.name for network in networks}) < len(networks):
        for name, network in zip(names, networks, strict=True):
            network.name = name
    for network in networks:
        if not network.says_how:
            print(f"{network.name} does not say how clips are read: the defaults are taken.", file=sys.stderr)
    return Playground(networks, taxonomy, Limits(options.megabytes, options.seconds), transcriber, folder)


def _choice(text: str) -> Any:
    """A plugin's name, or an object with name and options."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        example = '{"name": "whisper", "model": "tiny"}'
        raise ConfigurationError(
            f"Give --transcriber as a name, or as JSON such as '{example}'; got {text!r}."
        ) from error


def _tell(address: str, everywhere: bool) -> None:
    print(f"Open {address}", flush=True)
    if everywhere:
        reach = (
            "Every machine that reaches this one can open the page with this address. The connection is not encrypted."
        )
    else:
        reach = "Only this machine can."
    print(f"{reach} Uploads are deleted when they are read. Stop with Ctrl-C.", file=sys.stderr)


def _wait() -> None:
    """Until Ctrl-C, or until the program is ended."""
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        while not ended.wait(3600):
            pass
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="affect-lightning playground", description=run.__doc__)
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="exported folder, checkpoint of `fit`, or OWNER/NAME on a Hugging Face hub",
    )
    parser.add_argument(
        "--beside",
        metavar="CHECKPOINT",
        action="append",
        default=[],
        help="another one, asked side by side; repeatable",
    )
    parser.add_argument("--port", type=int, default=0, help="on this machine (0: any that is free)")
    parser.add_argument(
        "--share-anyway",
        action="store_true",
        help="let other machines open the page, too; the connection is not encrypted",
    )
    parser.add_argument(
        "--transcriber", metavar="NAME", help="plugin that hears the subtitle: a name, or JSON with name and options"
    )
    parser.add_argument("--taxonomy", metavar="NAME", help="whose wheels are shown (default: as for `score`)")
    parser.add_argument("--megabytes", type=int, default=100, help="largest upload (%(default)s)")
    parser.add_argument("--seconds", type=float, default=120.0, help="longest clip (%(default)s)")
    return parser
