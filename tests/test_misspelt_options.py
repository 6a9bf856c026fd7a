"""A misspelt option of any command: the nearest name at once, without torch or Lightning."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.option_names import check_option_names
from affect_lightning.command_line.plugin_arguments import take_plugin_words
from affect_lightning.command_line.program import COMMANDS, main
from affect_lightning.errors import ConfigurationError

MISTAKES: dict[str, tuple[list[str], str]] = {
    "demo": (["--step", "3", "--long", "--sed", "1"], "Did you mean `--seed`?"),
    "fit": (["--modle.inputs", "[text]"], "Did you mean `--model.inputs`?"),
    "validate": (["--ckpt_pth", "x"], "Did you mean `--ckpt_path`?"),
    "test": (["--verbos", "true"], "Did you mean `--verbose`?"),
    "predict": (["--data.predict_tabel", "x"], "Did you mean `--data.predict_table`?"),
    "cache": (["--devces", "2"], "Did you mean `--devices`?"),
    "doctor": (["--dta", "x"], "Did you mean `--data`?"),
    "experiments": (["copy", "sandbox", "--outt", "x"], "Did you mean `--out`?"),
    "plugins": (["--jsn"], "Did you mean `--json`?"),
    "summary": (["--config", "sandbox", "--promt-tokens", "2"], "Did you mean `--prompt-tokens`?"),
    "sandbox": (["--clps", "3"], "Did you mean `--clips`?"),
    "faces": (["--outt", "x"], "Did you mean `--out`?"),
    "pack": (["--shard_size", "1MB"], "Did you mean `--shard-size`?"),
    "export": (["--fromat", "folder"], "Did you mean `--format`?"),
    "import": (["a.pth", "out", "--model.inputz", "[text]"], "Did you mean `--model.inputs`?"),
    "taxonomy": (["show", "--taxonmy", "builtin", "happy"], "Did you mean `--taxonomy`?"),
    "score": (["--datset", "meld"], "Did you mean `--dataset`?"),
    "answer": (["--describer", "signal", "--querstion", "name"], "Did you mean `--question`?"),
    "annotate": (["length", "table.csv", "--colum", "x", "--colunm", "x"], "Did you mean `--column`?"),
    "report": (["--namse", "a"], "Did you mean `--names`?"),
    "push": (["folder", "me/model", "--licens", "mit", "--dta", "x"], "Did you mean `--data`?"),
    "pull": (["me/model", "out", "--revison", "x"], "Did you mean `--revision`?"),
    "playground": (["exported", "--besides", "x"], "Did you mean `--beside`?"),
    "serve": (["exported", "--prot", "1"], "Did you mean `--port`?"),
    "table": (["table5", "--sedes", "2"], "Did you mean `--seeds`?"),
}
_ALL = """
import contextlib, io, json, sys
from affect_lightning.command_line.program import main
found = {}
for command, words in json.loads(sys.argv[1]).items():
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main([command, *words])
    found[command] = [code, said.getvalue(), sorted({"torch", "lightning"} & sys.modules.keys())]
print(json.dumps(found))
"""


def test_every_command_names_the_nearest_option_and_loads_neither_torch_nor_lightning() -> None:
    assert MISTAKES.keys() == COMMANDS.keys()
    asked = json.dumps({command: words for command, (words, _) in MISTAKES.items()})
    done = subprocess.run([sys.executable, "-c", _ALL, asked], capture_output=True, encoding="utf-8", check=True)
    for command, (code, said, heavy) in json.loads(done.stdout).items():
        assert (code, heavy) == (2, []), (command, code, heavy)
        assert MISTAKES[command][1] in said, (command, said)
        assert "--help` lists the options" in said, (command, said)


def test_options_before_a_subcommand_are_looked_at_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments", "--jsn", "copy", "sandbox"]) == 2
    assert "There is no option --jsn. Did you mean `--json`?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scor"], "invalid choice: 'scor'. Did you mean `score`? Choose from demo, fit,"),
        (["annotate", "crwd"], "argument STEP: invalid choice: 'crwd'. Did you mean `crowd`?"),
        (["taxonomy", "ftch"], "invalid choice: 'ftch'. Did you mean `fetch`? Choose from fetch, show, plot."),
        (["experiments", "cpy"], "Did you mean `copy`?"),
        (
            ["export", "a", "b", "--format", "foldr"],
            "argument --format: invalid choice: 'foldr'. Did you mean `folder`?",
        ),
        (["taxonomy", "zzzzzz"], "invalid choice: 'zzzzzz'. Choose from fetch, show, plot."),
        (["answer", "--describer", "signal"], "arguments are required: --out. `affect-lightning answer --help` lists"),
        (["annotate", "review", "x.csv"], "unrecognized arguments: x.csv. `affect-lightning annotate review --help`"),
    ],
)
def test_a_wrong_choice_gets_the_nearest_one_and_no_page_of_usage(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "usage:" not in err


def test_the_beginning_of_an_option_that_chooses_a_plugin_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answer", "--describ", "signal", "--out", "x", "--data", "nowhere"]) == 2
    assert "There is no folder nowhere." in capsys.readouterr().err
    rest, overrides, _ = take_plugin_words(["--extr", "rules", "--ex", "y"], {"extractor": "label_extractors"})
    assert (rest, overrides["extractor"].name) == (["--ex", "y"], "rules")


def test_no_option_of_the_real_parser_is_refused() -> None:
    from affect_lightning.command_line import trainer_commands

    class Listed(Exception):
        """Carries the option strings of the parsers."""

    class Reader(trainer_commands.AffectCLI):
        def parse_arguments(self, parser: object, args: object) -> None:
            raise Listed(
                {
                    option
                    for sub in parser._subcommands_action._name_parser_map.values()  # type: ignore[attr-defined]
                    for action in sub._actions
                    for option in action.option_strings
                    if option.startswith("--")
                }
            )

    options: set[str] = set()
    for command in ("fit", "validate", "test", "predict"):  # each makes the parser of its own options
        with pytest.raises(Listed) as caught:
            Reader([command], {})
        options |= caught.value.args[0]
    assert {"--trainer.max_steps", "--verbose", "--weights_only"} <= options
    check_option_names(sorted(options))


def test_a_far_name_gets_no_hint_and_values_are_no_options() -> None:
    with pytest.raises(ConfigurationError, match=r"^There is no option --zzzzzz\. `affect-lightning fit --help` lists"):
        check_option_names(["--zzzzzz"])
    check_option_names(["cache", "--devices=2"], ("devices",))
    parser = CommandParser(prog="affect-lightning x")
    parser.add_argument("--label", nargs="*")
    parser.add_argument("rest", nargs="*")
    assert parser.parse_args(["--lab", "a", "--", "--other"]).rest == ["--other"]
    with pytest.raises(ConfigurationError, match=r"no option --lable\. Did you mean `--label`\? `affect-lightning x"):
        parser.parse_args(["--lable", "a"])
