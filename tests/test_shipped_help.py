"""The help that comes with the package: it is the text that is made, at every width, and an old one is never printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from affect_lightning.command_line import help_making, shipped_help
from affect_lightning.command_line.kept_help import print_kept_help
from grounds import current_ground

SHIPPED = json.loads(shipped_help.SHIPPED.read_text(encoding="utf-8"))
REMEDY = "Run `make help-text`: an option, its explanation or the lock has changed since the help was written."
# The file is written with the locked versions under one version of Python; elsewhere the text is made.
of_the_lock = pytest.mark.skipif(
    current_ground() != "locked" or SHIPPED["made_with"]["python"] != ".".join(map(str, sys.version_info[:2])),
    reason="the help comes with the package for the locked versions and one version of Python",
)


@of_the_lock
def test_it_was_written_with_what_is_installed() -> None:
    assert SHIPPED["made_with"] == shipped_help.made_with(help_making.declaring_sources()), REMEDY


WIDTHS = [("fit", 60), ("fit", 100), ("fit", 213), ("validate", 80), ("test", 80), ("predict", 80)]


@of_the_lock
def test_it_is_the_text_that_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    # In a process of its own: the help lists all known subclasses, those of tests too.
    program = (
        "import json, os, sys\n"
        "from affect_lightning.command_line.help_making import made_help\n"
        "made = []\n"
        "for command, columns in json.loads(sys.argv[1]):\n"
        "    os.environ['COLUMNS'] = str(columns)\n"
        "    made.append(made_help(command))\n"
        "print(json.dumps(made))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(WIDTHS)], capture_output=True, check=True, encoding="utf-8"
    )
    for (command, columns), made in zip(WIDTHS, json.loads(done.stdout), strict=True):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert len(made) > 50_000
        assert shipped_help.printed_help(SHIPPED["commands"][command], SHIPPED["options"]) == made, REMEDY


@of_the_lock
def test_the_first_help_loads_no_library(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from affect_lightning.command_line.program import main\n"
        "assert main(['fit', '--help']) == 0\n"
        "assert not {'torch', 'numpy', 'lightning', 'jsonargparse'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"AFFECT_LIGHTNING_CACHE": str(tmp_path / "cache"), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "--data.predict_video" in done.stdout
    assert not (tmp_path / "cache").exists()


def shipped_copy(folder: Path) -> Path:
    """A file that counts here, whatever is installed."""
    path = folder / "shipped.json"
    known = shipped_help.made_with(SHIPPED["made_with"]["sources"])
    path.write_text(json.dumps({**SHIPPED, "made_with": known}), encoding="utf-8")
    return path


def test_another_version_plugin_or_source_has_another_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shipped_copy(tmp_path)
    assert "--model.language_model" in str(shipped_help.shipped_help("fit", path))
    newer = {**shipped_help.library_versions(), "lightning": "99.0"}
    names = [*shipped_help.plugin_names(), "rewards mine"]
    for name, value in (("library_versions", newer), ("plugin_names", names)):
        with monkeypatch.context() as changed:
            changed.setattr(shipped_help, name, lambda value=value: value)
            assert shipped_help.shipped_help("fit", path) is None
    changed_source = tmp_path / "sources"
    for name in SHIPPED["made_with"]["sources"]:
        (changed_source / name).parent.mkdir(parents=True, exist_ok=True)
        (changed_source / name).write_text((shipped_help.SOURCES / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(shipped_help, "SOURCES", changed_source)
    assert shipped_help.shipped_help("fit", path) is not None
    with (changed_source / "model" / "options.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert shipped_help.shipped_help("fit", path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"made_with": {"sources": ["nowhere.py"]}}'])
def test_a_damaged_file_is_as_none(content: str, tmp_path: Path) -> None:
    path = tmp_path / "shipped.json"
    path.write_text(content, encoding="utf-8")
    assert shipped_help.shipped_help("fit", path) is None
    assert shipped_help.shipped_help("fit", tmp_path / "none.json") is None


def test_sources_of_options_and_of_their_defaults_count() -> None:
    named = help_making.declaring_sources()
    assert {"model/options.py", "data/clip_splits.py", "data/faces.py", "data/frame_choice.py"} <= named
    assert {"training/affectgpt_module.py", "unibench/callback.py", "command_line/trainer_commands.py"} <= named
    assert set(SHIPPED["made_with"]["sources"]) <= {
        path.relative_to(shipped_help.SOURCES).as_posix() for path in shipped_help.SOURCES.rglob("*.py")
    }


def test_kept_help_prints_what_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shipped_help, "SHIPPED", shipped_copy(tmp_path))
    monkeypatch.setattr(
        "affect_lightning.command_line.kept_help.shipped_help",
        lambda command: shipped_help.shipped_help(command, shipped_help.SHIPPED),
    )

    def never() -> int:
        raise AssertionError("nothing is made")

    assert print_kept_help(["fit", "--help"], never) == 0
    assert capsys.readouterr().out.startswith("usage: affect-lightning [options] fit")
