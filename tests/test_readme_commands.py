"""Every command of the README, small, as a user runs it: it ends well and no library warns of what the user cannot change.

The commands are read from the page, run in one folder one after the other, with all warnings shown.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import warnings
from functools import partial
from pathlib import Path

import pytest

from training_runs import Run, ranks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[1]
TINY = Path(__file__).parent / "tiny.yaml"
RUN = "runs/sandbox/version_0"
# What stands for the reader's own files and folders.
PLACES = {
    "CHECKPOINT": f"{RUN}/checkpoints/last.ckpt",
    "FOLDER": "exported",
    "DIR": "sandbox-data",
    "CLIP...": "clip.mp4",
    "LABELS": "sandbox-data",
    "FILE": f"{RUN}/predictions/meld.jsonl",
}
# Other programs' commands, and those of files that a clone cannot have; tests of their own cover these.
ELSEWHERE = {"tensorboard --logdir runs", "affect-lightning score --suite SAVED"}
SHORT = ("--trainer.max_steps", "2", "--trainer.log_every_n_steps", "1")
FEW = ("--data.batch_size", "2", "--model.max_new_tokens", "4", "--trainer.accelerator", "cpu")
WARNING = re.compile(r"warning|\bdeprecated\b|^W\d{4} |\[W[:\d]", re.IGNORECASE)


def readme_commands() -> list[str]:
    """The lines of the README's blocks that call the program."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    found = [line[4:].partition("  #")[0].strip() for line in lines if line.startswith("    ")]
    return [line for line in found if line.startswith("affect-lightning ") or "-m affect_lightning" in line]


def in_small(command: str) -> list[str]:
    """Words of a README command after the program's name, with tiny parts and few steps."""
    words = [PLACES.get(word, word) for word in shlex.split(command)]
    words = words[words.index("affect_lightning" if "affect_lightning" in words else "affect-lightning") + 1 :]
    if words[0] == "sandbox":
        return [*words, "--clips", "6", "--test-clips", "2"]
    if words[0] in ("fit", "test", "predict", "cache", "pack") and "--config" in words:
        if "experiments/affectgpt.yaml" in words:
            devices = ("--trainer.devices", "2") if "torchrun" in command else ()
            return [*words, "--config", str(TINY), *SHORT, *FEW, *devices]
        language_model = ("--model.language_model", "tiny-lm")
        return [*words, *language_model, *FEW, *(() if words[0] in ("cache", "pack") else SHORT)]
    return words


def as_a_user(folder: str) -> None:
    os.chdir(folder)
    warnings.simplefilter("default")


def run_all(folder: Path, bf16: str) -> dict[str, str]:
    """Run the README's commands; what each printed."""
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

    for command in readme_commands():
        known = any(command.startswith(other) for other in ELSEWHERE)
        if not known and (bf16 == "on" or "sandbox" in command or "fit" in command):
            end(command, in_small(command), ranks(2) if command.startswith("torchrun") else [{}])
        if command.startswith("affect-lightning sandbox"):
            shutil.copy(
                next((folder / "sandbox-data" / "mer-caption-plus" / "video").glob("*.mp4")), folder / "clip.mp4"
            )
        if "--ckpt_path runs/" in command:  # the second run that is compared later
            fit = next(line for line in readme_commands() if " fit " in line)
            end("a second fit", in_small(fit), [{}])
            end("its test", in_small(command.replace("version_0", "version_1")), [{}])
    return printed


@pytest.mark.parametrize("bf16", ["on", "off"])
def test_every_command_runs_and_no_library_warns(bf16: str, tmp_path: Path) -> None:
    printed = run_all(tmp_path, bf16)
    assert len(printed) > (20 if bf16 == "on" else 10)
    assert ("bfloat16" in printed["a second fit"]) == (bf16 == "on")
    told = [
        f"{command}: {line}" for command, text in printed.items() for line in text.splitlines() if WARNING.search(line)
    ]
    assert not told, "\n".join(told)
