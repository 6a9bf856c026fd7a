"""A misspelt option of the trainer commands, told at once: the names stand in source texts, and nothing is imported.

jsonargparse refuses such an option as well, but only after torch and Lightning are loaded. What it knows below the
options of a section is left to it. `program.py` asks before it loads `trainer_commands.py`, and so do `cache`, `pack`,
`summary` and `import`, which take the options of `fit` beside their own. `command_parser.py` serves the other commands.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from affect_lightning.command_line.command_parser import option_hint
from affect_lightning.command_line.predict_options import NAMES as PREDICT_NAMES
from affect_lightning.errors import ConfigurationError

_OURS = Path(__file__).resolve().parents[1]
# Section of the options to the files and classes whose constructors, or fields, are its options.
_CLASSES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "data": (("data/clip_splits.py", "ClipSplits"),),
    "model": (("model/options.py", "*"), ("training/affectgpt_module.py", "AffectGPTModule")),
    "benchmark": (("unibench/callback.py", "BenchmarkCallback"),),
    "resume": (("training/resume_checkpoint.py", "ResumeCheckpoint"),),
    "spikes": (("training/loss_anomalies.py", "LossSpikeLog"),),
    "reward_watch": (("training/reward_watch.py", "RewardWatch"),),
    "subtitles": (("describing/subtitle_callback.py", "SubtitleCallback"),),
    "trainer": (("lightning:pytorch/trainer/trainer.py", "Trainer"),),
    "checkpoint": (("lightning:pytorch/callbacks/model_checkpoint.py", "ModelCheckpoint"),),
}
# Options without a section, and sections whose options a class of the user's choice has.
_ALONE = (
    "config",
    "help",
    "print_config",
    "seed_everything",
    "ckpt_path",
    "init_from",
    "json",
    "out",
    "part",
    "merge",
    "optimizer",
    "lr_scheduler",
    "verbose",
    "weights_only",
    "return_predictions",
)


def check_option_names(words: Sequence[str], own: Sequence[str] = (), *, command: str = "fit") -> None:
    """Refuse an option that nobody knows, with the nearest name.

    Args:
        words: The command line.
        own: Further options, which the command has beside those of `fit`; without the dashes.
        command: Whose `--help` lists the options.

    Raises:
        ConfigurationError: An option is misspelt.
    """
    for word in words:
        if not word.startswith("--") or word == "--":
            continue
        given = word[2:].partition("=")[0]
        hint = _mistake(given, (*_ALONE, *own, *(PREDICT_NAMES if command == "predict" else ())))
        if hint is not None:
            raise ConfigurationError(
                f"There is no option --{given}.{hint} `affect-lightning {command} --help` lists the options"
                f"{', and `affect-lightning fit --help` those of fit' if own else ''}."
            )


def _mistake(given: str, alone: Sequence[str]) -> str | None:
    """The hint for a misspelt option, which may be empty; None for a right one."""
    section, dot, rest = given.partition(".")
    name = rest.split(".")[0].rstrip("+")
    if dot and section in _CLASSES:
        known = set(_names(section))
        if not known or name in {*known, "help"}:
            return None
        return option_hint(name, known, f"{section}.%s")
    if section.rstrip("+") in alone or section in _CLASSES or section == "":
        return None
    if not dot:
        homes = [home for home in _CLASSES if section in _names(home)]
        if homes:
            return f" Did you mean `--{homes[0]}.{section}`?"
        return option_hint(section, (*alone, *_CLASSES))
    return option_hint(section, (*_CLASSES, "optimizer", "lr_scheduler"), f"%s.{rest}")


def _names(section: str) -> Iterator[str]:
    """The options of a section; none where a source cannot be read."""
    for place, class_name in _CLASSES[section]:
        path = _path(place)
        if path is None:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and class_name in (node.name, "*"):
                yield from _options_of(node)


def _path(place: str) -> Path | None:
    """The file of a place of ours, or of an installed package, which is not imported."""
    package, colon, inside = place.partition(":")
    if not colon:
        return _OURS / place
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    return next((path for folder in folders if (path := Path(folder) / inside).is_file()), None)


def _options_of(node: ast.ClassDef) -> Iterator[str]:
    """The fields of a class and the arguments of its constructor."""
    for inner in node.body:
        if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
            yield inner.target.id
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            yield from (argument.arg for argument in [*inner.args.args[1:], *inner.args.kwonlyargs])
