"""`--executor`: datatrove runs the parts of a command and their merge, and the result has the bytes of one run.

SLURM is a folder with `sbatch`, `srun` and `scontrol` on the PATH: the scripts that datatrove writes are kept, and the test
starts them as SLURM would.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from datatrove.executor import RayPipelineExecutor

from affect_lightning.command_line.executors import CommandStep, ExecutorOptions, PartFailedError
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError
from clip_making import write_clip, write_training_set
from test_many_machines import FAST, TINY, files_in

NAMES = [f"sample_{index:03}" for index in range(6)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    return write_training_set(root, NAMES, lambda path: write_clip(path, range(160 * int(path.stem[-3:]), 2000, 200)))


def cache_words(corpus: Path, out: Path) -> list[str]:
    own = [
        "--data.feature_folder",
        str(out / "features"),
        "--data.cache_folder",
        str(out / "boxes"),
        "--batch-size",
        "2",
    ]
    return ["cache", "--config", TINY, "--data.train_root", str(corpus), "--data.validation_share", "0", *FAST, *own]


def doctor_words(corpus: Path, out: Path) -> list[str]:
    options = ("--data", corpus, "--cache", out / "checks", "--workers", 1, "--face-detector", "none")
    allowed = ("--allow", "missing-description", "--allow", "lengths-differ", "--expected-counts", "any")
    return ["doctor", *map(str, options), *allowed, "--taxonomy", "builtin", "--json"]


def test_three_local_parts_become_the_bytes_of_one(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(cache_words(corpus, tmp_path / "one")) == 0
    capsys.readouterr()
    logs = tmp_path / "logs"
    words = [*cache_words(corpus, tmp_path / "three"), "--json"]
    executor = ["--executor=local", "--executor.parts", "3", "--executor.workers", "1", "--executor.logs", str(logs)]
    assert main([*words, *executor]) == 0, capsys.readouterr().err
    told = capsys.readouterr()
    printed = json.loads(told.out)  # of the merge alone
    assert "| INFO " not in told.err, "datatrove's messages are in its logs"
    assert "Launching pipeline" in (logs / "logs" / "task_00000.log").read_text(encoding="utf-8")
    assert printed["clips"] == len(NAMES)
    single, joined = (files_in(tmp_path / name / "features") for name in ("one", "three"))
    assert single
    assert joined == single
    assert sorted(path.name for path in (logs / "completions").iterdir()) == ["00000", "00001", "00002"]


def test_a_part_that_fails_is_no_success(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Two processes at once. Their messages and that of the merge are shown, and its exit code is ours."""
    words = [
        "pack",
        "--no-such-option",
        "--executor",
        "local",
        "--executor.parts",
        "2",
        "--executor.logs",
        str(tmp_path),
    ]
    assert main(words) == 2
    assert capfd.readouterr().err.count("There is no option --no-such-option") == 3


