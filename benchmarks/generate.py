"""Responses a second: clips one at a time by transformers' own `generate`, against ours in large batches, in one run.

    python benchmarks/generate.py [--clips 48] [--batch 48] [--model FOLDER] [--max-new-tokens 40] [--json]

    plain    one clip at a time, `generate` of transformers, greedy
    single   one clip at a time, `AffectGPT.generate`
    batched  `AffectGPT.generate` on batches sorted by the prompt's length
    twice    `AffectGPT.answer`: two questions on every clip, its beginning read once; counted in responses

The language model is SmolLM2-135M by default, or any causal model from a folder; features are random, prompts are real
sentences of 3 to 30 words. All four must give the same texts for the same question: the run fails if one differs.
Required (ours): batched at least 4 times plain on a CPU, 15 times on a GPU.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from affect_lightning.contracts import ClipBatch, ClipRecord, FeatureSequence
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.prompting import question_text

WIDTHS = {"audio": 1024, "face": 768}  # HuBERT-Large and CLIP ViT-L/14
VOCABULARY = """
I you she they we the a this that nobody told me came went saw called bought home market station letter door yesterday
again never always why because then perhaps really quite late early and but so not very much
"""
REQUIRED = {"cpu": 4.0, "cuda": 15.0}


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


@torch.no_grad()
def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and texts of the four ways."""
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
    clips = make_clips(options.clips).to(device)
    tokens, count = options.max_new_tokens, options.clips
    starts = range(0, count, options.batch)
    single = [part_of(clips, index, index + 1) for index in range(count)]
    batches = [part_of(clips, start, start + options.batch) for start in starts]
    questions = [question_text("name"), question_text("describe")]
    ways: dict[str, Callable[[], list[Any]]] = {
        "plain": lambda: [by_transformers(network, clip, tokens) for clip in single],
        "single": lambda: [text for clip in single for text in network.generate(clip, max_new_tokens=tokens)],
        "batched": lambda: [text for batch in batches for text in network.generate(batch, max_new_tokens=tokens)],
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
        "same_texts": {name: sum(a == b for a, b in zip(texts["plain"], texts[name], strict=True)) for name in ways},
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
            same = result["same_texts"][name]
            print(f"{name:8} {rate:9.2f} responses/s  {result['ratio'][name]:6.2f} x plain  {same} texts the same")
    alike = all(same == options.clips for same in result["same_texts"].values())
    return 0 if alike and result["ratio"]["batched"] >= result["required"] else 1


if __name__ == "__main__":
    sys.exit(main())
