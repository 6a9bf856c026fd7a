"""`affect-lightning plugins check`: the table, the JSON object, the exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from affect_lightning.command_line.plugins_command import _options
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError
from affect_lightning.testing import checks_of
from installed_parts import distribution


@pytest.fixture(scope="module", autouse=True)
def _offered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    points = {
        "label_extractors": {"good-words": "broken_workers:GoodWords", "words-twice": "broken_workers:WordsTwice"},
        "face_detectors": {"good-finder": "broken_workers:GoodFinder"},
        "pre_fusions": {"unfinished": "broken_networks:Unfinished"},
    }
    with distribution(tmp_path_factory.mktemp("offered"), "broken-parts", points):
        yield


def test_a_good_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", "good-words"]) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == "label extractor good-words of broken-parts 1.0"
    assert lines[2].split() == ["check", "result", "expected", "received"]
    for check in checks_of("label_extractors"):
        assert any(line.startswith(check.name) and " passed " in line for line in lines), check.name
    assert lines[-1] == f"{len(checks_of('label_extractors'))} passed, 0 failed, 0 skipped"
    assert max(map(len, lines)) <= 132


def test_a_broken_plugin_has_exit_code_1_and_says_what_came(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", "words-twice", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["plugin"], found["group"], found["distribution"]) == (
        "words-twice",
        "label_extractors",
        "broken-parts",
    )
    assert found["failed"] == 1
    (row,) = [row for row in found["checks"] if row["result"] == "failed"]
    assert row["check"] == "shapes"
    assert row["expected"] == "each word once"
    assert row["received"] == "a list of 2 str"
    assert set(row) == {"check", "result", "expected", "received", "seconds"}


def test_options_reach_the_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", "good-finder", "--options", "least=40.5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["options"] == {"least": 40.5}
    identity = next(row for row in found["checks"] if row["check"] == "identity")
    assert identity["received"] == "good 40.5"


def test_a_plugin_that_cannot_be_loaded_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", "unfinished"]) == 1
    said = capsys.readouterr().out
    assert "contract-form" in said
    assert "the part cannot be built" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["good-wrods"], "There is no plugin 'good-wrods'. Did you mean 'good-words'?"),
        (["none"], "'none' names parts of several kinds: face_detectors, pre_fusions. Say which with --group."),
        (["good-finder", "--options", "lest=3"], "has no option 'lest'. Did you mean 'least'?"),
        (["good-finder", "--options", "least=bright"], "option 'least' expects float, got 'bright'"),
        (["good-finder", "--options", "least"], "--options takes KEY=VALUE words or one mapping"),
        (["yunet", "--options", "model_path=absent.onnx"], "finds no file absent.onnx"),
        (["timm"], "required: model"),
        ([], "the following arguments are required: name"),
        (["good-words", "--group", "words"], "invalid choice: 'words'"),
    ],
)
def test_the_callers_mistakes(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check", *words]) == 2
    caught = capsys.readouterr()
    assert message in caught.err
    assert caught.out == ""


def test_ways_to_write_options() -> None:
    wanted = {"a": 1, "b": "x=y", "c": [1, 2], "d": None, "e": 0.5}
    assert _options(["a=1", "b=x=y", "c=[1, 2]", "d=null", "e=0.5"]) == wanted
    assert _options(["{a: 1, b: x=y, c: [1, 2]}", "d=", "e=0.5"]) == wanted
    with pytest.raises(ConfigurationError, match="is no YAML"):
        _options(["a=[1"])
    assert _options(["weights=/tmp/a=b.pt"]) == {"weights": "/tmp/a=b.pt"}