SBATCH = """#!/bin/bash
# Keeps the script and its arguments, and answers as sbatch does.
cd "$FAKE_SLURM"
number=$(( $(ls | grep -c '^job') + 101 ))
cp "${@: -1}" "job_$number.slurm"
echo "${@:1:$#-1}" > "arguments_$number"
echo "Submitted batch job $number"
"""
SRUN = """#!/bin/bash
while [[ "$1" == -* ]]; do [[ "$1" == "-n" ]] && shift; shift; done
exec "$@"
"""
SCONTROL = "#!/bin/bash\necho localhost\n"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the jobs that were sent."""
    programs, jobs = tmp_path / "bin", tmp_path / "jobs"
    for folder in (programs, jobs):
        folder.mkdir()
    for name, script in (("sbatch", SBATCH), ("srun", SRUN), ("scontrol", SCONTROL)):
        (programs / name).write_text(script, encoding="utf-8")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_SLURM", str(jobs))
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    return jobs


def started(script: Path, task: int) -> subprocess.CompletedProcess[str]:
    """A task of a job, as SLURM starts it."""
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "RUN_OFFSET": "0", "SLURM_NODELIST": "localhost"}
    return subprocess.run(["bash", str(script)], env=environment, capture_output=True, encoding="utf-8", check=False)


def directives(script: str) -> dict[str, str]:
    return dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script, re.MULTILINE))


def test_slurm_gets_an_array_of_parts_and_a_merge_that_waits(
    corpus: Path, tmp_path: Path, slurm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = doctor_words(corpus, tmp_path)
    executor = ["--executor", "slurm", "--executor.parts", "2", "--executor.partition", "gpu", "--executor.gpus", "1"]
    executor += ["--executor.sbatch", "account=mine,constraint=a100", "--executor.logs", str(tmp_path / "logs")]
    executor += ["--executor.workers", "1", "--executor.time", "01:00:00"]
    assert main([*words, *executor]) == 0
    assert "Sent 2 parts as job 101 and their merge as job 103" in capsys.readouterr().err
    parts, merge = ((slurm / f"job_{number}.slurm").read_text(encoding="utf-8") for number in (101, 103))
    told = directives(parts)
    wanted = {"array": "0-1%1", "partition": "gpu", "gpus": "1", "time": "01:00:00", "account": "mine"}
    assert wanted.items() <= told.items()
    assert told["constraint"] == "a100"
    assert told["job-name"] == "affect-lightning-doctor"
    assert "qos" not in told
    assert f"export PATH={Path(sys.executable).parent}:" in parts
    assert "--dependency=afterok:101" in (slurm / "arguments_103").read_text(encoding="utf-8")
    assert "gpus" not in directives(merge)

    for task in (1, 0):
        ended = started(slurm / "job_101.slurm", task)
        assert ended.returncode == 0, ended.stderr
    ended = started(slurm / "job_103.slurm", 0)
    assert ended.returncode == 0, ended.stderr
    assert '"checked": 6' in ended.stderr
    assert not (tmp_path / "checks" / "parts").exists()


def test_what_slurm_refuses_is_told(
    corpus: Path, tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*doctor_words(corpus, tmp_path), "--executor", "slurm", "--executor.parts", "2"]
    words += ["--executor.logs", str(tmp_path / "logs")]
    assert main(words) == 2
    assert "Add --executor.partition NAME" in capsys.readouterr().err
    words += ["--executor.partition", "gpu"]
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/bash\necho no such partition >&2; exit 1\n", encoding="utf-8")
    assert main(words) == 2
    assert "sbatch ended with exit code 1" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(words) == 2
    assert "there is no `sbatch` here" in capsys.readouterr().err


def test_ray_gets_the_parts_and_what_each_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """datatrove's own class takes the options; the cluster is left out."""
    words = ["pack", "--no-such-option", "--executor", "ray", "--executor.parts", "3", "--executor.gpus", "1"]
    words += ["--executor.memory", "16", "--executor.logs", str(tmp_path)]
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(words) == 2
    assert "Run `pip install ray`" in capsys.readouterr().err
    started: list[RayPipelineExecutor] = []
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))

    def keep(self: RayPipelineExecutor) -> None:
        started.append(self)

    monkeypatch.setattr(RayPipelineExecutor, "run", keep)
    assert main(words) == 2, "the merge runs here, and knows no such option"
    (one,) = started
    assert (one.world_size, one.cpus_per_task, one.mem_per_cpu_gb, one.gpus_per_task) == (3, 1, 16, 1)
    assert one.pipeline == [CommandStep(("pack", "--no-such-option"), os.getcwd())]
    assert one.skip_completed is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["score", "--executor", "local", "--executor.parts", "2"], "score cannot be divided"),
        (["cache", "--executor", "local"], "Add --executor.parts N"),
        (["cache", "--executor.parts", "2"], "Add --executor local, slurm, ray"),
        (["cache", "--executor", "local", "--executor.parts", "0"], "--executor.parts must be 1 or more; got 0"),
        (["cache", "--merge", "--executor", "local", "--executor.parts", "2"], "Leave out --merge"),
        (["cache", "--executor", "pbs", "--executor.parts", "2"], "invalid choice: 'pbs'"),
        (["cache", "--executor", "local", "--executor.part", "2"], "ambiguous"),
    ],
)
def test_mistakes_are_told(words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_the_options_of_sbatch_and_the_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ExecutorOptions(2).logs_of("cache").relative_to(tmp_path).parts[0] == "executor-logs"
    options = ExecutorOptions(2, sbatch="account=mine, --mem=8G,comment=a=b")
    assert options.sbatch_arguments == {"account": "mine", "mem": "8G", "comment": "a=b"}
    with pytest.raises(ConfigurationError, match="takes KEY=VALUE, parted by commas; got 'exclusive'"):
        ExecutorOptions(2, sbatch="exclusive")


def test_a_step_raises_where_the_executor_must_see_it(tmp_path: Path) -> None:
    step = CommandStep(("pack", "--no-such-option"), str(tmp_path))
    with pytest.raises(PartFailedError, match="pack --no-such-option --part 2/3 ended with exit code 2"):
        step(None, 1, 3)
    CommandStep(step.words, step.folder, raises=False)(None, 1, 3)
