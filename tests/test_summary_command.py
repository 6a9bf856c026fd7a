"""`affect-lightning summary`: the paper's counts, estimates against measured ones, and messages."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from affect_lightning.command_line.program import main
from affect_lightning.model.accounting import activation_bytes
from affect_lightning.plugin_loading import build_part
from model_cases import perturb
from test_language_models import answered

REPOSITORY = Path(__file__).resolve().parents[1]
PAPER = REPOSITORY / "experiments" / "affectgpt.yaml"
TINY = Path(__file__).parent / "tiny.yaml"


def summary(*words: str) -> dict[str, Any]:
    program = [sys.executable, "-m", "affect_lightning", "summary", "--config", str(PAPER), *words, "--json"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=REPOSITORY, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # nothing else is on standard output


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "added"), [(8, 20_185_088), (16, 40_370_176), (32, 80_740_352)])
def test_table_8_by_the_command(rank: int, added: int, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--model.language_model.lora_rank", str(rank))
    found = summary(*words) if rank == 16 else run(capsys, *words)
    assert found["adapter_parameters"] == added
    assert found["trainable_parameters"] > added
    language_model = next(part for part in found["parts"] if part["part"] == "language_model")
    assert language_model["total_parameters"] == 7_615_616_512 + added
    assert found["total_parameters"] == sum(part["total_parameters"] for part in found["parts"])


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["summary", "--config", str(PAPER), *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_paper_s_parts(capsys: pytest.CaptureFixture[str]) -> None:
    found = run(capsys)
    parts = {part["part"]: part for part in found["parts"]}
    assert list(parts) == [
        *("video_encoder", "audio_encoder", "pre_fusion", "branches", "projectors", "language_model"),
    ]
    # Linear layers with bias to 3584: multi and audio from 1024, face from 768 (paper, Section 3.1).
    assert parts["projectors"]["trainable_parameters"] == 2 * (1024 * 3584 + 3584) + 768 * 3584 + 3584
    # W of Eq. 7 for two streams of 1024, and the face's way from 768 to it.
    assert parts["pre_fusion"]["trainable_parameters"] == 2 * 2 * 1024 + 768 * 1024 + 1024
    assert parts["branches"]["trainable_parameters"] == 1024 + 768
    assert parts["video_encoder"]["trainable_parameters"] == parts["audio_encoder"]["trainable_parameters"] == 0
    trained = found["trainable_parameters"]
    assert found["memory"]["gradients_bytes"] == 4 * trained
    assert found["memory"]["optimizer_bytes"] == 8 * trained
    assert found["export_bytes"] == 4 * trained < 250e6
    assert found["checkpoint_bytes"] == 12 * trained < 800e6
    assert parts["language_model"]["bytes"] == pytest.approx(2 * 7_615_616_512 + 4 * 40_370_176, rel=1e-4)
    memory = found["memory"]
    assert memory["total_bytes"] == sum(
        memory[f"{name}_bytes"] for name in ("weights", "gradients", "optimizer", "activations")
    )


def test_options_count(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bare = run(capsys, "--model.language_model.lora_rank", "0", "--model.inputs", "[text]")
    assert bare["trainable_parameters"] == bare["adapter_parameters"] == bare["export_bytes"] == 0
    assert [part["part"] for part in bare["parts"]] == ["language_model"]
    one = run(capsys, "--data.batch_size", "1", "--data.features", "cached", "--model.language_model.size", "0.5B")
    two = run(capsys, "--data.batch_size", "2", "--data.features", "live", "--model.language_model.size", "0.5B")
    encoders = sum(part["bytes"] for part in two["parts"] if "encoder" in part["part"])
    assert two["memory"]["weights_bytes"] - one["memory"]["weights_bytes"] == encoders > 2e9
    activations = [found["memory"]["activations_bytes"] for found in (one, two)]
    assert activations[1] == pytest.approx(2 * activations[0], rel=0.01)


def test_a_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "--config", str(TINY), "--prompt-tokens", "40", "--response-tokens", "8"]) == 0
    text = capsys.readouterr().out
    for word in (
        "language_model",
        "TinyLM",
        "together",
        "optimiser",
        "2 clips of 40 + 8 tokens",
        "checkpoint to resume",
    ):
        assert word in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "needs a configuration"),
        (["--config", str(TINY), "--model.language_model", "qwen2.5", "--model.language_model.size", "8B"], "'8B'"),
        (["--config", str(TINY), "--model.pre_fusion", "qfromer"], "Did you mean 'qformer'"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (
            ["--config", "affectgpt_released"],
            "error: Put `--config affectgpt` before `--config affectgpt_released`, which only says what differs from it. Add "
            "--model.language_model, or a --config that has it: the configuration lacks this option. `affect-lightning fit",
        ),
    ],
)
def test_mistakes_end_with_code_two(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", *words]) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert not captured.out


def grouped_heads_are_fused() -> bool:
    """Whether torch's fused attention of the processor takes fewer keys than queries; 2.8 computes them in pieces."""
    query, key = torch.zeros(1, 4, 8, 16), torch.zeros(1, 2, 8, 16)
    try:
        with warnings.catch_warnings(), sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            warnings.simplefilter("ignore")
            torch.nn.functional.scaled_dot_product_attention(query, key, key, is_causal=True, enable_gqa=True)
    except RuntimeError:
        return False
    return True


