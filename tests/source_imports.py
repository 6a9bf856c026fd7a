"""What the sources import and what setup.cfg says: for the tests of import rules, packaging and dependencies."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {"affect_lightning": ROOT / "src", "affect_lightning_plugins": ROOT / "plugins"}
CORE, PLUGINS = SOURCES
# Packages whose folder stands elsewhere than their name says.
PLACED = {f"{CORE}.experiments": ROOT / "experiments"}


def package_files() -> Iterator[tuple[str, Path]]:
    """Every file of ours that an installation may hold, with the package that it belongs to."""
    folders = {**{package: folder / package for package, folder in SOURCES.items()}, **PLACED}
    for package, folder in folders.items():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield ".".join((package, *path.parent.relative_to(folder).parts)), path


def module_files() -> Iterator[tuple[str, Path]]:
    """Every module of ours by name."""
    for package, path in package_files():
        if path.suffix == ".py":
            yield package if path.stem == "__init__" else f"{package}.{path.stem}", path


def imported_modules(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Everything that a source imports, at any depth and under any condition, with relative names resolved.

    `from a import b` counts as `a.b` where `a` is ours: b may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: None if is_package and node.level == 1 else is_package - node.level]
                base = ".".join([*parents, base]).rstrip(".")
            ours = base.split(".")[0] in SOURCES
            yield from ((f"{base}.{alias.name}" for alias in node.names) if ours else [base])


def packaging() -> configparser.ConfigParser:
    """setup.cfg."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser
