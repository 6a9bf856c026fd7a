"""`affect-lightning test`: the Trainer's test, a part of it (`--part`), or the report of all parts (`--merge`).

`trainer_commands.py` runs the test. A merge reads the same options and lists the same clips, but builds no network and
starts no Trainer: it scores what the parts kept (`unibench/parts_of_test.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affect_lightning.command_line.cache_filling import ConfigurationReader
from affect_lightning.command_line.exported_options import with_exported_options
from affect_lightning.command_line.plugin_arguments import take_plugin_words
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.run_folders import is_first_process, is_given
from affect_lightning.command_line.terminal import silence_expected_warnings
from affect_lightning.command_line.trainer_commands import print_results
from affect_lightning.command_line.trainer_commands import run as run_trainer
from affect_lightning.errors import ConfigurationError
from affect_lightning.storage import Part
from affect_lightning.unibench.callback import BenchmarkCallback
from affect_lightning.unibench.parts_of_test import FinishedTest, JoinedParts, request_of_test, work_of_test
from affect_lightning.unibench.result_folders import REPORT_FILE
from affect_lightning.unibench.scoring.predictions import write_files


def run(words: Sequence[str]) -> int:
    """Test, or a part of it, or join the parts.

    Args:
        words: The command line, the command's name first.

    Raises:
        AffectLightningError: A user's mistake, in one paragraph.
    """
    merges, part = "--merge" in words, _part_of(words)
    if not merges and part is None:
        return run_trainer(words)
    if merges and part is not None:
        raise ConfigurationError("Give --part or --merge: a part cannot join the others.")
    if not is_given(words, "out", "benchmark.out"):
        raise ConfigurationError(
            "Add --out DIR, the same for all parts and for --merge: the parts of a test are kept there."
        )
    if merges:
        return _merge([word for word in words if word not in ("--merge", "--json")], as_json="--json" in words)
    code = run_trainer([_long_form(word) for word in words])
    if code == 0 and is_first_process():
        result = {"command": "test", "part": str(part)}
        text = f"Part {part} is done. When all are, run the command with --merge."
        print_json(result) if "--json" in words else print(text, flush=True)
    return code


def _part_of(words: Sequence[str]) -> Part | None:
    for position, word in enumerate(words):
        key, sign, value = word.partition("=")
        if key in ("--part", "--benchmark.part"):
            return Part.parse(value if sign else " ".join(words[position + 1 : position + 2]))
    return None


def _long_form(word: str) -> str:
    """The word with its section, if it is short for an option of one."""
    key, sign, value = word.partition("=")
    return f"--benchmark.{key[2:]}{sign}{value}" if key in ("--part", "--out") else word


def _merge(words: Sequence[str], *, as_json: bool) -> int:
    """Score the responses of all parts and write the report, unless that is done; then the parts go."""
    rest, overrides, _ = take_plugin_words([_long_form(word) for word in words])
    silence_expected_warnings()
    program = ConfigurationReader(with_exported_options(rest), overrides)
    section, data = program.config["test"], program.datamodule
    callback: BenchmarkCallback = program.config_init["test"]["benchmark"]
    folder, weights = Path(str(callback.out)), str(section.get("ckpt_path") or "")
    data.list_clips("test")
    request = request_of_test(dict(program.model.hparams), data.test_facts(), weights, str(section.trainer.precision))
    parts = work_of_test(folder, request)
    if not (folder / REPORT_FILE).exists():
        clips = [(record.corpus, record.name) for record in data.records["test"]]
        _write_report(callback, folder, JoinedParts(parts.finished(), clips), data)
        text = program._parser("test").dump(section, skip_none=False)
        write_files({folder / "test.yaml": text})
    parts.remove()
    print_results("test", folder, as_json)
    return 0


def _write_report(callback: BenchmarkCallback, folder: Path, joined: JoinedParts, data: Any) -> None:
    callback.prepare()
    curves = callback.curves_of(joined.weights, folder)
    run = FinishedTest(data.benchmark_root, joined.weights, joined.rule, curves, joined.quarantined, joined.made_on)
    if joined.quarantined:
        lines = [json.dumps(dict(clip), ensure_ascii=False) + "\n" for clip in joined.quarantined]
        write_files({folder / "quarantine.jsonl": "".join(lines)})
    callback.report(run, folder, joined.predictions, joined.shown)
