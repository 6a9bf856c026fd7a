"""The program without a Trainer: help, version, plugins, wrong words."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from affect_lightning.command_line.plugin_arguments import ChoiceOverride, override_words, take_plugin_words
from affect_lightning.command_line.program import COMMANDS, main
from affect_lightning.errors import ConfigurationError, PluginError


def program(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "affect_lightning", *words],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("plugins",),
        ("plugins", "--json"),
        ("experiments",),
        ("experiments", "--json"),
        ("fit", "--model.pre_fusion.help"),
    ],
)
def test_quick_commands_need_no_torch(words: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom affect_lightning.command_line.program import main\n"
        f"code = main({list(words)!r})\n"
        "heavy = {'torch', 'lightning', 'transformers', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\nraise SystemExit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr


def test_a_plugin_s_options_are_shown_without_lightning() -> None:
    code = (
        "import sys\nfrom affect_lightning.command_line.program import main\n"
        "code = main(['fit', '--model.pre_fusion.help', 'qformer'])\n"
        "assert 'lightning' not in sys.modules\nraise SystemExit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "--model.pre_fusion.OPTION VALUE" in done.stdout


def test_help_lists_every_command() -> None:
    done = program("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in COMMANDS)


SPEAKING = r"""
import json, sys, types
from affect_lightning.command_line.program import main
command = types.SimpleNamespace(run=lambda words: print(json.dumps({"response": "\u4f60\u597d"}, ensure_ascii=False)))
sys.modules["affect_lightning.command_line.plugins_command"] = command
raise SystemExit(main(["plugins"]))
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_words_of_any_language_are_printed(encoding: str) -> None:
    """Locale C with Python's UTF-8 mode off, or another encoding for the streams: no word ends the program."""
    locale = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment = {**os.environ, **(locale if encoding == "ascii" else {"PYTHONIOENCODING": encoding})}
    done = subprocess.run([sys.executable, "-c", SPEAKING], capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode("latin-1" if encoding == "latin-1" else "utf-8")
    assert json.loads(text) == {"response": "你好"}


def test_unknown_command_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "invalid choice: 'trian'" in capsys.readouterr().err


def test_plugins_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["plugins"]
    named = {(row["group"], row["name"]) for row in listed}
    assert {("pre_fusions", "attention"), ("pre_fusions", "qformer"), ("pre_fusions", "none")} <= named
    assert all(row["summary"] for row in listed), "every plugin explains itself in its docstring's first line"


def test_one_plugin_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "qformer"]) == 0
    text = capsys.readouterr().out
    assert "num_queries" in text
    assert "int" in text


def test_unknown_plugin_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "qfromer"]) == 2
    assert "Did you mean 'qformer'?" in capsys.readouterr().err


def test_plugin_words_are_gathered() -> None:
    words = [
        *("fit", "--model.pre_fusion", "qformer", "--trainer.max_steps", "3"),
        *("--model.pre_fusion.num_queries", "16", "--data.face_detector=none"),
    ]
    rest, overrides, asked = take_plugin_words(words)
    assert rest == ["fit", "--trainer.max_steps", "3"]
    assert overrides["model.pre_fusion"] == ChoiceOverride("qformer", {"num_queries": 16})
    assert overrides["data.face_detector"].name == "none"
    assert asked is None


def test_naming_another_plugin_drops_the_former_options() -> None:
    configured = {"model.pre_fusion": {"name": "qformer", "num_queries": 4}}
    other = override_words({"model.pre_fusion": ChoiceOverride("attention")}, configured)
    same = override_words({"model.pre_fusion": ChoiceOverride(None, {"num_queries": 8})}, configured)
    assert json.loads(other[0].partition("=")[2]) == {"name": "attention"}
    assert json.loads(same[0].partition("=")[2]) == {"name": "qformer", "num_queries": 8}


def test_options_without_a_plugin_are_a_mistake() -> None:
    with pytest.raises(PluginError, match="Add `--model.pre_fusion NAME`"):
        override_words({"model.pre_fusion": ChoiceOverride(None, {"num_queries": 8})}, {})


def test_option_without_a_value_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="--model.pre_fusion needs a value"):
        take_plugin_words(["fit", "--model.pre_fusion"])
