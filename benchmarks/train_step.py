"""Training steps a second: the authors' recipe against ours, in one run on one device, with random weights.

    python benchmarks/train_step.py [--steps N] [--batches 3 16 32] [--with checkpointing inductor liger] [--json FILE]

On a GPU the parts have the paper's sizes: Qwen2.5-7B, CLIP ViT-L/14, HuBERT-Large. Without one the language model has
the size of SmolLM2-135M, the encoders stay as they are. 8 frames of 224 x 224, 5 s of sound in 8 windows of 2 s, LoRA of
rank 16 on seven projections; responses have the lengths of 166 real descriptions (62 to 521 words, 222 on average),
prompts those of a question and a subtitle.

    authors       batch 3; encoders at every step; fp16 autocast with loss scaling on a GPU, 32 bits on a CPU; rows padded
                  to the longest; logits of every position at once (PAPER facts; written for this comparison)
    authors' LLM  the same from ready features: what their recipe costs without encoders
    live          ours: one call of each encoder a batch, no padding, logits of response tokens only; bf16 on a GPU
    cached        ours from cached features
    + OPTION      cached, and an option that --with names: checkpointing (`model.activation_checkpointing`), inductor
                  (`model.compile_backend`), liger (`liger_kernels` of the language model; on a GPU)

Samples/s count whole steps: forward, backward, clipping, AdamW. `peak` is the useful work of the language model
(`training/monitoring.py`) over a large matrix product of the same number type, measured in this run. Memory is the peak on
the GPU, or of the process (Linux).
Required (ours): cached at its best batch at least 8 times the authors' on a GPU, 3 times on a CPU; on a GPU also 45% of
the peak, and batch 16 in 40 GB.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.contracts import ClipBatch, ClipRecord, FeatureSequence, StreamInput
from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.model.encoding import build_encoders
from affect_lightning.plugin_loading import build_part
from affect_lightning.training.device_execution import compile_blocks, recompute_activations
from affect_lightning.training.monitoring import StepCost, StepSize, measured_peak
from affect_lightning_plugins.language_models.adapters import AdapterOptions
from affect_lightning_plugins.language_models.hub_models import published_origin
from affect_lightning_plugins.language_models.model_files import apply_liger_kernels, check_liger
from affect_lightning_plugins.language_models.transformers_model import AdaptedCausalLM

FRAMES, SIDE, SECONDS, RATE = 8, 224, 5, 16_000
# English words of the 166 descriptions of OV-MERD that the authors published: least, 5%, 10%, ... 95%, most.
WORD_QUANTILES = (62, 124, 153, 183, 200, 209, 218, 233, 240, 257, 284, 301, 521)
QUANTILE_PLACES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
TOKENS_A_WORD = 1.3  # of Qwen2.5 and SmolLM2 on English, about
VOCABULARY = ("word", "other", "again", "quite", "more")
SMALL = {"model_type": "llama", "vocab_size": 49_152, "hidden_size": 576, "intermediate_size": 1536}
SMALL |= {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True}
REQUIRED = {"cuda": 8.0, "cpu": 3.0}
REQUIRED_PEAK, REQUIRED_GB = 0.45, 40.0
OPTIONS = ("checkpointing", "inductor", "liger")
TEMPLATE = "{% for m in messages %}<s> user {{ m['content'] }} </s> {% endfor %}<s> assistant "


@dataclass
class Way:
    """One recipe.

    Attributes:
        name: For the table.
        loss: From network, batch and features to the loss.
        cached: Whether it starts from ready features.
        dtype: Of the frozen language model.
        scaled: Whether gradients are scaled, as fp16 needs.
        option: What --with names; see `OPTIONS`.
    """

    name: str
    loss: Callable[[AffectGPT, ClipBatch], Tensor]
    cached: bool
    dtype: torch.dtype
    scaled: bool = False
    option: str = ""


def word_tokenizer() -> Any:
    """One token a word, so that lengths are what they are meant to be."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", *VOCABULARY]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        chat_template=TEMPLATE,
    )


def build_language_model(device: torch.device, dtype: torch.dtype, liger: bool = False) -> AdaptedCausalLM:
    """The paper's sizes on a GPU, the small one's on a CPU; random weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    values = dict(published_origin("qwen2.5", "7B").config or {}) if device.type == "cuda" else dict(SMALL)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    with device:
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    if liger:
        apply_liger_kernels(model)
    return AdaptedCausalLM(model, word_tokenizer(), AdapterOptions())


def build_network(device: torch.device, dtype: torch.dtype, live: bool, liger: bool = False) -> AffectGPT:
    """AffectGPT with the paper's encoders, or without any for ready features."""
    encoders = {"video_encoder": "clip-vit-large-patch14", "audio_encoder": "chinese-hubert-large"}
    choices = {option: {"name": name, "weights": "random"} for option, name in encoders.items()}
    configuration = ModelConfiguration.resolve(
        **choices,
        pre_fusion="attention",
        language_model="tiny-lm",  # replaced below: this option only has to be valid
        inputs=["multi", "audio", "face", "text"],
    )
    widths = {"audio": 1024, "face": 768}
    language_model = build_language_model(device, dtype, liger)
    network = AffectGPT(
        configuration,
        language_model=language_model,
        encoders=build_encoders(configuration, list(widths)) if live else {},
        pre_fusion=build_part("pre_fusions", configuration.pre_fusion, stream_widths=widths),
        feature_widths=widths,
    ).to(device)
    if dtype != torch.float32:
        network.encoders.to(dtype)
    return network.train()


