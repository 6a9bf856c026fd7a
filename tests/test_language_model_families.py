"""Named language models: the real class of each family, its numbers, its sizes, and where it may come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.model import AffectGPT
from affect_lightning.plugin_loading import build_part, plugin_options
from affect_lightning_plugins.language_models import hub_models
from affect_lightning_plugins.language_models.hub_models import published_families, published_origin
from language_model_folders import FAMILIES, save_tiny
from model_cases import perturb
from test_language_models import SENTENCES, answered, prompts

TINY = Path(__file__).parent / "tiny.yaml"
# Parameters as the hub's pages and the models' reports give them (without a second count of tied embeddings).
PUBLISHED_PARAMETERS = {
    ("qwen2.5", "0.5B"): 494_032_768,
    ("qwen2.5", "1.5B"): 1_543_714_304,
    ("qwen2.5", "3B"): 3_085_938_688,
    ("qwen2.5", "7B"): 7_615_616_512,
    ("qwen2.5", "14B"): 14_770_033_664,
    ("qwen2.5", "32B"): 32_763_876_352,
    ("qwen2.5", "72B"): 72_706_203_648,
    ("qwen3", "0.6B"): 596_049_920,
    ("qwen3", "1.7B"): 1_720_574_976,
    ("qwen3", "4B"): 4_022_468_096,
    ("qwen3", "8B"): 8_190_735_360,
    ("qwen3", "14B"): 14_768_307_200,
    ("qwen3", "32B"): 32_762_123_264,
    ("llama3", "1B"): 1_235_814_400,
    ("llama3", "3B"): 3_212_749_824,
    ("llama3", "8B"): 8_030_261_248,
    ("llama3", "70B"): 70_553_706_496,
    ("vicuna", "7B"): 6_738_415_616,
    ("vicuna", "13B"): 13_015_864_320,
    ("smollm2", "135M"): 134_515_008,
    ("smollm2", "360M"): 361_821_120,
    ("smollm2", "1.7B"): 1_711_376_384,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {family: save_tiny(family, root / family) for family in FAMILIES}


def choice(family: str, folders: dict[str, Path], **options: Any) -> dict[str, Any]:
    return {"name": family, "model": str(folders[family]), "dtype": "float32", "lora_dropout": 0.0, **options}


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_greedy_responses_equal_the_library_class_called_directly(
    family: str, folders: dict[str, Path]
) -> None:
    direct = getattr(transformers, FAMILIES[family][1]).from_pretrained(folders[family], dtype=torch.float32).eval()
    part = build_part("language_models", choice(family, folders)).eval()  # an untrained adapter changes nothing
    assert type(part.causal_model).__name__ == FAMILIES[family][1]
    ids, mask, labels = answered(part)
    wanted = direct(input_ids=ids, attention_mask=mask, labels=labels).loss
    torch.testing.assert_close(part.loss(part.embed(ids), mask, labels), wanted, rtol=1e-5, atol=1e-6)

    ids, mask = prompts(part, SENTENCES, "left")
    together = part.generate(part.embed(ids), mask, max_new_tokens=10)
    assert len(set(together)) > 1
    for text, response in zip(SENTENCES, together, strict=True):
        row, ones = prompts(part, [text], "left")
        theirs = direct.generate(input_ids=row, attention_mask=ones, max_new_tokens=10, do_sample=False)[0]
        assert part.tokenizer.decode(theirs[row.shape[1] :], skip_special_tokens=True).strip() == response


@pytest.mark.parametrize("family", FAMILIES)
def test_responses_end_with_the_context_of_every_family(family: str, folders: dict[str, Path]) -> None:
    part = build_part("language_models", choice(family, folders)).eval()
    part.end_ids = frozenset()  # nothing else ends a response
    ids, mask = prompts(part, SENTENCES, "left")
    lengths = mask.sum(dim=1).tolist()
    part.causal_model.config.max_position_embeddings = max(lengths) + 3
    together = part.generate(part.embed(ids), mask, max_new_tokens=10**6)
    for length, row, real, response in zip(lengths, ids, mask.bool(), together, strict=True):
        alone = row[real][None]
        room = max(lengths) + 3 - length
        assert part.generate(part.embed(alone), torch.ones_like(alone), max_new_tokens=room) == [response]
    part.causal_model.config.max_position_embeddings = max(lengths)
    with pytest.raises(DataError, match=rf"a prompt has {max(lengths)} tokens, and the language model takes"):
        part.generate(part.embed(ids), mask, max_new_tokens=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_backward_reaches_the_adapter_only(family: str, folders: dict[str, Path]) -> None:
    part = build_part("language_models", choice(family, folders, lora_rank=2))
    perturb(part)
    ids, mask, labels = answered(part)
    part.loss(part.embed(ids), mask, labels).backward()
    with_gradient = {name for name, parameter in part.named_parameters() if parameter.grad is not None}
    assert with_gradient == {name for name, _ in part.named_parameters() if "lora_" in name}
    assert len(with_gradient) == 2 * 7 * len(part.shardable_blocks())
    ours = sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)
    assert ours == part.network.get_nb_trainable_parameters()[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_two_steps_export_and_read_back(
    family: str, folders: dict[str, Path], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        *("--config", str(TINY), "--data.train_root", str(corpus), "--data.cache_folder", str(tmp_path / "boxes")),
        *("--trainer.logger.init_args.save_dir", str(tmp_path), "--trainer.logger.init_args.version", "v0"),
        *("--trainer.max_steps", "2", "--model.language_model", family, "--model.learning_rate", "0.01"),
        *("--model.language_model.model", str(folders[family]), "--model.language_model.dtype", "float32"),
        *("--model.language_model.lora_rank", "2", "--model.inputs", "[text]", "--data.benchmark_root", str(corpus)),
    ]
    assert main(["fit", *words]) == 0, capsys.readouterr().err
    checkpoint = tmp_path / "tiny" / "v0" / "checkpoints" / "last.ckpt"
    assert main(["export", str(checkpoint), str(tmp_path / "exported")]) == 0
    read = AffectGPT.from_pretrained(tmp_path / "exported")
    stored = torch.load(checkpoint, weights_only=True)["state_dict"]
    state = read.trainable_state()
    assert {f"network.{name}" for name in state} == set(stored)
    assert all(torch.equal(stored[f"network.{name}"], value) for name, value in state.items())
    assert any(float(value.abs().sum()) > 0 for name, value in state.items() if "lora_B" in name)


@pytest.mark.parametrize(("family", "size"), PUBLISHED_PARAMETERS)
def test_published_sizes_are_built_without_weights(family: str, size: str) -> None:
    with torch.device("meta"):
        part = build_part("language_models", {"name": family, "size": size, "lora_rank": 0})
    assert sum(parameter.numel() for parameter in part.parameters()) == PUBLISHED_PARAMETERS[family, size]
    assert {parameter.device.type for parameter in part.parameters()} == {"meta"}


def test_every_published_size_is_counted_and_pinned() -> None:
    known = {(family, size) for family, table in published_families().items() for size in table["sizes"]}
    assert known == set(PUBLISHED_PARAMETERS)
    for family, size in known:
        revision = published_origin(family, size).revision
        assert revision is not None
        assert len(revision) == 40
        int(revision, 16)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "causal-lm"])
def test_the_sizes_offered_are_those_of_the_table(family: str) -> None:
    offered = next(option.type for option in plugin_options("language_models", family) if option.name == "size")
    assert offered == f"Literal[{', '.join(repr(size) for size in published_families()[family]['sizes'])}]"


@pytest.mark.parametrize(("rank", "added"), [(8, 20_185_088), (16, 40_370_176), (32, 80_740_352)])
def test_lora_on_qwen_7b_adds_what_table_8_says(rank: int, added: int) -> None:
    with torch.device("meta"):
        part = build_part("language_models", {"name": "qwen2.5", "lora_rank": rank})
    assert sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad) == added


def test_a_folder_is_built_empty_too(folders: dict[str, Path]) -> None:
    full = build_part("language_models", choice("qwen3", folders))
    with torch.device("meta"):
        empty = build_part("language_models", choice("qwen3", folders))
    assert [(n, p.shape, p.dtype) for n, p in empty.named_parameters()] == [
        (n, p.shape, p.dtype) for n, p in full.named_parameters()
    ]


def test_the_pinned_revision_is_what_is_asked_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def record(source: str, **options: Any) -> Any:
        asked.update(source=source, **options)
        raise ConfigurationError("asked")

    monkeypatch.setattr(hub_models, "load_causal_model", record)
    with pytest.raises(ConfigurationError, match="asked"):
        build_part("language_models", {"name": "qwen2.5", "size": "0.5B"})
    assert asked["source"] == "Qwen/Qwen2.5-0.5B-Instruct"
    assert asked["revision"] == "7ae557604adf67be50417f59c2c2f167def9a775"
    with pytest.raises(ConfigurationError, match="asked"):
        build_part("language_models", {"name": "qwen2.5", "model": "me/mine", "revision": "v1"})
    assert (asked["source"], asked["revision"]) == ("me/mine", "v1")


@pytest.mark.parametrize("options", [{"name": "qwen2.5", "model": "me/mine"}, {"name": "causal-lm", "model": "me/it"}])
def test_a_hub_name_without_a_revision_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="needs a pinned revision"):
        build_part("language_models", options)


@pytest.mark.parametrize("name", ["qwen2.5", "causal-lm"])
def test_a_revision_of_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="Remove `revision: v1`: it chooses a version of a hub name, but .* is a folder"
    ):
        build_part("language_models", {"name": name, "model": str(tmp_path), "revision": "v1"})


def test_another_family_s_folder_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigurationError, match=r"holds a model of type 'qwen3'; this plugin needs 'llama'"):
        build_part("language_models", {"name": "llama3", "model": str(folders["qwen3"])})


def test_code_of_a_model_s_own_is_never_run(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "modeling_baichuan.py").write_text("raise SystemExit('this ran')\n", encoding="utf-8")
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "model_type": "baichuan",
                "architectures": ["BaichuanForCausalLM"],
                "auto_map": {
                    "AutoConfig": "modeling_baichuan.Configuration",
                    "AutoModelForCausalLM": "modeling_baichuan.BaichuanForCausalLM",
                },
            }
        ),
        encoding="utf-8",
    )
    with pytest.raises(ConfigurationError, match=r"needs Python code .*\(as Baichuan2 does\).* never runs here"):
        build_part("language_models", {"name": "causal-lm", "model": str(tmp_path)})


def test_vicuna_s_prompt_is_that_of_fastchat(folders: dict[str, Path]) -> None:
    part = build_part("language_models", choice("vicuna", folders))
    assert part.render_prompt("Hi") == (
        "<|im_start|>A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions. USER: Hi ASSISTANT:"
    )
    brief = build_part("language_models", choice("vicuna", folders, system_prompt="Be brief."))
    assert brief.render_prompt("Hi") == "<|im_start|>Be brief. USER: Hi ASSISTANT:"


def test_templates_get_what_keeps_prompts_the_same_every_day(folders: dict[str, Path]) -> None:
    template = "{{ date_string }}|{{ enable_thinking }}|{% for m in messages %}{{ m['content'] }}{% endfor %}"
    llama = build_part("language_models", choice("llama3", folders, chat_template=template))
    assert llama.render_prompt("Hi") == "26 Jul 2024||Hi"
    qwen = build_part("language_models", choice("qwen3", folders, chat_template=template))
    assert qwen.render_prompt("Hi") == "|False|Hi"
