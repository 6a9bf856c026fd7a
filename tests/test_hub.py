"""`push` and `pull` against a hub on this machine: what is sent, what is refused, what the card says, what comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from affect_lightning.command_line.program import main
from affect_lightning.errors import CheckpointError
from affect_lightning.hub.exchange import files_to_push
from affect_lightning.hub.model_card import base_models, is_local
from affect_lightning.model import AffectGPT
from affect_lightning.model.exported_folder import read_exported
from affect_lightning.training import AffectGPTModule
from hub_server import HubServer, hub_server
from model_cases import TINY_PARTS
from report_cases import finished_runs

FACTS = ["--licence", "cc-by-nc-4.0", "--data", "A corpus | of <b>tests</b>."]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    AffectGPT.from_configuration(AffectGPTModule(**TINY_PARTS).configuration).save_pretrained(folder)
    return folder


def program(*words: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: huggingface_hub reads its endpoint once."""
    command = [sys.executable, "-m", "affect_lightning", *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=dict(os.environ))


def test_what_is_pushed_comes_back_to_the_byte(hub: HubServer, exported: Path, tmp_path: Path) -> None:
    done = program("push", str(exported), "me/model", *FACTS, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert hub.private == {"me/model": True}
    sent = {name: data for name, data in hub.files["me/model"].items() if name != "README.md"}
    assert sent == {name: (exported / name).read_bytes() for name in files_to_push(exported)}
    assert told["address"] == f"{hub.endpoint}/me/model"
    hub.files["me/model"]["code.py"] = b"print('not ours')"
    back = program("pull", "me/model", str(tmp_path / "back"))
    assert back.returncode == 0, back.stderr
    assert f"--ckpt_path {tmp_path / 'back'}" in back.stdout
    assert {path.name for path in (tmp_path / "back").rglob("*") if path.is_file()} == {
        "README.md",
        *(Path(name).name for name in sent),
    }
    for name, data in sent.items():
        assert (tmp_path / "back" / name).read_bytes() == data
    assert read_exported(tmp_path / "back").configuration == read_exported(exported).configuration
    again = program("pull", "me/model", str(tmp_path / "back"))
    assert again.returncode == 2
    assert "exists and is not empty" in again.stderr


def test_the_card_has_scores_with_taxonomy_and_extractor(hub: HubServer, exported: Path, tmp_path: Path) -> None:
    result = finished_runs(tmp_path / "runs")[0]
    done = program("push", str(exported), "me/model", *FACTS, "--report", str(result), "--public", "--yes")
    assert done.returncode == 0, done.stderr
    assert hub.private == {"me/model": False}
    card = hub.files["me/model"]["README.md"].decode()
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["license"], head["library_name"]) == ("cc-by-nc-4.0", "affect-lightning")
    report = json.loads((result / "report.json").read_text(encoding="utf-8"))["rows"][0]
    assert f"{report['mean']:.2f}" in card
    for text in ("taxonomy | builtin", "words of a test", "## Intended use", "## Misuse", "not in hiring"):
        assert text in card
    assert "A corpus \\| of &lt;b>tests&lt;/b>." in card


def test_without_yes_nothing_is_sent(hub: HubServer, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(exported), "me/model", *FACTS]) == 0
    shown = capsys.readouterr().out
    assert "Nothing was sent. Add --yes" in shown
    assert "projectors.safetensors" in shown
    assert "## Misuse" in shown
    assert hub.asked == []
    assert main(["push", str(exported), "me/model", *FACTS, "--json"]) == 2


@pytest.mark.parametrize("name", ["clip_1.mp4", "labels.csv", "predictions/meld.jsonl"])
def test_data_of_a_corpus_is_never_sent(name: str, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (exported / name).parent.mkdir(exist_ok=True)
    (exported / name).write_text("data", encoding="utf-8")
    assert main(["push", str(exported), "me/model", *FACTS, "--yes"]) == 2
    told = capsys.readouterr().err
    assert name in told
    assert "agreements that forbid passing them on" in told


def test_paths_of_this_machine_do_not_become_public(exported: Path) -> None:
    path = exported / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["configuration"]["language_model"] = {"name": "causal-lm", "model": "/home/me/qwen"}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=r"names of the hub in the place of paths.*language_model.model \(/home/me"
    ):
        files_to_push(exported)


def test_hub_names_are_base_models_and_paths_are_not() -> None:
    parts = {
        "a": {"model": "Qwen/Qwen2.5-7B-Instruct"},
        "b": {"model": "/models/clip"},
        "c": "tiny",
        "d": {"model": None},
    }
    assert base_models(parts) == ["Qwen/Qwen2.5-7B-Instruct"]
    assert is_local("C:\\models\\qwen")


def test_what_the_hub_refuses_is_one_sentence(hub: HubServer, exported: Path, tmp_path: Path) -> None:
    missing = program("pull", "me/nothing", str(tmp_path / "out"))
    assert missing.returncode == 2
    assert "the hub knows no me/nothing" in missing.stderr
    hub.files["me/other"] = {"config.json": b"{}", "model.safetensors": b"0"}
    foreign = program("pull", "me/other", str(tmp_path / "out"))
    assert foreign.returncode == 2
    assert "me/other holds no export of affect-lightning" in foreign.stderr
    absent = program("pull", "me/other", str(tmp_path / "out"), "--revision", "v9")
    assert absent.returncode == 2
    assert "--revision" in absent.stderr
    hub.refuses_with = 403
    forbidden = program("push", str(exported), "me/model", *FACTS, "--yes")
    assert forbidden.returncode == 2
    assert "hf auth login" in forbidden.stderr
    for told in (missing, foreign, absent, forbidden):
        assert "Traceback" not in told.stderr
    assert not (tmp_path / "out").exists()
    odd = program("pull", "not a name", str(tmp_path / "out"))
    assert odd.returncode == 2
    assert "`user/name`" in odd.stderr
