"""Options read from a plugin's source: the same as those of the imported class, or none where the source is not plain."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from affect_lightning.plugin_loading import list_plugins, plugin_options
from affect_lightning.plugin_loading.listing import find_group
from affect_lightning.plugin_loading.source_options import PluginOption, read_options

OURS = [listing for listing in list_plugins() if listing.distribution == "affect-lightning"]


@pytest.mark.parametrize("listing", OURS, ids=lambda listing: f"{listing.group}-{listing.name}")
def test_the_source_of_every_plugin_of_ours_says_what_its_class_says(listing) -> None:
    found = read_options(listing.target, find_group(listing.group).supplied)
    assert found == plugin_options(listing.group, listing.name)


def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    name = f"plain_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return f"{name}:Part"


def test_arguments_pass_through_bases_groups_and_aliases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = module(
        tmp_path,
        monkeypatch,
        '''
        from dataclasses import dataclass
        from typing import Any, Literal, Mapping
        Kind = Literal["a", "b"]
        LOW, HIGH = -1, 2 * 8

        @dataclass
        class Group:
            """Options.

            Attributes:
                rank: Of the group,
                    in two lines.
                low: Given by the class.
            """

            rank: int = HIGH
            low: int = 0

        class Base:
            def __init__(self, first, kind: Kind = "a", *, low: int | None = LOW, **more: Any) -> None:
                """Build.

                Args:
                    kind: Which.
                """
                if more.get("rank"):
                    pass
                self.group = Group(low=3, **more)

        class Part(Base):
            def __init__(self, *, size: "Mapping[str, int] | None" = None, text, **options: Any) -> None:
                super().__init__(1, **options)

        class Bare(Part):
            """Nothing of its own."""
        ''',
    )
    wanted = [
        ("text", "anything", "required", ""),
        ("kind", "Literal['a', 'b']", "'a'", "Which."),
        ("low", "int | None", "-1", ""),
        ("rank", "int", "16", "Of the group, in two lines."),
    ]
    for name in ("Part", "Bare"):
        assert read_options(target.replace("Part", name), ("size",)) == [PluginOption(*item) for item in wanted]


@pytest.mark.parametrize(
    "body",
    [
        "def __init__(self, *, size: int = compute()): ...",
        "def __init__(self, *sizes: int): ...",
        "def __init__(self, **options): self.options = dict(options)",
        "def __init__(self, **options): self.options = make.it(**options)",
        "def __init__(self, kind: Unknown = None): ...",
        "def __new__(cls): ...",
    ],
)
def test_what_is_not_plain_is_left_to_python(body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_options(module(tmp_path, monkeypatch, f"class Part:\n    {body}\n")) is None


def test_missing_and_broken_sources_are_left_to_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_options("no_such_module:Part") is None
    assert read_options("json:Part") is None
    assert read_options(module(tmp_path, monkeypatch, "class Part:\n  def __init__(")) is None


@pytest.mark.parametrize(
    "words",
    [["plugins", "qformer"], ["plugins", "qwen2.5", "--json"], ["plugins", "rules"],
     ["fit", "--model.objective.help", "response"]],
)  # fmt: skip
def test_explaining_a_plugin_needs_no_torch(words: list[str]) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning', 'transformers', 'numpy'):\n"
        "    sys.modules[name] = None\n"  # as if it were not installed
        "from affect_lightning.command_line.program import main\n"
        f"raise SystemExit(main({words!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "default" in done.stdout or "no options" in done.stdout
