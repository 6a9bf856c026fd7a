"""Responses a second: clips one at a time by transformers' own `generate`, against ours in large batches, in one run.

    python benchmarks/generate.py [--clips 48] [--batch 48] [--model FOLDER] [--max-new-tokens 40] [--json]

    plain     one clip at a time, `generate` of transformers, greedy
    single    one clip at a time, `AffectGPT.generate`
    batched   `AffectGPT.generate` on batches sorted by the prompt's length
    unmerged  the same with the adapter beside the weights
    sampled   the same as batched at temperature 1 and top-p 0.9; its texts are others
    twice     `AffectGPT.answer`: two questions on every clip, its beginning read once; counted in responses

The language model is SmolLM2-135M by default, or any causal model from a folder; the adapter and the features are random,
prompts are real sentences of 3 to 30 words. All but `sampled` must give the same texts for the same question: the run fails
if one differs. Required (ours): batched at least 4 times plain on a CPU, 15 times on a GPU.

    choice    milliseconds to sample the first token of every clip of a batch, and by sorting and drawing one row after another
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from affect_lightning.contracts import ClipBatch, ClipRecord, FeatureSequence
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.prompting import question_text
from affect_lightning_plugins.language_models.token_choice import TokenChoice

WIDTHS = {"audio": 1024, "face": 768}  # HuBERT-Large and CLIP ViT-L/14
VOCABULARY = """
I you she they we the a this that nobody told me came went saw called bought home market station letter door yesterday
again never always why because then perhaps really quite late early and but so not very much
"""
REQUIRED = {"cpu": 4.0, "cuda": 15.0}
SAMPLING = {"temperature": 1.0, "top_p": 0.9}
OTHER_TEXTS = ("sampled",)


def make_clips(count: int) -> ClipBatch:
    """Clips with random features and sentences of very different length, sorted by length as in a test."""
    generator = random.Random(0)
    words = VOCABULARY.split()
    sentences = sorted(
        (" ".join(generator.choice(words) for _ in range(generator.randint(3, 30))) for _ in range(count)), key=len
    )
    torch.manual_seed(0)
    mask = torch.ones(count, 8, dtype=torch.bool)
    return ClipBatch(
        records=[ClipRecord(name=f"clip{index}", corpus="benchmark") for index in range(count)],
        questions=[question_text("name")] * count,
        responses=[""] * count,
        subtitles=sentences,
        features={name: FeatureSequence(torch.randn(count, 8, width), mask) for name, width in WIDTHS.items()},
    )


def part_of(clips: ClipBatch, start: int, stop: int) -> ClipBatch:
    """Some clips of the batch."""
    assert clips.features is not None
    return replace(
        clips,
        records=clips.records[start:stop],
        questions=clips.questions[start:stop],
        responses=clips.responses[start:stop],
        subtitles=clips.subtitles[start:stop],
        features={
            name: FeatureSequence(stream.tokens[start:stop], stream.mask[start:stop])
            for name, stream in clips.features.items()
        },
        valid=None if clips.valid is None else clips.valid[start:stop],
    )


def by_transformers(network: AffectGPT, clip: ClipBatch, tokens: int) -> str:
    """One response by the library's `generate`."""
    prompts = network.assemble(clip, network.encode(clip), learn=False)
    model: Any = network.language_model.causal_model
    ids = model.generate(
        inputs_embeds=prompts.inputs_embeds,
        attention_mask=prompts.attention_mask,
        max_new_tokens=tokens,
        do_sample=False,
        pad_token_id=network.language_model.tokenizer.pad_token_id,
    )
    return network.language_model.tokenizer.decode(ids[0], skip_special_tokens=True).strip()


def batched(network: AffectGPT, batches: list[ClipBatch], merge: bool = True, **options: Any) -> list[str]:
    """Responses of whole batches, with the adapter merged or beside the weights."""
    network.language_model.merged.wanted = merge
    texts = [text for batch in batches for text in network.generate(batch, **options)]
    network.language_model.merged.wanted = True
    return texts


def randomise_adapter(network: AffectGPT) -> None:
    """An adapter that does something: it starts at zero."""
    generator = torch.Generator().manual_seed(0)
    for name, weight in network.language_model.named_parameters():
        if "lora_B" in name:
            weight.data.copy_(1e-3 * torch.randn(weight.shape, generator=generator))


def one_row_after_another(logits: torch.Tensor, generators: list[torch.Generator]) -> torch.Tensor:
    """Sampled tokens [B] by sorting all [B, V] logits and drawing from each row on the CPU, as this package once did."""
    shares = torch.softmax(logits / SAMPLING["temperature"], dim=-1).cpu()
    ordered, tokens = shares.sort(dim=-1, descending=True, stable=True)
    ordered[ordered.cumsum(dim=-1) - ordered >= SAMPLING["top_p"]] = 0.0
    drawn = [torch.multinomial(row, 1, generator=each) for row, each in zip(ordered, generators, strict=True)]
    return tokens.gather(1, torch.stack(drawn)).squeeze(1).to(logits.device)


