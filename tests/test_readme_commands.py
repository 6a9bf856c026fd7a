"""Every command of docs/commands.md, small, as a user runs it: it ends well, and no library warns of what a user cannot change.

The commands are read from the page, run in one folder one after the other, with all warnings shown. `test_commands_twice.py`
runs the commands of several pages twice.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import pytest

import grounds
from page_blocks import page_commands
from training_runs import Run, ranks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[1]
TINY = Path(__file__).parent / "tiny.yaml"
RUN = "runs/sandbox/version_0"
COMMANDS = page_commands("docs/commands.md")
# What stands for the reader's own files and folders.
PLACES = {
    "CHECKPOINT": f"{RUN}/checkpoints/last.ckpt",
    "FOLDER": "exported",
    "DIR": "sandbox-data",
    "CLIP...": "clip.mp4",
    "LABELS": "sandbox-data",
}
SHORT = ("--trainer.max_steps", "2", "--trainer.log_every_n_steps", "1")
FEW = ("--data.batch_size", "2", "--model.max_new_tokens", "4", "--trainer.accelerator", "cpu")
# By Python, Lightning (which leaves the category out), a logger, torch's C++ and onnxruntime.
WARNING = re.compile(r"warning|\bdeprecated\b|^\S+\.py:\d+: |^W\d{4} |\[W[:\d]", re.IGNORECASE)


def place_of(word: str, folder: Path) -> str:
    """What stands for a word of the page: `FILE` is what the first test said of MELD."""
    if word == "FILE":
        return str(next((folder / RUN / "test").glob("*/predictions/meld.jsonl")))
    return PLACES.get(word, word)


def in_small(command: str, folder: Path) -> list[str]:
    """Words of a command of the page after the program's name, with tiny parts and few steps."""
    words = [place_of(word, folder) for word in shlex.split(command)]
    words = words[words.index("affect_lightning" if "affect_lightning" in words else "affect-lightning") + 1 :]
    if words[0] == "sandbox":
        return [*words, "--clips", "6", "--test-clips", "2"]
    if words[0] == "demo":  # with no fewer batches than its logging interval
        return [*words, "--clips", "18", "--test-clips", "2", "--steps", "2"]
    if words[0] in ("fit", "test", "predict", "cache", "pack") and "--config" in words:
        if "affectgpt" in words:
            devices = ("--trainer.devices", "2") if "torchrun" in command else ()
            return [*words, "--config", str(TINY), *SHORT, *FEW, *devices]
        language_model = ("--model.language_model", "tiny-lm")
        return [*words, *language_model, *FEW, *(() if words[0] in ("cache", "pack") else SHORT)]
    return words


def as_a_user(folder: str) -> None:
    os.chdir(folder)
    warnings.simplefilter("default")


def run_all(folder: Path, bf16: str) -> dict[str, str]:
    """Run the page's commands; what each printed."""
    (folder / "experiments").symlink_to(ROOT / "experiments")
    environment = {"AFFECT_CPU_BF16": bf16}
    before = partial(as_a_user, str(folder))
    printed = {}

    def end(command: str, words: list[str], environments: list[dict[str, str]]) -> None:
        logs = [folder / f"log-{len(printed)}-{rank}" for rank in range(len(environments))]
        runs = [Run(words, log, {**environment, **more}, before) for log, more in zip(logs, environments, strict=True)]
        codes = [run.end() for run in runs]
        printed[command] = "".join(run.text() for run in runs)
        assert not any(codes), f"{command}\n{shlex.join(words)}\n{printed[command]}"

    for command in COMMANDS:
        if bf16 == "off" or "sandbox" in command or "fit" in command:
            end(command, in_small(command, folder), ranks(2) if command.startswith("torchrun") else [{}])
        if command.startswith("affect-lightning sandbox"):
            shutil.copy(
                next((folder / "sandbox-data" / "mer-caption-plus" / "video").glob("*.mp4")), folder / "clip.mp4"
            )
        if "--ckpt_path runs/" in command:  # the second run that is compared later
            fit = next(line for line in COMMANDS if " fit " in line)
            end("a second fit", in_small(fit, folder), [{}])
            end("its test", in_small(command.replace("version_0", "version_1"), folder), [{}])
    return printed


def warnings_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if WARNING.search(line)]


@pytest.mark.parametrize("bf16", ["on", "off"])
def test_every_command_runs_and_no_library_warns(bf16: str, tmp_path: Path) -> None:
    printed = run_all(tmp_path, bf16)
    assert len(printed) > (20 if bf16 == "off" else 10)
    assert ("bfloat16" in printed["a second fit"]) == (bf16 == "on")
    told = [f"{command}: {line}" for command, text in printed.items() for line in warnings_in(text)]
    assert not told or grounds.current_ground() != "locked", "\n".join(told)


def test_importing_warns_of_nothing_either(corpus: Path, tmp_path: Path) -> None:
    """The commands above start with everything imported; this one begins at the beginning."""
    roots = ("--data.train_root", str(corpus), "--trainer.logger.init_args.save_dir", str(tmp_path))
    command = ["fit", "--config", str(TINY), *roots, *SHORT, *FEW, "--data.cache_folder", str(tmp_path / "boxes")]
    done = subprocess.run(
        [sys.executable, "-m", "affect_lightning", *command],
        env={**os.environ, "PYTHONWARNINGS": "default", "AFFECT_CPU_BF16": "on"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bfloat16" in done.stderr
    assert "Tip:" not in done.stderr
    assert not warnings_in(done.stderr) or grounds.current_ground() != "locked"


@pytest.mark.parametrize(
    "line",
    [
        "/lib/torch/nn/modules/module.py:1798: FutureWarning: `past_key_values` is deprecated",
        "/lib/lightning/pytorch/utilities/model_summary.py:242: Precision bf16-mixed is not supported",
        "[transformers] `past_key_values` are deprecated. Use `cache` instead.",
        "W1128 10:00:00.000000 77 torch/_inductor/utils.py:1] Not enough SMs",
        "2026-11-28 10:00:00.0 [W:onnxruntime:Default, device_discovery.cc:1] GPU device discovery failed",
        "WARNING:root:hm",
    ],
)
def test_warnings_are_recognised(line: str) -> None:
    assert warnings_in(line) == [line]