@pytest.mark.skipif(not grouped_heads_are_fused(), reason="what is counted is a fused kernel's, which this torch lacks")
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_counted_activations_are_those_that_a_real_step_saves(dropout: float) -> None:
    options = {"name": "tiny-lm", "hidden_width": 64, "num_layers": 3, "lora_dropout": dropout}
    part = build_part("language_models", options).train()
    perturb(part)
    ids, mask, labels = answered(part)
    clips, prompt, response = 2, 40, 24
    ids, mask = ids[:1, :66].repeat(clips, 1), torch.ones(clips, 66, dtype=torch.long)
    mask[:, 64:] = 0  # padding, which has the clips packed in one row, as nearly every batch has
    labels = ids.clone()
    labels[:, :prompt] = labels[:, 64:] = -100
    weights = {tensor.untyped_storage()._cdata for tensor in (*part.parameters(), *part.buffers())}
    saved: dict[int, Any] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            saved[storage._cdata] = storage
        return tensor

    embeddings = part.embed(ids).requires_grad_(True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = part.loss(embeddings, mask, labels)
    measured = sum(storage.nbytes() for storage in saved.values())
    assert loss.isfinite()
    with torch.device("meta"):
        empty = build_part("language_models", options)
    counted = activation_bytes(empty, clips, prompt, response, torch.float32)
    assert counted == pytest.approx(measured, rel=0.03)


@pytest.mark.slow
def test_sizes_on_disk_are_those_that_a_run_writes(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        *("--config", str(TINY), "--data.train_root", str(corpus), "--data.benchmark_root", str(corpus)),
        *("--trainer.logger.init_args.save_dir", str(tmp_path), "--trainer.logger.init_args.version", "v0"),
        *("--data.cache_folder", str(tmp_path / "boxes"), "--trainer.max_steps", "1"),
        *("--model.language_model", "tiny-lm", "--model.language_model.lora_rank", "32"),
        *("--model.language_model.hidden_width", "256", "--model.pre_fusion", "gated"),
    ]
    assert main(["summary", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["fit", *words]) == 0
    checkpoint = tmp_path / "tiny" / "v0" / "checkpoints" / "last.ckpt"
    assert main(["export", str(checkpoint), str(tmp_path / "exported")]) == 0
    exported = sum(path.stat().st_size for path in (tmp_path / "exported").rglob("*.safetensors"))
    assert exported == pytest.approx(found["export_bytes"], rel=0.05)
    assert checkpoint.stat().st_size == pytest.approx(found["checkpoint_bytes"], rel=0.1)
