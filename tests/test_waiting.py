"""Commands that only look load no library that they do not use: modules are counted, no time is taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from affect_lightning.command_line import kept_help
from clip_making import write_training_set

# What each command may not load.
TRAINING = {"lightning", "torchvision", "torchmetrics", "transformers", "peft", "timm", "tensorboard", "librosa"}


def run(words: list[str], cache: Path, first: str = "") -> tuple[str, set[str]]:
    """What a command prints in a process of its own that begins with a line, and the libraries that it loads."""
    program = (
        f"import json, sys\n{first}\n"
        "from affect_lightning.command_line.program import main\n"
        "code = main(json.loads(sys.argv[1]))\n"
        "print()\n"
        "print(json.dumps([code, sorted({name.split('.')[0] for name in sys.modules})]))\n"
    )
    environment = {**os.environ, "AFFECT_LIGHTNING_CACHE": str(cache)}
    command = [sys.executable, "-c", program, json.dumps(words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, encoding="utf-8")
    *printed, last = done.stdout.splitlines()
    code, loaded = json.loads(last)
    assert code in (0, 1), done.stderr  # doctor says 1 where it has found something
    return "\n".join(printed), set(loaded)


def test_doctor_reads_clips_without_what_trains(tmp_path: Path) -> None:
    write_training_set(tmp_path / "data", ["one", "two"])
    printed, loaded = run(["doctor", "--data", str(tmp_path / "data")], tmp_path / "cache")
    assert "2 read" in printed
    assert "numpy" in loaded
    assert not loaded & {*TRAINING, "torch"}


def test_a_process_that_checks_clips_loads_no_torch(tmp_path: Path) -> None:
    write_training_set(tmp_path / "data", ["one"])
    program = (
        "import json, sys\n"
        "from affect_lightning.data.clip_splits import ClipSplits\n"
        "from affect_lightning.inspection.annotations import check_annotations, find_sets\n"
        "from affect_lightning.inspection.clip_checks import ClipChecker\n"
        "from pathlib import Path\n"
        "found = find_sets(Path(sys.argv[1]))[0]\n"
        "clips = check_annotations(found, expected_count='any', needs_media=True).clips\n"
        "check = ClipChecker(ClipSplits(cache_folder=sys.argv[2]).reader(clips))(clips[0])\n"
        "assert not check.stage and check.frames, check\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "data"), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert "cv2" in loaded
    assert not loaded & {*TRAINING, "torch"}


@pytest.mark.parametrize("words", [["plugins", "qformer"], ["plugins", "causal-lm"], ["score", "--help"]])
def test_explaining_loads_no_torch(words: list[str], tmp_path: Path) -> None:
    printed, loaded = run(words, tmp_path)
    assert len(printed) > 200
    assert not loaded & {*TRAINING, "jsonargparse", "torch", "numpy"}


def test_the_second_help_loads_nothing_and_is_the_first(tmp_path: Path) -> None:
    nothing_shipped = (
        "from affect_lightning.command_line import kept_help; kept_help.shipped_help = lambda command: None"
    )
    first, loading = run(["fit", "--help"], tmp_path, nothing_shipped)
    second, loaded = run(["fit", "--help"], tmp_path, nothing_shipped)
    assert "--data.predict_video" in first
    assert "--clips for short" in " ".join(first.split())
    assert "lightning" in loading
    assert second == first
    assert not loaded & {*TRAINING, "jsonargparse", "torch", "numpy"}


def test_kept_help_belongs_to_its_sources_and_its_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept_help._digest()
    assert kept_help._digest() == before
    monkeypatch.setenv("COLUMNS", "77")
    assert kept_help._digest() != before
    monkeypatch.delenv("COLUMNS")
    (tmp_path / "new.py").write_text("x = 1\n", encoding="utf-8")
    monkeypatch.setattr(kept_help, "SOURCES", tmp_path)
    assert kept_help._digest() != before


def test_help_is_given_though_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(kept_help, "shipped_help", lambda command: None)
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path / "file"))

    def make() -> int:
        print("usage: fit")
        raise SystemExit(0)

    assert kept_help.print_kept_help(["fit", "--help"], make) == 0
    assert capsys.readouterr().out == "usage: fit\n"
    assert kept_help.asks_for_help_alone(["fit", "-h"])
    assert not kept_help.asks_for_help_alone(["fit", "--help", "--config", "x"])


def test_the_program_leaves_with_its_code_and_all_that_it_printed() -> None:
    command = [sys.executable, "-m", "affect_lightning"]
    done = subprocess.run([*command, "plugins", "qformer"], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("qformer")
    assert subprocess.run([*command, "plugins", "nothing"], capture_output=True, check=False).returncode == 2
    code = (
        "import sys, atexit, torch\n"
        "atexit.register(print, 'at the exit')\n"
        "sys.argv = ['affect-lightning', 'score']\n"
        "from affect_lightning.command_line.program import enter\n"
        "enter()\n"
    )
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (left.returncode, left.stdout) == (2, "at the exit\n")
    assert "Give --dataset SET and --predictions FILE" in left.stderr


def test_describing_and_serving_load_no_lightning() -> None:
    program = (
        "import json, sys\n"
        "import affect_lightning.clip_answers.describing_network, affect_lightning.clip_answers.asked_clips\n"
        "import affect_lightning.serving.clip_model, affect_lightning.serving.web_app, fastapi\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, encoding="utf-8")
    assert not set(json.loads(done.stdout)) & {"lightning", "torchmetrics", "tensorboard"}


@pytest.mark.parametrize("words", [["serve", "--help"], ["serve", "folder", "--host", "0.0.0.0"]])
def test_what_serve_refuses_is_told_before_torch_is_loaded(words: list[str]) -> None:
    program = (
        "import sys\n"
        "from affect_lightning.command_line.program import main\n"
        "main(sys.argv[1:])\n"
        "assert not {'torch', 'fastapi', 'numpy'} & set(sys.modules)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "AFFECT_SERVE_KEY"}
    subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True, env=environment)


def test_scoring_a_file_loads_no_torch(tmp_path: Path) -> None:
    for name, column in (("labels.csv", "labels"), ("responses.csv", "response")):
        (tmp_path / name).write_text(f"name,{column}\none,happy\ntwo,sad\n", encoding="utf-8")
    files = ["--labels", str(tmp_path / "labels.csv"), "--predictions", str(tmp_path / "responses.csv")]
    printed, loaded = run(["score", "--dataset", "mine", *files, "--taxonomy", "builtin"], tmp_path / "cache")
    assert "100.00" in printed
    assert not loaded & {*TRAINING, "torch"}
