"""The option `liger_kernels`: what is asked of liger-kernel, and every refusal. Its kernels need a GPU: a stand-in here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.language_models import model_files
from language_model_folders import save_tiny
from patience import LONGEST
from test_language_models import answered

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("qwen2.5", tmp_path_factory.mktemp("liger") / "model")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """liger-kernel 0.8.5 and a GPU seem to be there; the calls of its functions, with the model's parts at that time."""
    called: list[dict[str, Any]] = []

    def apply(model: Any, **kernels: bool) -> None:
        called.append({"model": model, "parts": {type(part).__name__ for part in model.modules()}, **kernels})
        model.model.norm.forward = torch.zeros_like  # as a patched part would be: seen in the loss

    metadata = tmp_path / "installed" / "liger_kernel-0.8.5.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: liger-kernel\nVersion: 0.8.5\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(metadata.parent.parent))
    names = ("liger_kernel", "liger_kernel.transformers", "liger_kernel.transformers.monkey_patch")
    for module in map(ModuleType, names):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    module.MODEL_TYPE_TO_APPLY_LIGER_FN = {"qwen2": None, "llama": None}  # type: ignore[attr-defined]
    module._apply_liger_kernel_to_instance = apply  # type: ignore[attr-defined]
    monkeypatch.setattr(model_files, "cuda_is_there", lambda: True)
    return called


def build(folder: Path, **options: Any) -> Any:
    return build_part("language_models", {"name": "causal-lm", "model": str(folder), "dtype": "float32", **options})


def test_kernels_go_into_the_model_before_its_adapter(folder: Path, calls: list[dict[str, Any]]) -> None:
    part = build(folder, liger_kernels=True)
    (call,) = calls
    assert call["model"] is part.causal_model
    assert "Qwen2RMSNorm" in call["parts"]
    assert not any("lora" in name.lower() for name in call["parts"])
    kernels = {name for name, wanted in call.items() if wanted is True}
    assert kernels == {"rope", "rms_norm", "swiglu"}
    assert (call["cross_entropy"], call["fused_linear_cross_entropy"]) == (False, False)
    ids, mask, labels = answered(part)
    flat = torch.log(torch.tensor(float(part.causal_model.config.vocab_size)))  # logits of zero states
    torch.testing.assert_close(part.loss(part.embed(ids), mask, labels), flat)


def test_off_by_default(folder: Path, calls: list[dict[str, Any]]) -> None:
    build(folder)
    assert calls == []


def test_a_family_without_kernels_is_refused(
    folder: Path, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = sys.modules["liger_kernel.transformers.monkey_patch"].MODEL_TYPE_TO_APPLY_LIGER_FN
    monkeypatch.delitem(table, "qwen2")
    with pytest.raises(
        ConfigurationError, match=r"0\.8\.5 has no kernels for models of type 'qwen2'.* one of these types: llama"
    ):
        build(folder, liger_kernels=True)
    assert calls == []


def test_a_missing_package_or_gpu_is_refused(
    folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'affect-lightning\[liger\]'"):
        build(folder, liger_kernels=True)
    request.getfixturevalue("calls")
    monkeypatch.setattr(model_files, "cuda_is_there", lambda: False)
    with pytest.raises(ConfigurationError, match="liger_kernels: true needs a CUDA device"):
        build(folder, liger_kernels=True)


def test_a_model_that_is_only_counted_needs_no_liger() -> None:
    with torch.device("meta"):
        build_part("language_models", {"name": "qwen2.5", "size": "0.5B", "liger_kernels": True})


@pytest.mark.slow
def test_the_benchmark_says_what_it_lacks() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "train_step.py"), "--with", "liger"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False, encoding="utf-8")
    assert done.returncode == 2
    assert "affect-lightning[liger]" in done.stderr
