"""`affect-lightning experiments`: experiments by name, `--config sandbox`, and copies of them to change.

An experiment is a file of the folder `experiments/`, wherever the package is installed; a path that exists wins. The
commands that take `--config` ask here. Needs neither torch nor Lightning.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading.listing import nearest_hint
from affect_lightning.storage import write_whole_files

PACKAGE = "affect_lightning.experiments"  # the repository's folder `experiments/`
_OPTIONS = ("--config", "-c")
_MOST_BYTES = 2**20  # of a configuration, our choice: the longest experiment has 4 KB
_MOST_ALIASES = 100  # our choice: nested references double the content each time, and no experiment has any
_BASE = re.compile(r"\bLaid over (\w+)\.yaml")


@dataclass(frozen=True)
class Experiment:
    """One experiment that ships with the package.

    Attributes:
        name: As `--config` takes it.
        path: Of the YAML file.
        summary: First sentence of the file's comment.
        base: Name of the experiment over which this one is laid, by a second `--config`; None for a whole experiment.
    """

    name: str
    path: Path
    summary: str
    base: str | None


@cache
def shipped_files() -> dict[str, Path]:
    """The YAML files of the package by name."""
    try:
        folder = Path(str(resources.files(PACKAGE)))
    except ModuleNotFoundError:  # not installed: the sources of a clone are on the search path
        folder = Path(__file__).resolve().parents[3] / "experiments"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def list_experiments() -> list[Experiment]:
    """All experiments of the package, by name."""
    return [_read(name, path) for name, path in shipped_files().items()]


def _read(name: str, path: Path) -> Experiment:
    comment = " ".join(_first_comment(path.read_text(encoding="utf-8")))
    base = _BASE.search(comment)
    return Experiment(name, path, re.split(r"(?<=\.)\s", comment, maxsplit=1)[0], base[1] if base else None)


def _first_comment(text: str) -> Iterator[str]:
    """Lines of the comment with which a file begins, without their marks."""
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        yield line.lstrip("#").strip()


def find_experiment(given: str) -> Path:
    """The file that a `--config` means: a path, or else the name of an experiment of the package.

    Raises:
        ConfigurationError: It is neither.
    """
    path = Path(given)
    if path.exists() and not path.is_dir():
        _check_yaml(path)
        return path
    shipped = shipped_files()
    if given in shipped:
        return shipped[given]
    if path.suffix in (".yaml", ".yml") and path.stem in shipped:
        raise ConfigurationError(
            f"There is no file {given!r}. The experiment {path.stem!r} comes with the package: give its name, "
            f"`--config {path.stem}`. `affect-lightning experiments copy {path.stem}` makes a file that you can change."
        )
    raise ConfigurationError(
        f"There is no file {given!r} and no experiment of that name.{nearest_hint(path.stem, list(shipped))} "
        f"`--config` takes the path of a YAML file or a name that `affect-lightning experiments` lists."
    )


def _check_yaml(path: Path) -> None:
    """Refuse what no configuration is, before a parser that copies every reference sees it.

    Raises:
        ConfigurationError: The file is empty, too large, broken, no mapping, or refers to its own parts without end.
    """
    import yaml

    if not path.is_file():  # a pipe, such as of `<(...)`, can be read only once
        return
    if path.stat().st_size > _MOST_BYTES:
        raise ConfigurationError(f"{path} has more than {_MOST_BYTES >> 20} MiB: it is no configuration.")
    try:
        text = path.read_text(encoding="utf-8")
        aliases = sum(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader))
        if aliases > _MOST_ALIASES:
            raise ConfigurationError(f"{path} has {aliases} references (*name); at most {_MOST_ALIASES} are read.")
        content = yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"The configuration {path} cannot be read: {reason}") from error
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"holds a {type(content).__name__}"
        raise ConfigurationError(
            f"{path} {found}; expected options such as `data: {{batch_size: 3}}`. `affect-lightning experiments copy NAME` "
            f"makes a file that you can change."
        )


def with_experiment_files(words: Sequence[str]) -> list[str]:
    """A command line in which every `--config NAME` has become the path of its file.

    Configurations that are written out (`--config '{...}'`) and addresses stay as they are.

    Raises:
        ConfigurationError: See `find_experiment`.
    """
    found: list[str] = []
    for word in words:
        option, joined, value = word.partition("=")
        if found and found[-1] in _OPTIONS:
            found.append(_as_file(word))
        elif joined and option in _OPTIONS:
            found.append(f"{option}={_as_file(value)}")
        else:
            found.append(word)
    return found


def missing_base(words: Sequence[str]) -> str:
    """A sentence about an experiment that changes another one, which the command line does not name; else nothing."""
    given = [value for word, value in pairwise(words) if word in _OPTIONS]
    given += [word.partition("=")[2] for word in words if word.partition("=")[0] in _OPTIONS and "=" in word]
    for experiment in list_experiments():
        if experiment.name in given and experiment.base and experiment.base not in given:
            return f"Put `--config {experiment.base}` before `--config {experiment.name}`, which only says what differs from it. "
    return ""


def _as_file(given: str) -> str:
    return given if re.search(r"[{}:\n]", given) else str(find_experiment(given))


def run(arguments: Sequence[str]) -> int:
    """List the experiments that `--config` takes by name, or copy some of them."""
    parser = CommandParser(prog="affect-lightning experiments", description=run.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    actions = parser.add_subparsers(dest="action", metavar="copy")
    copy = actions.add_parser(
        "copy", help="copy experiments, so that you can change them", description="Copy experiments."
    )
    copy.add_argument("names", nargs="+", metavar="NAME", help="name of an experiment")
    copy.add_argument(
        "--out", type=Path, default=Path(), metavar="FOLDER", help="folder for the copies (default: the current folder)"
    )
    options = parser.parse_args(arguments)
    experiments = {item.name: item for item in list_experiments()}
    if options.action == "copy":
        print("\n".join(_copy(_named(options.names, experiments), options.out)))
    elif options.json:
        print_json({"experiments": [_plain(item) for item in experiments.values()]})
    else:
        print(_listing(list(experiments.values())))
    return 0


def _plain(item: Experiment) -> dict[str, str | None]:
    return {"name": item.name, "path": str(item.path), "summary": item.summary, "laid_over": item.base}


def _listing(experiments: Sequence[Experiment]) -> str:
    rows = [(item.name, item.base or "", item.summary) for item in experiments]
    return (
        f"{format_table(('name', 'changes', 'what it is'), rows)}\n\n"
        "Use one with `--config NAME`. An experiment that changes another one comes second:\n"
        "`affect-lightning fit --config affectgpt --config table5_qformer`."
    )


def _named(names: Sequence[str], experiments: dict[str, Experiment]) -> list[Experiment]:
    for name in names:
        if name not in experiments:
            raise ConfigurationError(
                f"There is no experiment {name!r}.{nearest_hint(name, list(experiments))} "
                "`affect-lightning experiments` lists them."
            )
    return [experiments[name] for name in names]


def _copy(chosen: Sequence[Experiment], folder: Path) -> list[str]:
    """Copy all or, if a file would be overwritten, none; returns what to tell the user."""
    targets = [folder / item.path.name for item in chosen]
    for target in targets:
        if target.exists():
            raise ConfigurationError(f"{target} exists already. Give another folder with --out, or remove the file.")
    try:
        write_whole_files(
            {target: item.path.read_bytes() for item, target in zip(chosen, targets, strict=True)}, durable=False
        )
    except OSError as error:
        raise ConfigurationError(
            f"Experiments cannot be written to {folder}: {error}. Give a folder with --out."
        ) from error
    return [
        f"{target}    affect-lightning fit {f'--config {item.base} ' if item.base else ''}--config {shlex.quote(str(target))}"
        for item, target in zip(chosen, targets, strict=True)
    ]