def choice_milliseconds(network: AffectGPT, batch: ClipBatch, repeats: int = 5) -> dict[str, float]:
    """Median time of the first token for all clips of a batch, both ways in turn."""
    prompts = network.assemble(batch, network.encode(batch), learn=False)
    model: Any = network.language_model.causal_model
    logits = model(inputs_embeds=prompts.inputs_embeds, attention_mask=prompts.attention_mask, logits_to_keep=1).logits[
        :, -1
    ]
    rows = len(logits)
    choice = TokenChoice(rows, seed=0, **SAMPLING)
    generators = [torch.Generator().manual_seed(0) for _ in range(rows)]
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "together": lambda: choice.choose(logits),
        "one row after another": lambda: one_row_after_another(logits, generators),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way().cpu()
            taken[name].append(1000 * (time.perf_counter() - started))
    return {name: round(statistics.median(values[1:]), 2) for name, values in taken.items()}


@torch.no_grad()
def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and texts of all ways."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    language_model = {"name": "causal-lm", "model": options.model} if options.model else {"name": "smollm2-135m"}
    configuration = ModelConfiguration.resolve(
        video_encoder="tiny-video",
        audio_encoder="tiny-audio",
        pre_fusion="attention",
        language_model=language_model,
        inputs=["multi", "audio", "face", "text"],
        projector_init_scale=1.0,
        feature_norm="layer",
    )
    network = AffectGPT.from_configuration(configuration, feature_widths=WIDTHS).eval().to(device)
    randomise_adapter(network)
    clips = make_clips(options.clips).to(device)
    tokens, count = options.max_new_tokens, options.clips
    starts = range(0, count, options.batch)
    single = [part_of(clips, index, index + 1) for index in range(count)]
    batches = [part_of(clips, start, start + options.batch) for start in starts]
    questions = [question_text("name"), question_text("describe")]
    ways: dict[str, Callable[[], list[Any]]] = {
        "plain": lambda: [by_transformers(network, clip, tokens) for clip in single],
        "single": lambda: [text for clip in single for text in network.generate(clip, max_new_tokens=tokens)],
        "batched": lambda: batched(network, batches, max_new_tokens=tokens),
        "unmerged": lambda: batched(network, batches, merge=False, max_new_tokens=tokens),
        "sampled": lambda: batched(network, batches, max_new_tokens=tokens, seed=0, **SAMPLING),
        "twice": lambda: [
            both for batch in batches for both in network.answer(batch, questions, max_new_tokens=tokens)
        ],
    }
    network.generate(part_of(clips, 0, 2), max_new_tokens=4)  # warm up
    seconds, texts = {}, {}
    for name, way in ways.items():
        started = time.perf_counter()
        texts[name] = way()
        seconds[name] = time.perf_counter() - started
    texts["twice"] = [both[0] for both in texts["twice"]]
    rates = {name: count * (2 if name == "twice" else 1) / elapsed for name, elapsed in seconds.items()}
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"cpu {platform.machine()}",
        "threads": torch.get_num_threads(),
        "clips": count,
        "batch": options.batch,
        "max_new_tokens": tokens,
        "responses_per_second": {name: round(rate, 3) for name, rate in rates.items()},
        "ratio": {name: round(rate / rates["plain"], 2) for name, rate in rates.items()},
        "same_texts": {
            name: sum(a == b for a, b in zip(texts["plain"], texts[name], strict=True))
            for name in ways
            if name not in OTHER_TEXTS
        },
        "choice_ms": choice_milliseconds(network, batches[0]),
        "words_a_response": round(sum(len(text.split()) for text in texts["plain"]) / count, 1),
        "required": REQUIRED[device.type],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--model", default=None, help="folder of a causal language model (default: SmolLM2-135M)")
    parser.add_argument("--max-new-tokens", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options)
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{result['device']}, {result['threads']} threads, {options.clips} clips, batch {options.batch}")
        for name, rate in result["responses_per_second"].items():
            same = result["same_texts"].get(name, "no")
            print(f"{name:8} {rate:9.2f} responses/s  {result['ratio'][name]:6.2f} x plain  {same} texts the same")
        print("choice   " + ", ".join(f"{name} {taken} ms" for name, taken in result["choice_ms"].items()))
    alike = all(same == options.clips for same in result["same_texts"].values())
    return 0 if alike and result["ratio"]["batched"] >= result["required"] else 1


if __name__ == "__main__":
    sys.exit(main())
