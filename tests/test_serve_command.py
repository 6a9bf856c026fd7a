"""`affect-lightning serve` as docs/serving.md shows it: its commands and its program, signals, keys and mistakes."""

from __future__ import annotations

import os
import re
import signal
import socket
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest

from affect_lightning import AffectGPT
from affect_lightning.command_line.program import main
from affect_lightning.command_line.serve_command import KEY_VARIABLE
from affect_lightning.unibench.scoring.predictions import read_predictions
from answer_cases import write_answer_case
from page_blocks import commands_run_by
from serving_cases import client_of, clip_and, close_clients
from test_readme_commands import as_a_user
from training_runs import Run

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
SERVE, SERVE_OTHERS, ANSWER = commands_run_by("docs/serving.md", "test_serve_command.py")
QUESTION = "How does the person feel, and what shows it?"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_answer_case(tmp_path_factory.mktemp("serve-command"))
    rows = [f"{name},clips/{name},Hello!,happy" for name in ("one.mp4", "two.mkv")]
    (folder / "clips.csv").write_text("\n".join(["name,video,text,labels", *rows, ""]), encoding="utf-8")
    return folder


def started(words: list[str], place: Path, log: Path, **environment: str) -> tuple[Run, str]:
    """The command in a process of its own, and its address."""
    log.touch()
    run = Run([*words, "--port", "0"], log, environment, partial(as_a_user, str(place)))
    assert run.wait_for(lambda: "answers at" in run.text()), run.text()
    found = re.search(r"answers at (http://\S+)", run.text())
    assert found is not None
    return run, found[1]


def ended(run: Run, how: int) -> None:
    close_clients()
    os.kill(run.pid, how)
    assert run.end() == 0
    assert run.text().endswith("Stopped.\n")
    assert "Traceback" not in run.text()


def test_the_page_runs_as_it_stands(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, address = started(SERVE.split()[1:], place, tmp_path / "log")
    monkeypatch.chdir(place)
    network = AffectGPT.from_pretrained("exported")
    expected: Any = network.describe("clips/one.mp4", question=QUESTION, subtitle="I did not expect you.")
    monkeypatch.setattr("sys.argv", ["ask.py", address, "clips/one.mp4"])
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(BLOCKS["ask.py"], "ask.py", "exec"), names)
    names["client"].close()
    assert capsys.readouterr().out == f"{expected.text}\n"
    words = [address if word.startswith("http://") else word for word in ANSWER.split()[1:]]
    assert main([*words[:-1], str(tmp_path / "answers")]) == 0
    assert sorted(row.name for row in read_predictions(tmp_path / "answers")) == ["one.mp4", "two.mkv"]
    told = run.text()
    ended(run, signal.SIGTERM)
    # No line for a request. What old releases of other packages warn of is not ours.
    own = [line for line in told.splitlines() if "Warning: " not in line and not line.startswith(" ")]
    assert own == [f"exported answers at {address} (Ctrl-C ends it)."]


def test_another_host_has_a_key_and_an_interrupt_ends_it(place: Path, tmp_path: Path) -> None:
    assert SERVE_OTHERS.startswith(f"{KEY_VARIABLE}=")
    run, address = started(SERVE_OTHERS.split()[2:], place, tmp_path / "log", **{KEY_VARIABLE: "abc"})
    here = address.replace("0.0.0.0", "127.0.0.1")
    messages: Any = clip_and(QUESTION, place / "clips" / "one.mp4")
    with pytest.raises(openai.AuthenticationError):
        client_of(here, "none").chat.completions.create(model="exported", messages=messages)
    assert client_of(here, "abc").chat.completions.create(model="exported", messages=messages, max_tokens=1).choices
    ended(run, signal.SIGINT)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "--port", "0"], "nowhere"),
        (["exported", "--host", "0.0.0.0"], f"Set a key in the environment, as {KEY_VARIABLE}"),
        (["exported", "--host", "::"], "Set a key"),
        (["exported", "--key", "a b"], "without blanks"),
        (["exported", "--key", ""], "without blanks"),
        (["exported", "--port", "99999"], "--port 0 to 65535"),
        (["exported", "--waiting", "-1"], "--waiting is 0 or more"),
        (["exported", "--allow-folder", "nowhere"], "Correct --allow-folder: nowhere is no folder"),
        (["exported", "--port", "0", "--reading", "frames"], "OPTION=VALUE"),
        (["exported", "--port", "0", "--device", "warp"], "Choose another --device: 'warp'"),
        (["exported", "--prot", "1"], "Did you mean `--port`?"),
    ],
)
def test_mistakes_are_told(
    words: list[str], message: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert main(["serve", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(place / "exported"), "--port", port]) == 2
    assert f"Choose another --port or --host: 127.0.0.1:{port} cannot be used" in capsys.readouterr().err
