"""Generation by vLLM: what reaches it (embeddings, adapter, end tokens), what comes back, and every refusal.

vLLM needs a GPU, so a stand-in computes with transformers and peft what it is given (`fake_vllm.py`).
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from affect_lightning.checkpoints.compatibility import check_fits
from affect_lightning.command_line.program import main
from affect_lightning.errors import CheckpointError, ConfigurationError, DataError
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.language_models import vllm_engine
from affect_lightning_plugins.language_models.adapters import AdapterOptions
from affect_lightning_plugins.language_models.vllm_engine import VllmEngine, VllmSettings
from fake_vllm import LLM, install
from language_model_folders import save_tiny
from model_cases import SENTENCES, perturb
from patience import LONGEST
from test_language_models import prompts

# Weights are told apart by their hashes; torch 2.8 has none, and vLLM brings a newer one.
pytestmark = pytest.mark.skipif(
    not hasattr(torch, "hash_tensor"), reason="vLLM 0.33 needs torch 2.14; this one is older"
)
TINY = Path(__file__).parent / "tiny.yaml"
NEW_TOKENS = 12


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("vllm")
    return {family: save_tiny(family, root / family) for family in ("qwen2.5", "qwen3", "llama3")}


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[LLM]]:
    """vLLM and a GPU seem to be there; 32 bits are allowed, in which two ways of computing give the same texts."""
    monkeypatch.setattr(vllm_engine, "cuda_is_there", lambda: True)
    monkeypatch.setattr(vllm_engine, "LORA_TYPES", (*vllm_engine.LORA_TYPES, "float32"))
    yield install(monkeypatch, tmp_path / "installed")
    gc.collect()


def build(folder: Path, name: str = "causal-lm", **options: Any) -> Any:
    choice = {"name": name, "model": str(folder), "dtype": "float32", "lora_rank": 4, **options}
    torch.manual_seed(0)  # of the adapter's first values
    part = build_part("language_models", choice).eval()
    perturb(part)
    return part


def both(folder: Path, name: str = "causal-lm", **options: Any) -> tuple[Any, Any]:
    """The same language model with vLLM and without."""
    return build(folder, name, generation_backend="vllm", **options), build(folder, name, **options)


def embedded(part: Any) -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask = prompts(part, SENTENCES, "left")
    assert not bool(mask.all()), "the case has no padding"
    return part.embed(ids), mask


@pytest.mark.parametrize("name", ["qwen2.5", "qwen3", "llama3"])
def test_texts_are_those_of_our_own_loop(name: str, folders: dict[str, Path], engines: type[LLM]) -> None:
    by_vllm, plain = both(folders[name], name)
    embeddings, mask = embedded(plain)
    wanted = plain.generate(embeddings, mask, max_new_tokens=NEW_TOKENS)
    assert len(set(wanted)) == len(SENTENCES)
    assert by_vllm.generate(embeddings, mask, max_new_tokens=NEW_TOKENS) == wanted
    (call,) = engines.built[0].calls
    assert [len(prompt["prompt_embeds"]) for prompt in call.prompts] == mask.sum(dim=1).tolist()
    for prompt, row, real in zip(call.prompts, embeddings, mask.bool(), strict=True):
        assert torch.equal(prompt["prompt_embeds"], row[real].detach())


@pytest.mark.parametrize("adapter", ["lora", "rslora"])
def test_the_adapter_counts(adapter: str, folders: dict[str, Path], engines: type[LLM]) -> None:
    by_vllm, plain = both(folders["qwen2.5"], adapter=adapter)
    embeddings, mask = embedded(plain)
    wanted = plain.generate(embeddings, mask, max_new_tokens=NEW_TOKENS)
    with plain.network.disable_adapter():
        assert plain.generate(embeddings, mask, max_new_tokens=NEW_TOKENS) != wanted
    assert by_vllm.generate(embeddings, mask, max_new_tokens=NEW_TOKENS) == wanted


def test_an_adapter_that_trained_on_is_written_anew_and_an_unchanged_one_is_not(
    folders: dict[str, Path], engines: type[LLM], tmp_path: Path
) -> None:
    by_vllm, plain = both(folders["qwen2.5"])
    embeddings, mask = embedded(plain)

    def same_texts() -> list[str]:
        texts = by_vllm.generate(embeddings, mask, max_new_tokens=NEW_TOKENS)
        assert texts == plain.generate(embeddings, mask, max_new_tokens=NEW_TOKENS)
        return texts

    before = same_texts()
    assert same_texts() == before
    for part in (by_vllm, plain):  # a step of an optimiser
        trained = [parameter for parameter in part.parameters() if parameter.requires_grad]
        for parameter in trained:
            parameter.grad = torch.ones_like(parameter)
        torch.optim.AdamW(trained, lr=0.5).step()
    after = same_texts()
    assert after != before
    build(folders["qwen2.5"]).save_adapter(str(tmp_path / "saved"))
    for part in (by_vllm, plain):
        part.load_adapter(str(tmp_path / "saved"))
    assert same_texts() == before
    for part in (by_vllm, plain):  # past every counter of changes
        for parameter in part.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data * 3
    same_texts()
    (engine,) = engines.built
    assert [call.request.lora_int_id for call in engine.calls] == [1, 1, 2, 3, 4]
    assert len({call.request.lora_name for call in engine.calls}) == 4
    last = Path(engine.calls[-1].request.lora_path)
    assert [path.name for path in last.parent.iterdir()] == [last.name], "adapters of the past are still on the disk"


def test_without_an_adapter_there_is_no_request(folders: dict[str, Path], engines: type[LLM]) -> None:
    by_vllm, plain = both(folders["qwen3"], lora_rank=0)
    embeddings, mask = embedded(plain)
    wanted = plain.generate(embeddings, mask, max_new_tokens=NEW_TOKENS)
    assert by_vllm.generate(embeddings, mask, max_new_tokens=NEW_TOKENS) == wanted
    assert engines.built[0].calls[0].request is None
    assert "lora_target_modules" not in {name for name, value in engines.built[0].arguments.items() if value}


def test_several_questions_on_one_clip(folders: dict[str, Path], engines: type[LLM]) -> None:
    by_vllm, plain = both(folders["qwen2.5"])
    embeddings, mask = embedded(plain)
    ends, end_mask = embeddings.repeat(2, 1, 1)[:, -9:], mask.repeat(2, 1)[:, -9:]
    arguments = (embeddings[:, :-9], mask[:, :-9], ends, end_mask)
    wanted = plain.generate_from_prefix(*arguments, max_new_tokens=NEW_TOKENS)
    assert len(wanted) == 2 * len(SENTENCES)
    assert by_vllm.generate_from_prefix(*arguments, max_new_tokens=NEW_TOKENS) == wanted
    assert len(engines.built[0].calls) == 1


def test_responses_end_at_our_end_tokens(folders: dict[str, Path], engines: type[LLM]) -> None:
    by_vllm, plain = both(folders["qwen2.5"])
    embeddings, mask = embedded(plain)
    long = plain.generate(embeddings, mask, max_new_tokens=NEW_TOKENS)
    letter = next(sign for text in long for sign in text if sign.isascii() and sign.isalpha())  # one token
    (inside,) = plain.text_ids(letter)
    for part in (by_vllm, plain):
        part.end_ids = frozenset({*part.end_ids, inside})
    short = plain.generate(embeddings, mask, max_new_tokens=NEW_TOKENS)
    assert short != long
    assert by_vllm.generate(embeddings, mask, max_new_tokens=NEW_TOKENS) == short


def test_what_vllm_is_built_and_called_with(folders: dict[str, Path], engines: type[LLM]) -> None:
    options = {"max_model_len": 256, "enforce_eager": True, "gpu_memory_utilization": 0.4}
    part = build(folders["llama3"], generation_backend="vllm", vllm_options=options, lora_rank=9, dtype="bfloat16")
    assert engines.built == [], "the engine is built at the first response"
    embeddings, mask = embedded(part)
    part.generate(embeddings.float(), mask, max_new_tokens=3, temperature=0.7, top_p=0.9, seed=5)
    (engine,) = engines.built
    arguments = engine.arguments
    assert {name: arguments[name] for name in options} == options
    assert (arguments["model"], arguments["revision"], arguments["dtype"]) == (str(folders["llama3"]), None, "bfloat16")
    assert arguments["max_lora_rank"] == 16
    assert "embed_tokens" not in arguments["lora_target_modules"]
    assert arguments["generation_config"] == "vllm"
    parameters = engine.calls[0].parameters[0]
    assert (parameters.temperature, parameters.top_p, parameters.seed, parameters.max_tokens) == (0.7, 0.9, 5, 3)
    assert parameters.stop_token_ids == sorted(part.end_ids)
    assert parameters.ignore_eos


def test_memory_is_what_our_own_weights_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (60, 80))
    assert vllm_engine._free_share() == 0.67  # 0.9 * 60 / 80, rounded down


def test_engine_and_folder_go_with_the_model(folders: dict[str, Path], engines: type[LLM]) -> None:
    part = build(folders["qwen2.5"], generation_backend="vllm")
    part.generate(*embedded(part), max_new_tokens=2)
    (first,) = engines.built
    folder = Path(first.calls[0].request.lora_path).parent
    part.engine.close()
    assert first.shut_down == 1
    assert not folder.exists()
    part.generate(*embedded(part), max_new_tokens=2)
    folder = Path(engines.built[1].calls[0].request.lora_path).parent
    assert folder.exists()
    del part
    gc.collect()
    assert not folder.exists()
    assert engines.built[1].shut_down == 1


@pytest.mark.slow
def test_nothing_is_left_when_the_process_ends() -> None:
    script = (
        "from affect_lightning_plugins.language_models.vllm_engine import *\n"
        "engine = VllmEngine(VllmSettings('m', None, 'bfloat16', AdapterOptions(4)))\n"
        "folder = engine._held.new_folder('adapter-1')\n"
        "assert Path(folder).is_dir()\n"
        "print(folder)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=LONGEST, check=True, encoding="utf-8"
    )
    assert not Path(done.stdout.strip()).parent.exists()


def test_vllm_is_not_imported_unless_asked_for(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)  # importing it fails
    part = build(folders["qwen2.5"])
    assert len(part.generate(*embedded(part), max_new_tokens=2)) == len(SENTENCES)


def test_a_missing_package_is_said_before_training(
    folders: dict[str, Path], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        *("--config", str(TINY), "--data.train_root", str(corpus), "--data.benchmark_root", str(corpus)),
        *("--trainer.logger.init_args.save_dir", str(tmp_path), "--data.cache_folder", str(tmp_path / "boxes")),
        *("--model.language_model", "qwen2.5", "--model.language_model.model", str(folders["qwen2.5"])),
        *("--model.language_model.generation_backend", "vllm"),
        *("--model.language_model.vllm_options", '{"max_model_len": 256}', "--model.inputs", "[text]"),
    ]
    assert main(["fit", *words]) == 2
    said = capsys.readouterr().err
    assert "docs/language_models.md says how" in said
    assert "an NVIDIA GPU" in said
    assert "transformers" in said
    assert "Epoch" not in said


def test_an_old_vllm_and_a_missing_gpu_are_refused(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        install(patched, tmp_path / "old", "0.11.2+cu129")
        with pytest.raises(ConfigurationError, match=r"needs vLLM 0\.33 or newer; 0\.11\.2\+cu129 is installed"):
            build(folders["qwen2.5"], generation_backend="vllm")
    install(monkeypatch, tmp_path / "new")
    monkeypatch.setattr(vllm_engine, "cuda_is_there", lambda: False)
    with pytest.raises(ConfigurationError, match="vllm needs a CUDA device"):
        build(folders["qwen2.5"], generation_backend="vllm")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adapter": "dora"}, r"runs the adapters lora and rslora here; got 'dora'"),
        ({"adapter": "qlora"}, r"runs the adapters lora and rslora here; got 'qlora'"),
        ({"adapter": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4}}, r"got \{'peft_type': 'PROMPT_TUNING'"),
        ({"lora_rank": 600}, r"up to rank 512; lora_rank is 600"),
        (
            {"vllm_options": {"model": "x", "trust_remote_code": True}},
            r"sets model, trust_remote_code, but other options",
        ),
        ({"vllm_options": {"max_model_len": object()}}, r"takes plain values .* others for max_model_len"),
    ],
)
def test_wrong_options_are_refused_when_the_model_is_built(
    options: dict[str, Any], message: str, folders: dict[str, Path], engines: type[LLM]
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build(folders["qwen2.5"], generation_backend="vllm", **options)


def test_number_types_that_its_kernels_lack_are_refused() -> None:
    VllmSettings("m", None, "float32", AdapterOptions(0))
    with pytest.raises(
        ConfigurationError, match="computes LoRA in bfloat16 or float16, and the language model is in f"
    ):
        VllmSettings("m", None, "float32", AdapterOptions(4))


def test_options_of_vllm_without_vllm_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"vllm_options is set \(max_model_len\) and generation_backend is tran"
    ):
        build(folders["qwen2.5"], vllm_options={"max_model_len": 8})


@pytest.mark.parametrize("options", [{"unknown": 1}, {"gpu_memory_utilization": 2.0}])
def test_an_engine_that_does_not_start_says_which_options(
    options: dict[str, Any], folders: dict[str, Path], engines: type[LLM]
) -> None:
    part = build(folders["qwen2.5"], generation_backend="vllm", vllm_options=options)
    with pytest.raises(ConfigurationError, match=rf"cannot be started on .* vllm_options \{{'{next(iter(options))}'"):
        part.generate(*embedded(part), max_new_tokens=2)


def test_a_prompt_or_response_beyond_the_longest_is_no_silent_cut(folders: dict[str, Path], engines: type[LLM]) -> None:
    plain = build(folders["qwen2.5"])
    embeddings, mask = embedded(plain)
    length = int(mask.sum(dim=1).max())
    for longest, message in (
        (length - 1, "vLLM rejected a prompt: .* is longer than"),
        (length + 2, r"after 2 of 12 tok"),
    ):
        part = build(folders["qwen2.5"], generation_backend="vllm", vllm_options={"max_model_len": longest})
        part.end_ids = frozenset({len(part.tokenizer) - 1})  # hardly ever said
        with pytest.raises(ConfigurationError, match=message):
            part.generate(embeddings, mask, max_new_tokens=NEW_TOKENS)


def test_responses_end_with_the_models_context_as_in_our_own_loop(folders: dict[str, Path], engines: type[LLM]) -> None:
    by_vllm, plain = both(folders["qwen2.5"])
    embeddings, mask = embedded(plain)
    longest = int(mask.sum(dim=1).max())
    for part in (by_vllm, plain):
        part.end_ids = frozenset({len(part.tokenizer) - 1})  # hardly ever said
        part.causal_model.config.max_position_embeddings = longest + 2
    wanted = plain.generate(embeddings, mask, max_new_tokens=10**6)
    assert by_vllm.generate(embeddings, mask, max_new_tokens=10**6) == wanted
    (call,) = engines.built[0].calls
    assert [one.max_tokens for one in call.parameters] == [longest + 2 - int(prompt) for prompt in mask.sum(dim=1)]
    by_vllm.causal_model.config.max_position_embeddings = longest
    with pytest.raises(
        DataError, match=rf"a prompt has {longest} tokens, and the language model takes {longest} in all"
    ):
        by_vllm.generate(embeddings, mask, max_new_tokens=1)


def test_several_processes_and_sharded_weights_are_refused(
    folders: dict[str, Path], engines: type[LLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.distributed import destroy_process_group, get_world_size, init_process_group
    from torch.distributed.fsdp import fully_shard
    from torch.testing._internal.distributed.fake_pg import FakeStore

    part = build(folders["qwen2.5"], generation_backend="vllm")
    embeddings, mask = (value.detach() for value in embedded(part))
    init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    try:
        assert get_world_size() == 2
        with pytest.raises(ConfigurationError, match=r"got 2 processes\. Generate with trainer\.devices 1"):
            part.generate(embeddings, mask, max_new_tokens=2)
        for block in part.shardable_blocks():
            fully_shard(block)
        with pytest.raises(ConfigurationError, match=r"2 processes and sharded weights \(fsdp\)"):
            part.generate(embeddings, mask, max_new_tokens=2)
    finally:
        destroy_process_group()


def test_a_model_that_is_only_counted_needs_no_vllm() -> None:
    with torch.device("meta"):
        part = build_part("language_models", {"name": "qwen2.5", "size": "0.5B", "generation_backend": "vllm"})
    assert part.engine is None


def test_a_checkpoint_may_be_tested_with_the_other_backend(folders: dict[str, Path]) -> None:
    stored: dict[str, Any] = {
        "language_model": {"name": "qwen2.5", "model": str(folders["qwen2.5"])},
        "inputs": ["text"],
    }
    wanted = {**stored, "language_model": {**stored["language_model"], "generation_backend": "vllm"}}
    check_fits(stored, wanted, "last.ckpt", purpose="use")
    with pytest.raises(CheckpointError, match=r"generation_backend"):
        check_fits(stored, wanted, "last.ckpt", purpose="go on")


def test_an_engine_before_its_first_response_holds_nothing() -> None:
    engine = VllmEngine(VllmSettings("m", None, "bfloat16", AdapterOptions(4)))
    engine.close()
    assert engine._held.engine is None
