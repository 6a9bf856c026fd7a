"""DDP and FSDP on two processes (CPU, gloo) train, save, go on and test as one process does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from affect_lightning.checkpoints import read_checkpoint
from affect_lightning.model import AffectGPT
from step_recorder import recorded
from training_runs import Run, checkpoint, ranks, words, write_corpus

pytestmark = pytest.mark.timeout(1800)
# The optimiser divides by the root of tiny second moments: rounding of gradients shows enlarged in the weights.
CLOSE = {"rtol": 2e-4, "atol": 2e-5}
PLAIN = ("--model.language_model", "tiny-lm", "--model.language_model.lora_dropout", "0.0")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """11 clips: the last step of an epoch is short, and of two processes one repeats a clip."""
    return write_corpus(tmp_path_factory.mktemp("two") / "corpus", clips=11)


def train(clips: Path, out: Path, strategy: str, *more: str) -> list[dict]:
    """Steps of a training with 4 clips a step; `strategy` is `one`, or that of two processes, one a machine or both in one."""
    if strategy == "one":
        command = words(clips, out, *PLAIN, "--data.batch_size", "4", *more)
        assert Run(command, out / "one.log").end() == 0, (out / "one.log").read_text(encoding="utf-8")
        return recorded(out)
    name, machines = (strategy.partition(" ")[0], 2) if strategy.endswith("machines") else (strategy, 1)
    two = ["--trainer.devices", str(2 // machines), "--trainer.num_nodes", str(machines), "--trainer.strategy", name]
    command = words(clips, out, *PLAIN, *two, "--data.batch_size", "2", *more)
    runs = [Run(command, out / f"{name}-{rank}.log", names) for rank, names in enumerate(ranks(2, machines))]
    codes = [run.end() for run in runs]
    assert codes == [0, 0], runs[0].text() + runs[1].text()
    return recorded(out)


@pytest.fixture(scope="module")
def one(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven steps of one process: two epochs and a bit."""
    out = tmp_path_factory.mktemp("one")
    assert len(train(clips, out, "one", "--trainer.max_steps", "7")) == 7
    return out


@pytest.fixture(scope="module", params=["ddp", "fsdp", "fsdp on two machines"])
def two(request: pytest.FixtureRequest, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Four steps of two processes."""
    out = tmp_path_factory.mktemp(request.param)
    steps = train(clips, out, request.param, "--trainer.max_steps", "4", "--model.total_steps", "7")
    assert len(steps) == 4
    return request.param, out


def compare(found: list[dict], wanted: list[dict]) -> None:
    for mine, other in zip(found, wanted, strict=True):
        assert mine["step"] == other["step"]
        assert mine["rate"] == pytest.approx(other["rate"])
        assert mine["mean_loss"] == pytest.approx(other["mean_loss"], rel=2e-5), mine["step"]
        assert mine["norm"] == pytest.approx(other["norm"], rel=2e-3), mine["step"]


def close(found: Path, wanted: Path) -> None:
    """Weights and moments of two checkpoints agree."""
    mine, other = read_checkpoint(found), read_checkpoint(wanted)
    assert mine["state_dict"].keys() == other["state_dict"].keys()
    for name, value in other["state_dict"].items():
        torch.testing.assert_close(
            mine["state_dict"][name], value, msg=lambda text, name=name: f"{name} {text}", **CLOSE
        )
    states = [end["optimizer_states"][0]["state"] for end in (mine, other)]
    assert states[0].keys() == states[1].keys()
    for number, entries in states[1].items():
        for name, value in entries.items():
            torch.testing.assert_close(states[0][number][name], value, rtol=5e-3, atol=1e-6)


def test_losses_gradients_and_clips_agree(two: tuple[str, Path], one: Path) -> None:
    _, out = two
    compare(recorded(out), recorded(one)[:4])
    for row, first, second in zip(recorded(one)[:4], recorded(out), recorded(out, 1), strict=True):
        assert sorted(row["clips"]) == sorted([*first["clips"], *second["clips"]])


def test_feature_statistics_are_those_of_all_clips_in_every_process(two: tuple[str, Path]) -> None:
    _, out = two
    first, second = (torch.load(out / f"scaling-{rank}.pt", weights_only=True) for rank in range(2))
    kept = read_checkpoint(checkpoint(out))["state_dict"]
    assert first
    for name, value in first.items():
        assert torch.equal(value, second[name])
        assert torch.equal(value, kept[f"network.feature_scaling.{name}"])


def test_a_checkpoint_is_small_whole_and_exported(two: tuple[str, Path], tmp_path: Path) -> None:
    _, out = two
    path = checkpoint(out)
    assert sorted(file.name for file in path.parent.iterdir()) == ["1-4.ckpt", "last.ckpt"]
    assert path.is_file()
    assert not path.is_symlink()
    names = read_checkpoint(path)["state_dict"]
    assert not [name for name in names if "encoder" in name or "base_layer" in name]
    assert all(name.split(".")[1] != "language_model" or "lora" in name for name in names)
    folder = tmp_path / "exported"
    run = Run(["export", str(path), str(folder)], tmp_path / "log")
    assert run.end() == 0, run.text()
    exported = AffectGPT.from_pretrained(folder).trainable_state()
    assert exported.keys() == {name.removeprefix("network.") for name in names}
    assert all(torch.equal(value, names[f"network.{name}"]) for name, value in exported.items())


@pytest.mark.parametrize("then", ["one process", "the other strategy"])
def test_any_number_of_processes_goes_on(
    two: tuple[str, Path], one: Path, clips: Path, tmp_path: Path, then: str
) -> None:
    strategy, out = two
    then = "one" if then == "one process" else {"ddp": "fsdp"}.get(strategy, "ddp")
    go_on = ("--trainer.max_steps", "7", "--model.total_steps", "7", "--resume.dirpath", str(tmp_path / "next"))
    rows = train(clips, tmp_path, then, *go_on, "--ckpt_path", str(checkpoint(out)))
    compare(rows, recorded(one)[4:])
    close(tmp_path / "next" / "last.ckpt", checkpoint(one))


@pytest.mark.slow
def test_scores_of_one_and_two_processes_agree(two: tuple[str, Path], corpus: Path, tmp_path: Path) -> None:
    strategy, out = two[0].partition(" ")[0], two[1]
    scores = []
    for count in (1, 2):
        here = tmp_path / str(count)
        command = ["test", *words(corpus, here, *PLAIN)[1:], "--ckpt_path", str(checkpoint(out)), "--json"]
        command = [word for word in command if not word.startswith("--trainer.callbacks")]
        command += ["--data.benchmark_root", str(corpus), "--data.test_sets", "[meld, cmumosi]", "--benchmark.out"]
        command += [str(here), "--trainer.devices", str(count), "--data.eval_batch_size", "1"]
        command += ["--trainer.strategy", strategy] if count > 1 else []
        names = ranks(count) if count > 1 else [{}]
        runs = [Run(command, tmp_path / f"{count}-{rank}.log", name) for rank, name in enumerate(names)]
        assert [run.end() for run in runs] == [0] * count, runs[0].text()
        rows = sorted((here / "predictions").glob("*.jsonl"))
        texts = [sorted(line for line in file.read_text(encoding="utf-8").splitlines()) for file in rows]
        report = json.loads((here / "report.json").read_text(encoding="utf-8"))
        scores.append((texts, [(row["mean"], row["sets"]) for row in report["rows"]]))
    assert scores[0] == scores[1]
