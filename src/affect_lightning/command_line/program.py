"""Entry of the `affect-lightning` program: finds the command and turns the user's mistakes into exit code 2.

Commands that need a Trainer (fit, validate, test, predict) go to `trainer_commands.py`, a LightningCLI; the others
stand in modules of their own. Every command is imported only when it is asked for, so that `--help`, `--version` and
`plugins` answer without torch or Lightning.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from affect_lightning import __version__
from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.early_checks import check_named_files
from affect_lightning.command_line.executors import asks_for_executor, run_in_parts
from affect_lightning.command_line.kept_help import asks_for_help_alone, print_kept_help
from affect_lightning.command_line.option_names import check_option_names
from affect_lightning.command_line.printing import give_up_output, only_the_object, print_any_text
from affect_lightning.errors import AffectLightningError, visible
from affect_lightning.storage import keep_libraries_out_of_a_home_that_cannot_be_written

USER_MISTAKE = 2
INTERRUPTED = 130
_LOOKING = ("doctor", "plugins", "report", "score", "summary")  # they start no process that outlives them
READER_LEFT = 141  # as a shell says of a program that SIGPIPE ended


@dataclass(frozen=True)
class Command:
    """One command of the program.

    Attributes:
        summary: One line for `--help`.
        module: Module under `affect_lightning.command_line` that holds it.
        trains: Whether it goes to LightningCLI with its own parser.
    """

    summary: str
    module: str
    trains: bool = False


COMMANDS: dict[str, Command] = {
    "demo": Command("Generate a corpus, train, test and report, all on a laptop.", "demo_command"),
    "fit": Command("Train AffectGPT (LightningCLI; `fit --help` shows all options).", "trainer_commands", True),
    "validate": Command("Compute the validation loss of a checkpoint.", "trainer_commands", True),
    "test": Command("Answer MER-UniBench sets; write responses, scores and a report.", "benchmark_command", True),
    "predict": Command("Answer clips of your own.", "trainer_commands", True),
    "playground": Command("Ask a trained model about clips of your own, in the browser.", "playground_command"),
    "answer": Command("Let a model of others answer the sets, for `score` and `report`.", "answer_command"),
    "cache": Command("Run the frozen encoders once over the clips, for `data.features: cached`.", "cache_command"),
    "doctor": Command("Check a set of clips before training: files, tables, media, faces.", "doctor_command"),
    "experiments": Command("List the experiments that `--config` takes by name, or copy one.", "experiments_command"),
    "plugins": Command("List the installed plugins, or explain one.", "plugins_command"),
    "summary": Command("Show parts, parameters and memory of a configuration, without its weights.", "summary_command"),
    "sandbox": Command("Generate the sandbox corpus in the official folder layouts.", "sandbox_command"),
    "faces": Command("Draw a contact sheet of the faces in clips, and of the speaker's crops.", "faces_command"),
    "pack": Command("Write the training set as shards, to stream from a folder or from S3.", "pack_command"),
    "export": Command("Turn a checkpoint into a peft adapter and more, or into the authors' layout.", "export_command"),
    "push": Command("Send an exported folder to a Hugging Face hub, with a model card.", "push_command"),
    "pull": Command("Fetch an exported folder from a Hugging Face hub.", "pull_command"),
    "import": Command("Turn the authors' checkpoint, or a peft adapter, into a folder to test.", "import_command"),
    "taxonomy": Command("Fetch the official emotion wheels, look a word up, draw the wheels.", "taxonomy_command"),
    "score": Command("Score saved outputs of any model, or a folder of them.", "score_command"),
    "annotate": Command("Filter descriptions as MER-Caption does; compare them in a blind study.", "annotate_command"),
    "serve": Command("Answer OpenAI's chat completions about clips with an exported network.", "serve_command"),
    "report": Command("Compare finished runs in one report.", "report_command"),
    "table": Command(
        "Make a table of the paper: train and test its rows, beside the published figures.", "table_command"
    ),
}


def _overall_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    parser = CommandParser(
        prog="affect-lightning",
        usage="affect-lightning [--version] [--help] COMMAND ...",
        description="AffectGPT, MER-Caption and MER-UniBench in PyTorch Lightning.",
        epilog=f"commands:\n{lines}\n\n`affect-lightning COMMAND --help` explains a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"affect-lightning {__version__}")
    parser.add_argument("command", metavar="COMMAND", choices=list(COMMANDS), help="see below")
    return parser


def _trainer_words(words: Sequence[str]) -> tuple[list[str], str]:
    """The words with long option names, and what `--model.pre_fusion.help NAME` asks for, if one does.

    The help is answered before Lightning is imported; it is empty where none is asked for.
    """
    from affect_lightning.command_line.plugin_arguments import plugin_help, take_plugin_words, with_long_options
    from affect_lightning.command_line.predict_options import with_predict_options

    long = with_predict_options(with_long_options(words))
    asked = take_plugin_words(long)[2]
    return long, plugin_help(asked) if asked is not None else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words of the command line without the program's name; those of the process by default.

    Returns:
        The exit code: 0 when all went well, 2 after a user's mistake, 130 when interrupted, 141 when the reader of a pipe left.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    print_any_text()
    try:
        with only_the_object("--json" in words):
            code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        give_up_output()
        return READER_LEFT
    return code


def _run(words: list[str]) -> int:
    parser = _overall_parser()
    try:
        keep_libraries_out_of_a_home_that_cannot_be_written()
        # Only the first word is ours: the rest belongs to the command, `--help` included.
        chosen = parser.parse_args(words[:1]).command
        if asks_for_executor(words):
            return run_in_parts(words, _run)
        command = COMMANDS[chosen]
        if command.trains:
            words, explained = _trainer_words(words)
            if explained:
                print(explained)
                return 0
            check_option_names(words, command=chosen)
            check_named_files(words)
        if command.trains and asks_for_help_alone(words):
            return print_kept_help(words, lambda: _carried_out(command, words))
        return _carried_out(command, words)
    except AffectLightningError as error:
        print(f"affect-lightning: error: {visible(str(error))}", file=sys.stderr)
        return USER_MISTAKE
    except SystemExit as stop:
        # argparse and jsonargparse leave this way after --help or a wrong option.
        return stop.code if isinstance(stop.code, int) else (0 if stop.code is None else USER_MISTAKE)
    except KeyboardInterrupt:
        print("affect-lightning: interrupted", file=sys.stderr)
        return INTERRUPTED


def _carried_out(command: Command, words: list[str]) -> int:
    module = importlib.import_module(f"affect_lightning.command_line.{command.module}")
    return int(module.run(words if command.trains else words[1:]) or 0)


def enter() -> None:
    """The `affect-lightning` program: run one command and leave the process.

    Taking torch and its thousands of modules apart takes a fifth of the time of its import. So a command that only looks
    (`_LOOKING`, or any help) leaves without that, after everything that was to be done at the exit.
    """
    code = main()
    words = sys.argv[1:]
    if "torch" in sys.modules and ((words[:1] and words[0] in _LOOKING) or "--help" in words):
        with suppress(OSError, ValueError):  # a reader that left
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


if __name__ == "__main__":
    enter()
