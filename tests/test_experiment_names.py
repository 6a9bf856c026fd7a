"""`--config NAME`: the experiments of the package by name, from any folder; `affect-lightning experiments`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from affect_lightning.command_line.experiments_command import (
    find_experiment,
    list_experiments,
    shipped_files,
    with_experiment_files,
)
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError

FOLDER = Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_file_of_the_folder_has_a_name_a_summary_and_a_base_that_exists() -> None:
    found = {item.name: item for item in list_experiments()}
    assert sorted(found) == sorted(path.stem for path in FOLDER.glob("*.yaml"))
    assert all(len(item.summary) > 15 and item.summary.endswith(".") for item in found.values())
    assert {name for name, item in found.items() if item.base is None} == {
        *("affectgpt", "annotate_planted", "annotate_sandbox", "sandbox", "sandbox_small", "text_only")
    }
    assert {item.base for item in found.values()} == {None, "affectgpt", "sandbox_small"}
    assert found["table5_qformer"].summary == "Table 5, second row: Q-Former pre-fusion, 32 queries (authors' recipe)."


def test_a_name_is_the_file_of_the_package() -> None:
    assert find_experiment("sandbox").samefile(FOLDER / "sandbox.yaml")


def test_a_path_wins_where_it_exists(tmp_path: Path) -> None:
    (tmp_path / "affectgpt").write_text("seed_everything: 3\n", encoding="utf-8")
    (tmp_path / "sandbox").mkdir()  # no configuration: `affect-lightning sandbox --out sandbox` makes one
    assert find_experiment("affectgpt") == Path("affectgpt")
    assert find_experiment("sandbox") == shipped_files()["sandbox"]
    assert find_experiment(str(tmp_path / "affectgpt")) == tmp_path / "affectgpt"


def test_sources_that_are_not_installed_have_them_too(repository: Path) -> None:
    program = "from affect_lightning.command_line.experiments_command import find_experiment as f; print(f('sandbox'))"
    environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
    words = [sys.executable, "-S", "-c", program]  # -S: no installed packages, so no mapping of ours
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, encoding="utf-8")
    assert done.stdout.strip() == str(FOLDER / "sandbox.yaml"), done.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sandbx", "There is no file 'sandbx' and no experiment of that name. Did you mean 'sandbox'"),
        ("nothing-like-it", "no experiment of that name. `--config` takes the path"),
        ("experiments/sandbox.yaml", "comes with the package: give its name, `--config sandbox`"),
        ("table5_qformer.yml", "`affect-lightning experiments copy table5_qformer` makes a file"),
        ("lost/run.yaml", "There is no file 'lost/run.yaml'"),
    ],
)
def test_what_is_neither_path_nor_name_is_a_mistake(given: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_experiment(given)
    assert message in str(caught.value)


def test_only_the_values_of_config_are_looked_up() -> None:
    sandbox, row = str(shipped_files()["sandbox"]), str(shipped_files()["table5_none"])
    words = ["fit", "--config", "sandbox", "--config=table5_none", "-c", "sandbox", "--trainer.logger", "sandbox"]
    assert with_experiment_files(words) == [
        *("fit", "--config", sandbox, f"--config={row}", "-c", sandbox, "--trainer.logger", "sandbox")
    ]
    written_out = ["--config", "{seed_everything: 1}", "--config=s3://bucket/run.yaml", "--config"]
    assert with_experiment_files(written_out) == written_out


def test_commands_take_names_and_lay_one_over_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "affectgpt", "--config", "table5_qformer", "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["pre_fusion"] == {"name": "qformer", "num_queries": 32}
    assert printed["trainer"]["max_epochs"] == 60
    assert main(["summary", "--config", "affectgpt", "--config", "table8_rank8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["adapter_parameters"] == 20_185_088


@pytest.mark.parametrize("command", ["fit", "summary", "cache", "pack", "doctor", "demo"])
def test_every_command_names_the_near_ones(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--out", "packed"] if command == "pack" else []
    assert main([command, "--config", "sandbx", *words]) == 2
    assert "Did you mean 'sandbox'" in capsys.readouterr().err


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["sandbox", "The", "laptop's", "experiment:"] in [line[:4] for line in lines]
    assert ["table5_qformer", "affectgpt", "Table", "5,"] in [line[:4] for line in lines]
    assert main(["experiments", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["experiments"]}
    assert len(rows) == len(shipped_files())
    assert (rows["ours_gated"]["laid_over"], rows["affectgpt"]["laid_over"]) == ("affectgpt", None)
    assert Path(rows["ours_gated"]["path"]).samefile(FOLDER / "ours_gated.yaml")


def test_copies_are_the_files_and_never_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments", "copy", "sandbox", "table5_qformer", "--out", "mine"]) == 0
    out = capsys.readouterr().out
    assert "affect-lightning fit --config mine/sandbox.yaml\n" in out
    assert "affect-lightning fit --config affectgpt --config mine/table5_qformer.yaml\n" in out
    copied = tmp_path / "mine" / "sandbox.yaml"
    assert copied.read_bytes() == (FOLDER / "sandbox.yaml").read_bytes()
    assert find_experiment("mine/sandbox.yaml") == Path("mine/sandbox.yaml")

    copied.write_text("# mine now\n", encoding="utf-8")
    assert main(["experiments", "copy", "text_only", "sandbox", "--out", "mine"]) == 2
    assert "mine/sandbox.yaml exists already. Give another folder with --out" in capsys.readouterr().err
    assert copied.read_text(encoding="utf-8") == "# mine now\n"
    assert not (tmp_path / "mine" / "text_only.yaml").exists()
    assert main(["experiments", "copy", "sandbx"]) == 2
    assert "There is no experiment 'sandbx'. Did you mean 'sandbox'" in capsys.readouterr().err
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["experiments", "copy", "sandbox", "--out", "file/below"]) == 2
    assert "cannot be written to file/below" in capsys.readouterr().err
