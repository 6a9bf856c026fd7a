"""Starting from stored weights: `fit --init_from`, and exported folders as the checkpoint of a test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from affect_lightning.checkpoints import read_checkpoint, read_starting_weights
from affect_lightning.command_line.program import main
from affect_lightning.errors import CheckpointError
from affect_lightning.model import AffectGPT

TINY = Path(__file__).parent / "tiny.yaml"
# Steps that leave every weight where it was, so that what a training started from can be read from its end.
STILL = ("--model.learning_rate", "1e-30", "--model.warmup_steps", "0", "--trainer.max_steps", "1")


def words(corpus: Path, out: Path, *more: str) -> list[str]:
    return [
        *("--config", str(TINY), "--data.train_root", str(corpus), "--data.benchmark_root", str(corpus)),
        *("--trainer.logger.init_args.save_dir", str(out), "--data.cache_folder", str(out / "boxes")),
        *("--trainer.precision", "32-true", *more),
    ]


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Last checkpoint of a short training, an exported folder beside its run."""
    out = tmp_path_factory.mktemp("before")
    assert main(["fit", *words(corpus, out, "--model.learning_rate", "0.01", "--trainer.max_steps", "2")]) == 0
    (checkpoint,) = out.rglob("last.ckpt")
    assert main(["export", str(checkpoint), str(out / "exported")]) == 0
    return checkpoint


def exported(trained: Path) -> Path:
    return trained.parents[3] / "exported"


@pytest.mark.parametrize("source", ["checkpoint", "folder"])
def test_a_new_training_starts_from_the_weights_and_from_nothing_else(
    source: str, trained: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained if source == "checkpoint" else exported(trained)
    before = trained.read_bytes()
    # What only a training does may differ.
    more = ("--init_from", str(path), "--model.stream_dropout", "0.1", "--model.language_model.lora_dropout", "0.2")
    assert main(["fit", *words(corpus, tmp_path, *STILL, *more)]) == 0
    assert f"fit starts from the weights of {path}" in capsys.readouterr().err
    (found,) = tmp_path.rglob("last.ckpt")
    new, old = read_checkpoint(found), read_checkpoint(trained)
    assert new["state_dict"].keys() == old["state_dict"].keys()
    for name, value in new["state_dict"].items():
        torch.testing.assert_close(value, old["state_dict"][name], rtol=0, atol=1e-20)
    fresh = read_checkpoint(trained)["hyper_parameters"]
    assert new["global_step"] == 1 != old["global_step"]
    assert {float(state["step"]) for state in new["optimizer_states"][0]["state"].values()} == {1.0}
    assert new["hyper_parameters"]["learning_rate"] != fresh["learning_rate"]
    assert trained.read_bytes() == before


def test_without_it_a_training_starts_elsewhere(trained: Path, corpus: Path, tmp_path: Path) -> None:
    assert main(["fit", *words(corpus, tmp_path, *STILL)]) == 0
    (found,) = tmp_path.rglob("last.ckpt")
    new, old = read_checkpoint(found)["state_dict"], read_checkpoint(trained)["state_dict"]
    assert not torch.allclose(new["network.projectors.face.weight"], old["network.projectors.face.weight"])


@pytest.mark.parametrize("source", ["checkpoint", "folder"])
def test_a_configuration_that_does_not_fit_is_refused_with_the_differences(
    source: str, trained: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained if source == "checkpoint" else exported(trained)
    more = ("--model.pre_fusion", "gated", "--model.language_model.lora_rank", "2", "--init_from", str(path))
    assert main(["fit", *words(corpus, tmp_path, *more)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"The checkpoint {path} does not fit the configuration" in error
    assert "model.pre_fusion: attention there, gated here" in error
    assert "model.language_model.lora_rank: 4 there, 2 here" in error
    assert "Restore these values, or start from other weights." in error
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_checkpoint_to_go_on_from_counts_before_it(
    trained: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = words(corpus, tmp_path, *STILL, "--init_from", str(trained))
    assert main(["fit", *run]) == 0
    (configuration,) = tmp_path.rglob("config.yaml")
    assert f"init_from: {trained}" in configuration.read_text(encoding="utf-8")
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    tested = ("--ckpt_path", str(checkpoint), "--data.test_sets", "[meld]", "--benchmark.out", str(tmp_path / "out"))
    assert main(["test", "--config", str(configuration), *tested]) == 0  # where a run started is nothing to its test
    capsys.readouterr()
    assert main(["fit", *run, "--ckpt_path", "last", "--trainer.max_steps", "2"]) == 0
    assert f"init_from {trained} counts for the first start only" in capsys.readouterr().err
    (found,) = tmp_path.rglob("last.ckpt")
    assert read_checkpoint(found)["global_step"] == 2


def test_a_folder_is_tested_as_its_checkpoint_is(trained: Path, corpus: Path, tmp_path: Path) -> None:
    lines = {}
    for path in (trained, exported(trained)):
        out = tmp_path / path.name
        more = ("--ckpt_path", str(path), "--benchmark.out", str(out), "--data.test_sets", "[meld]")
        assert main(["test", *words(corpus, tmp_path, *more)]) == 0
        lines[path] = (out / "predictions" / "meld.jsonl").read_bytes()
        (row,) = json.loads((out / "report.json").read_text(encoding="utf-8"))["rows"]
        assert row["provenance"]["checkpoint"] == str(path)
    assert row["provenance"]["checkpoint_rule"] == "the exported folder given for this test"
    assert lines[trained] == lines[exported(trained)]


def test_wrong_places_are_told_with_the_remedy(
    trained: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(exported(trained))
    assert main(["fit", *words(corpus, tmp_path), "--ckpt_path", folder]) == 2
    assert f"Start a new training with --init_from {folder}" in capsys.readouterr().err
    assert main(["test", *words(corpus, tmp_path), "--ckpt_path", folder, "--model.pre_fusion", "gated"]) == 2
    assert "model.pre_fusion: attention there, gated here. Restore these values, or choose" in capsys.readouterr().err
    assert main(["fit", *words(corpus, tmp_path), "--init_from", "gone.ckpt"]) == 2
    assert "There is no checkpoint 'gone.ckpt'" in capsys.readouterr().err
    assert main(["fit", *words(corpus, tmp_path), "--init_from", str(tmp_path)]) == 2
    assert "is not an exported folder" in capsys.readouterr().err
    assert main(["test", *words(corpus, tmp_path), "--init_from", folder]) == 2
    assert "Give the weights to `test` as --ckpt_path" in capsys.readouterr().err


def test_an_export_without_its_adapter_fills_no_network_that_has_one(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    AffectGPT.from_pretrained(exported(trained)).save_pretrained(folder)
    description = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**description, "has_adapter": False}), encoding="utf-8")
    network = AffectGPT.from_pretrained(exported(trained))
    with pytest.raises(CheckpointError, match=r"28 missing: language_model\.network\..*lora_A"):
        read_starting_weights(folder).fill(network)
