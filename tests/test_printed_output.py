"""One JSON object, whatever parts print; text for any terminal; a reader who leaves; misspelt options, told at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from affect_lightning.command_line.option_names import check_option_names
from affect_lightning.command_line.plugin_arguments import ChoiceOverride, override_words, take_plugin_words
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.plugin_loading import held_to_contract
from installed_parts import distribution

NOISY = '''
"""An extractor that talks and may leave."""
import os, sys
print("imported")
from affect_lightning.contracts import LabelExtractor


class Noisy(LabelExtractor):
    """Talks.

    Args:
        leaves: When it ends the program.
    """

    def __init__(self, leaves: str = "never"):
        print("built")
        self.leaves = leaves
        if leaves == "built":
            sys.exit(0)

    def extract(self, responses):
        print("asked")
        os.write(1, b"natively\\\\n")
        if self.leaves == "asked":
            raise SystemExit
        return [["happy"] for _ in responses]

    def sentiment(self, labels):
        return ["positive" for _ in labels]

    def identity(self):
        return "noisy"
'''
LEAVING = "import sys\nsys.exit(0)\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.csv").write_text("name,openset\n\u65e9\U0001f600,happy\n", encoding="utf-8")
    (tmp_path / "p.csv").write_text("name,response\n\u65e9\U0001f600,She is happy.\nq\U0001f600,x\n", encoding="utf-8")
    return tmp_path


SCORE = ["score", "--dataset", "mine", "--labels", "labels.csv", "--predictions", "p.csv", "--taxonomy", "builtin"]


def test_parts_that_print_or_leave(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = folder / "site"
    site.mkdir()
    (site / "noisy.py").write_text(NOISY, encoding="utf-8")
    (site / "leaving.py").write_text(LEAVING, encoding="utf-8")
    extractors = {"noisy": "noisy:Noisy", "leaving": "leaving:Nothing"}
    with distribution(site, "noise", {"label_extractors": extractors}):
        assert main([*SCORE, "--json", "--extractor", "noisy"]) == 0
        printed = capsys.readouterr()
        assert json.loads(printed.out)["scored"] == 1
        assert all(word in printed.err for word in ("imported", "built", "asked"))
        for words, message in (
            (["--extractor", "leaving"], "cannot be imported from leaving:Nothing: SystemExit: 0"),
            (
                ["--extractor", "noisy", "--extractor.leaves", "built"],
                "ended the program with exit code 0 while it was b",
            ),
            (["--extractor", "noisy", "--extractor.leaves", "asked"], "it ended the program with exit code None"),
        ):
            assert main([*SCORE, *words]) == 2, words
            assert message in capsys.readouterr().err
        assert main(["plugins", "leaving"]) == 2


def test_a_part_that_leaves_breaks_its_contract() -> None:
    with (
        pytest.raises(ContractError, match="ended the program with exit code 3"),
        held_to_contract(object.__new__(Part)),
    ):
        sys.exit(3)


class Part:
    """Stands for a part that was built by hand."""


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8", "gbk"])
def test_json_is_json_in_every_encoding(folder: Path, encoding: str) -> None:
    code = f"""
import os, subprocess, sys
from affect_lightning.command_line.program import main
print("before")
code = main({[*SCORE, "--json", "--allow-missing"]!r})
raise SystemExit(code)
"""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    before, text = done.stdout.decode("utf-8" if encoding in ("ascii", "utf-8") else "ascii").splitlines()
    assert before == "before"
    assert json.loads(text)["surplus"] == ["q\U0001f600"]


PRINTING = """
import os, subprocess, sys
from affect_lightning.command_line.printing import only_the_object, print_any_text, print_json
print_any_text()
with only_the_object(True):
    print("by us")
    os.write(1, b"natively\\n")
    subprocess.run([sys.executable, "-c", "print('by a process')"], check=True)
    print_json({"name": "a\\ud83d \\U0001f600"})
    print("again")
print("after")
"""


def test_whatever_is_printed_beside_the_object_goes_to_standard_error() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", PRINTING], env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    first, after = done.stdout.splitlines()
    assert json.loads(first) == {"name": "a\ud83d \U0001f600"}
    assert after == "after"
    assert sorted(done.stderr.split("\n")) == sorted(["by us", "natively", "by a process", "again", ""])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="pipes of a shell")
@pytest.mark.parametrize("words", [["plugins"], ["plugins", "--json"], ["--help"]])
def test_a_reader_who_leaves_is_no_error(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    code = f"import sys; from affect_lightning.command_line.program import main; sys.exit(main({words!r}))"
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.stderr == b""
    assert done.returncode in (0, 141)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.batchsize", "3"], "no option --data.batchsize. Did you mean `--data.batch_size`"),
        (["--trainer.max_step=3"], "Did you mean `--trainer.max_steps`"),
        (["--model.learning_rte", "1"], "Did you mean `--model.learning_rate`"),
        (["--resume.every_n_step", "1"], "Did you mean `--resume.every_n_steps`"),
        (["--batch_size=3"], "no option --batch_size. Did you mean `--data.batch_size`"),
        (["--max_steps", "3"], "Did you mean `--trainer.max_steps`"),
        (["--benchmark.zzz", "3"], "no option --benchmark.zzz. `affect-lightning fit --help`"),
    ],
)
def test_a_misspelt_option_is_told_with_the_nearest(words: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_option_names(["fit", *words])
    assert message in str(caught.value)


def test_right_options_and_those_of_others_pass() -> None:
    check_option_names(
        ["fit", "--config", "sandbox", "--trainer.callbacks+=X", "--model.pre_fusion.num_queries=3", "--data.help", "--json",
         "--optimizer.lr", "1", "--data.columns", "{name: clip}", "--spikes.factor", "2", "--checkpoint.monitor", "x"]
    )  # fmt: skip


def test_a_misspelt_option_needs_neither_torch_nor_lightning() -> None:
    code = (
        "import sys; from affect_lightning.command_line.program import main; code = main(['fit', '--data.framse', '3']); "
        "sys.exit(code if not {'torch', 'lightning'} & sys.modules.keys() else 99)"
    )
    assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode == 2


@pytest.mark.parametrize(
    "value", ["/data/\U0001f600/model", "{{ messages }}{% for m in messages %}", "{a}: b: c", "\u65e9"]
)
def test_option_values_of_any_signs_arrive(value: str) -> None:
    import yaml

    words, overrides, _ = take_plugin_words(["fit", "--model.language_model.path", value])
    (word,) = override_words(
        {"model.language_model": overrides["model.language_model"]}, {"model.language_model": "tiny"}
    )
    assert words == ["fit"]
    assert yaml.safe_load(word.partition("=")[2]) == {"name": "tiny", "path": value}
    assert isinstance(overrides["model.language_model"], ChoiceOverride)


def test_a_missing_sandbox_and_an_unknown_training_set_name_the_remedy(tmp_path: Path) -> None:
    from affect_lightning.data.clip_sources import ClipSources
    from affect_lightning.errors import DataError

    with pytest.raises(DataError, match=r"`affect-lightning sandbox --out .*sandbox-data` makes it"):
        ClipSources(train_root=tmp_path / "sandbox-data").training_clips()
    with pytest.raises(
        DataError, match=r"no training set 'mer-caption'.* The sets to train on are mer-caption-plus, ov.*me"
    ):
        ClipSources(train_sets=("mer-caption",))
