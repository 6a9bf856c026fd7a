"""Every command and every Python block of every page is run by a test, or the page says why not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import test_commands_twice
from page_blocks import PAGES, ROOT, Block, blocks_of, page_blocks

# Pages whose commands are run as they stand by a test of their own, or by `test_commands_twice.py`.
RUN_BY = {
    **dict.fromkeys([*test_commands_twice.PAGES, *test_commands_twice.OTHER_PAGES], "test_commands_twice.py"),
    "docs/annotation.md": "test_annotation_page.py",
    "docs/annotation_export.md": "test_annotation_export.py",
    "docs/plugins.md": "test_docs_plugins.py",
}
PYTHON_RUN_BY = {
    **dict.fromkeys(test_commands_twice.OTHER_PAGES, "test_commands_twice.py"),
    "docs/plugins.md": "test_docs_plugins.py",
    "docs/python.md": "test_python_page.py",
}
EVERY_COMMAND = {"docs/plugins.md"}  # its test runs programs of others, too


def left_out(page: str, block: Block) -> list[str]:
    """What of a block nobody runs, although the page does not say so."""
    ours = [command for command in block.commands() if re.match(r"affect-lightning |torchrun ", command)]
    found = [
        command
        for command in block.commands()
        if block.mark_of(command) is None
        and page not in EVERY_COMMAND
        and (command not in ours or page not in RUN_BY or bool(block.info))
    ]
    python = block.is_python() and not block.marks and page not in PYTHON_RUN_BY
    return [*found, *([block.lines[0]] if python else [])]


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_left_out(page: str) -> None:
    lines = [f"{page}:{block.line}: {line}" for block in page_blocks(page) for line in left_out(page, block)]
    assert lines == [], 'write "<!-- not run: WHY -->" or "<!-- run by tests/FILE.py -->" before the block, or run it'


def told_words(command: str) -> list[str]:
    """What a test that runs a command must hold, if it does not read the page: command, options, name of a script."""
    words = shlex.split(command)
    ours = words.index("affect-lightning") if "affect-lightning" in words else None
    named = (
        [f'"{words[ours + 1]}"'] if ours is not None else [Path(word).stem for word in words if word.endswith(".py")]
    )
    return [*named, *[word.removeprefix("--").split(".")[-1] for word in words if re.match(r"--\w", word)]]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_comment_says_is_there(page: str) -> None:
    """Each comment belongs to a block, its words to a command of it, and its test exists."""
    text = (ROOT / page).read_text(encoding="utf-8")
    marks = [(block, mark) for block in page_blocks(page) for mark in block.marks]
    assert len(marks) == len(re.findall(r"^ *<!-- (?:not run|run by)", text, re.MULTILINE))
    for block, mark in marks:
        covered = [command for command in block.commands() if mark.words in command]
        assert covered or (block.is_python() and not mark.words), f"{page}:{block.line}: {mark}"
        tests = re.findall(r"tests/\w+\.py", mark.reason)
        assert all((ROOT / test).is_file() for test in tests), mark.reason
        assert tests or mark.kind == "not run", mark.reason
        assert len(mark.reason.split()) > 1 or mark.kind == "run by", mark.reason
        if mark.kind == "run by":
            missing = [word for command in covered for word in told_words(command)]
            sources = [(ROOT / test).read_text(encoding="utf-8") for test in tests]
            missing = [] if any(Path(page).name in source for source in sources) else missing
            assert [word for word in missing if not any(word in source for source in sources)] == [], mark


def test_pages_and_tests_that_are_named_are_there() -> None:
    assert set(RUN_BY) | set(PYTHON_RUN_BY) <= set(PAGES)
    for page, test in {**RUN_BY, **PYTHON_RUN_BY}.items():
        names = ("docs", page.removeprefix("docs/"))
        source = (ROOT / "tests" / test).read_text(encoding="utf-8")
        assert page in source or all(name in source for name in names), f"{test} does not read {page}"


PLANTED = """Text.

    affect-lightning plugins          # a comment
    make demo

<!-- not run: needs a GPU -->

    torchrun -m affect_lightning fit \\
        --config affectgpt

<!-- run by, "make test" tests/test_page_blocks.py -->

    make test
    make lint

```console
$ affect-lightning summary
part
```

```python
import os
```

    name,text
    a,Hello.
"""


def test_a_command_that_nobody_runs_is_found() -> None:
    blocks = list(blocks_of(PLANTED))
    assert [block.commands() for block in blocks] == [
        ["affect-lightning plugins", "make demo"],
        ["torchrun -m affect_lightning fit --config affectgpt"],
        ["make test", "make lint"],
        ["affect-lightning summary"],
        [],
        [],
    ]
    assert [left_out("docs/data.md", block) for block in blocks] == [
        ["make demo"],
        [],
        ["make lint"],
        ["affect-lightning summary"],
        [],
        [],
    ]
    assert left_out("docs/versions.md", blocks[0]) == ["affect-lightning plugins", "make demo"]
    assert left_out("docs/versions.md", blocks[4]) == ["import os"]
    assert [mark.reason for block in blocks for mark in block.marks] == ["needs a GPU", "tests/test_page_blocks.py"]
