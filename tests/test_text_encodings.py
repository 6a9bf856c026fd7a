"""Texts are UTF-8 on every machine: no file and no pipe is read or written in the encoding that the locale happens to name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "plugins", "tests", "benchmarks")
TEXT_MODE = re.compile(r"[rwax]t?\+?")


def locale_decides(call: ast.Call) -> bool:
    """Whether a call opens a text without saying its encoding."""
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in options:
        return False
    if any(
        isinstance(options.get(name), ast.Constant) and options[name].value is True
        for name in ("text", "universal_newlines")
    ):
        return True
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in {"read_text", "write_text"} and isinstance(call.func, ast.Attribute):
        return len(call.args) == (name == "write_text")
    if name not in {"open", "fdopen"}:
        return False
    place = 0 if name == "open" and isinstance(call.func, ast.Attribute) else 1
    modes = [*call.args[place : place + 1], *([options["mode"]] if "mode" in options else [])]
    if not modes:
        if name == "open" and options.keys() - {"buffering", "errors", "newline", "closefd", "opener"}:
            return False  # another thing's `open`, such as a codec's
        return not call.args or place == 1
    return isinstance(modes[0], ast.Constant) and bool(TEXT_MODE.fullmatch(str(modes[0].value)))


def offences(text: str) -> Iterator[ast.AST]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and locale_decides(node):
            yield node
        if isinstance(node, ast.Dict):  # options of a subprocess, unpacked
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            if "text" in keys and "encoding" not in keys and "stdout" in keys:
                yield node


def test_every_text_names_its_encoding() -> None:
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            nodes = offences(path.read_text(encoding="utf-8"))
            found += [f"{path.relative_to(ROOT)}:{node.lineno}" for node in nodes]  # type: ignore[attr-defined]
    assert not found, 'add encoding="utf-8":\n' + "\n".join(found)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("path.read_text()", 1),
        ("path.read_text(errors='replace')", 1),
        ("path.write_text(text)", 1),
        ("open(path)", 1),
        ("path.open('a')", 1),
        ("path.open()", 1),
        ("path.open(mode='w')", 1),
        ("os.fdopen(handle, 'w')", 1),
        ("run(words, text=True)", 1),
        ("Popen(words, **{'stdout': PIPE, 'text': True})", 1),
        ("path.read_text('utf-8')", 0),
        ("path.write_text(text, encoding='utf-8')", 0),
        ("open(path, 'rb')", 0),
        ("path.open('r+b')", 0),
        ("read_text(path)", 0),
        ("clips.open(0)", 0),
        ("codec.open(strict=False)", 0),
        ("run(words, text=True, encoding='utf-8')", 0),
    ],
)
def test_the_check_finds_what_it_is_for(code: str, found: int) -> None:
    assert len(list(offences(code))) == found