def make_batch(size: int, number: int, cached: bool, device: torch.device) -> ClipBatch:
    """Clips whose texts have the lengths of real ones."""
    generator = torch.Generator().manual_seed(number)
    shares = torch.rand(size, generator=generator).tolist()
    words = [int(TOKENS_A_WORD * quantile(share)) for share in shares]
    spoken = torch.randint(5, 26, (size,), generator=generator).tolist()
    media: dict[str, Any] = {}
    if cached:
        mask = torch.ones(size, FRAMES, dtype=torch.bool)
        media["features"] = {
            name: FeatureSequence(torch.randn(size, FRAMES, width, generator=generator), mask)
            for name, width in {"audio": 1024, "face": 768}.items()
        }
    else:
        pictures = (size, FRAMES, 3, SIDE, SIDE)
        faces = torch.randint(0, 256, pictures, generator=generator, dtype=torch.uint8)
        waveform = torch.rand(size, SECONDS * RATE, generator=generator) * 0.2 - 0.1
        media["streams"] = {
            "face": StreamInput(faces, torch.ones(size, FRAMES, dtype=torch.bool)),
            "audio": StreamInput(waveform, torch.ones_like(waveform, dtype=torch.bool), RATE),
        }
    return ClipBatch(
        records=[ClipRecord(name=f"clip{index}", corpus="benchmark") for index in range(size)],
        questions=["word other again more quite word other again"] * size,
        responses=[" ".join(VOCABULARY[index % 5] for index in range(count)) for count in words],
        subtitles=[" ".join(VOCABULARY[index % 5] for index in range(count)) for count in spoken],
        **media,
    ).to(device)


def quantile(share: float) -> float:
    """Words of a description, from the distribution of the real ones."""
    for place in range(1, len(QUANTILE_PLACES)):
        low, high = QUANTILE_PLACES[place - 1 : place + 1]
        if share <= high:
            inside = (share - low) / (high - low)
            return WORD_QUANTILES[place - 1] + inside * (WORD_QUANTILES[place] - WORD_QUANTILES[place - 1])
    return WORD_QUANTILES[-1]


def authors_loss(network: AffectGPT, batch: ClipBatch) -> Tensor:
    """Padded rows through the library's own loss, which makes the logits of every position."""
    prompts = network.assemble(batch, network.encode(batch), learn=True)
    network.last_step = prompts.size
    model: Any = network.language_model.network  # type: ignore[union-attr]
    return model(
        inputs_embeds=prompts.inputs_embeds,
        attention_mask=prompts.attention_mask,
        labels=prompts.labels,
        use_cache=False,
    ).loss


def ours_loss(network: AffectGPT, batch: ClipBatch) -> Tensor:
    """What `affect-lightning fit` computes."""
    return network(batch)


