"""The commands and Python blocks of the pages, and what a page says of those that its own test does not run.

A comment before a block says why it is not run, or which test runs it; it may be limited to commands with some words:

    <!-- not run: needs a GPU -->
    <!-- run by tests/test_demo_command.py -->
    <!-- not run, "s3://bucket": needs a store -->

`test_readme_commands.py` and `test_commands_twice.py` run the rest; `test_page_blocks.py` checks that nothing is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
               if "_build" not in path.parts and path.name != "CHANGELOG.md")  # fmt: skip
# What a line of a command begins with; `NAME=value` may stand before it.
PROGRAMS = {
    *("affect-lightning", "bash", "cd", "cp", "export", "for", "git", "hf", "make", "mv", "pip", "python", "sbatch"),
    *("jupyter", "sed", "source", "srun", "tensorboard", "torchrun"),
}
_MARK = re.compile(r'^ *<!-- (not run|run by)(?:, "([^"]+)")?:? (.+?) -->$')
_ASSIGNED = re.compile(r"^(?:\w+=(?:\"[^\"]*\"|\$\(|\S*)\s*)+")


@dataclass(frozen=True)
class Mark:
    """What a comment says of the block after it.

    Attributes:
        kind: `not run` or `run by`.
        words: Only commands with these words; empty for all of the block.
        reason: Why it is not run, or the test that runs it.
    """

    kind: str
    words: str
    reason: str


@dataclass
class Block:
    """An indented or a fenced block of a page.

    Attributes:
        line: Number of its first line.
        info: Behind the fence, such as `python score.py`; empty if indented.
        lines: Its lines, without indentation or fence; one that goes on after a backslash is one.
        marks: The comments before it.
    """

    line: int
    info: str
    lines: list[str]
    marks: list[Mark] = field(default_factory=list)

    def is_python(self) -> bool:
        """Python that a reader runs; in a fence, or indented and beginning with an import."""
        return self.info.startswith("python") or (not self.info and self.lines[0].startswith(("from ", "import ")))

    def commands(self) -> list[str]:
        """Lines that a reader types into a shell, without comments."""
        if self.info and self.info.split()[0] not in ("bash", "console", "sh"):
            return []
        typed = [line.removeprefix("$ ") for line in self.lines if "console" not in self.info or line.startswith("$ ")]
        found = [line.partition("  #")[0].strip() for line in typed]
        return [line for line in found if _is_command(line)]

    def mark_of(self, command: str) -> Mark | None:
        """The comment that covers a command; None if it must be run."""
        return next((mark for mark in self.marks if mark.words in command), None)


def _is_command(line: str) -> bool:
    assigned = _ASSIGNED.match(line)
    rest = line[assigned.end() :] if assigned else line
    return bool(assigned and not rest) or rest.split(" ")[0] in PROGRAMS


def blocks_of(text: str) -> Iterator[Block]:
    """The blocks of a page's text. Indented text in a list is a block, too; empty lines do not end an indented block."""
    marks: list[Mark] = []
    block: Block | None = None
    fenced = False
    for number, line in enumerate([*text.splitlines(), "the end"], 1):
        fence = re.match(r"^ *```+(.*)$", line)
        if fenced and block:
            if fence:
                yield block
                block, fenced = None, False
            else:
                _append(block, line)
            continue
        if block and (line.startswith("    ") or not line.strip()) and not _MARK.match(line):
            _append(block, line[4:])
            continue
        if block:
            yield block
            block = None
        if fence:
            block, fenced, marks = Block(number, fence[1].strip(), [], marks), True, []
        elif mark := _MARK.match(line):
            marks.append(Mark(mark[1], mark[2] or "", mark[3]))
        elif line.startswith("    "):
            block, marks = Block(number, "", [line[4:]], marks), []
        elif line.strip():
            marks = []


def _append(block: Block, line: str) -> None:
    if block.lines and block.lines[-1].endswith("\\"):
        block.lines[-1] = f"{block.lines[-1][:-1].rstrip()} {line.strip()}"
    else:
        block.lines.append(line)


def page_blocks(page: str) -> list[Block]:
    """The blocks of a page, named from the repository's root."""
    return list(blocks_of((ROOT / page).read_text(encoding="utf-8")))


def page_commands(page: str) -> list[str]:
    """The program's commands in the indented blocks of a page that its own test must run."""
    return [
        command
        for block in page_blocks(page)
        for command in block.commands()
        if not block.info
        and block.mark_of(command) is None
        and (command.startswith("affect-lightning ") or "-m affect_lightning" in command)
    ]


def commands_run_by(page: str, test: str) -> list[str]:
    """The commands of a page that a test runs, as its comments say: `<!-- run by tests/TEST -->`."""
    return [
        command
        for block in page_blocks(page)
        for command in block.commands()
        if (mark := block.mark_of(command)) is not None and mark.kind == "run by" and f"tests/{test}" in mark.reason
    ]


def page_python(page: str) -> list[Block]:
    """The Python blocks of a page that its own test must run."""
    return [block for block in page_blocks(page) if block.is_python() and not block.marks]