def ways(device: torch.device, options: Sequence[str]) -> list[Way]:
    """The recipes in the order of the table; Liger's last, since its RoPE stays in the process."""
    half, ours = (torch.float16, torch.bfloat16) if device.type == "cuda" else (torch.float32, torch.float32)
    scaled = device.type == "cuda"
    return [
        Way("authors", authors_loss, False, half, scaled),
        Way("authors' LLM", authors_loss, True, half, scaled),
        Way("live", ours_loss, False, ours),
        Way("cached", ours_loss, True, ours),
        *(Way(f"+ {option}", ours_loss, True, ours, option=option) for option in OPTIONS if option in options),
    ]


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Mixed arithmetic in the type; none in 32 bits."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def time_steps(network: AffectGPT, way: Way, size: int, steps: int, device: torch.device) -> dict[str, Any]:
    """Steps of one recipe at one batch size."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, weight_decay=0.05)
    scaler = torch.amp.GradScaler(device.type, enabled=way.scaled)
    batches = [make_batch(size, number, way.cached, device) for number in range(steps + 1)]
    if (maker := network.prompt_maker()) is not None:  # the loader does this, beside the steps
        batches = [replace(batch, prompts=maker(batch)).to(device) for batch in batches]
    cost = StepCost.of(network.language_model)
    steps_done: list[StepSize] = []
    forget_peak_memory(device)
    started = 0.0
    for number, batch in enumerate(batches):
        if number == 1:  # the first step warms up
            synchronise(device)
            started = time.perf_counter()
        with autocast(device, way.dtype):
            loss = way.loss(network, batch)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        if number:
            assert network.last_step is not None
            steps_done.append(network.last_step)
    synchronise(device)
    seconds = time.perf_counter() - started
    tokens = sum(step.tokens for step in steps_done)
    words = network.language_model.causal_model.config.vocab_size  # type: ignore[union-attr]
    cost = StepCost(cost.frozen, cost.trained, cost.blocks, cost.width, words)
    return {
        "way": way.name,
        "batch": size,
        "samples_per_second": size * steps / seconds,
        "tokens_per_second": tokens / seconds,
        "tokens_a_sample": tokens / (size * steps),
        "useful_operations_per_second": sum(map(cost.operations, steps_done)) / seconds,
        "peak_memory_gb": peak_memory_gb(device),
    }


def forget_peak_memory(device: torch.device) -> None:
    """Start to measure anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_gb(device: torch.device) -> float | None:
    """Most memory since then; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    if sys.platform != "linux":
        return None
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("VmHWM:"))


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All recipes; ours at every batch size that fits."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    rows: list[dict[str, Any]] = []
    for way in ways(device, options.extras):
        peak = measured_peak(device, way.dtype)
        network = build_network(device, way.dtype, live=not way.cached, liger=way.option == "liger")
        blocks = network.language_model.shardable_blocks()
        if way.option == "checkpointing":
            recompute_activations(blocks)
        elif way.option == "inductor":
            compile_blocks(blocks, "inductor")
        sizes = [3] if way.name.startswith("authors") else options.batches
        for size in sizes if device.type == "cuda" or way.cached else sizes[:1]:
            try:
                row = time_steps(network, way, size, options.steps, device)
            except torch.cuda.OutOfMemoryError:
                print(f"{way.name} batch {size}: does not fit", file=sys.stderr)
                break
            row["peak_share"] = row["useful_operations_per_second"] / peak
            rows.append(row)
            print(as_line(row), file=sys.stderr, flush=True)
        del network
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"cpu {platform.machine()}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "steps": options.steps,
        "rows": rows,
        **verdict(rows, device.type),
    }


def verdict(rows: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Ratios to the authors' recipe, and whether they are what is required."""
    rates = {(row["way"], row["batch"]): row["samples_per_second"] for row in rows}
    cached = [row for row in rows if row["way"] == "cached"]
    best = max(cached, key=lambda row: row["samples_per_second"])
    ratio = best["samples_per_second"] / rates["authors", 3]
    passes = ratio >= REQUIRED[kind]
    if kind == "cuda":
        sixteen = [row["peak_memory_gb"] for row in cached if row["batch"] == 16]
        passes &= best["peak_share"] >= REQUIRED_PEAK and bool(sixteen) and sixteen[0] <= REQUIRED_GB
    return {
        "ratio": ratio,
        "ratio_without_encoders": best["samples_per_second"] / rates["authors' LLM", 3],
        "ratio_at_batch_3": rates["cached", 3] / rates["authors", 3],
        "required": REQUIRED[kind],
        "passes": passes,
    }


def as_line(row: Mapping[str, Any]) -> str:
    memory = "" if row["peak_memory_gb"] is None else f"  {row['peak_memory_gb']:6.1f} GB"
    return (
        f"{row['way']:13} batch {row['batch']:3}  {row['samples_per_second']:8.3f} samples/s  "
        f"{row['tokens_per_second']:9.1f} tokens/s  {100 * row['peak_share']:5.1f}% of the peak{memory}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10 if torch.cuda.is_available() else 2)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[3, 16, 32, 64] if torch.cuda.is_available() else [3, 16]
    )
    parser.add_argument(
        "--with", dest="extras", nargs="+", default=[], choices=OPTIONS, help="options to measure too, from the cache"
    )
    parser.add_argument("--json", default=None, help="file for the figures")
    options = parser.parse_args()
    if "liger" in options.extras:
        try:
            check_liger()
        except ConfigurationError as error:
            parser.error(str(error))
    result = measure(options)
    for row in result["rows"]:
        print(as_line(row))
    print(
        f"cached, best batch: {result['ratio']:.1f} times the authors' recipe (required {result['required']:.0f}), "
        f"{result['ratio_without_encoders']:.2f} times its language model alone; at batch 3 {result['ratio_at_batch_3']:.1f} "
        f"times. {result['device']}, {result['threads']} threads."
    )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as stream:
            json.dump(result, stream, indent=1)
    return 0 if result["passes"] else 1


if __name__ == "__main__":
    sys.exit(main())
