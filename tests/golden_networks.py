"""Tiny networks whose weights, pictures and sound follow a formula, and what they give: losses, gradients, responses.

`test_golden_networks.py` compares them with `golden/tiny_networks.json`. This command writes that file anew:

    python tests/golden_networks.py

Write it anew only where a figure must change, and say why in the commit. A change of the interface is followed in
`golden_batch`, `build_network` and `trained_parts`, which touch what may be renamed; no figure may change with it.
No random generator is used: integers are hashed, so every version and every processor gets the same weights.
Legend: B clips, T frames, S audio samples.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from affect_lightning.contracts import ClipBatch, ClipRecord, StreamInput
from affect_lightning.model import AffectGPT, ModelConfiguration

GOLDEN_FILE = Path(__file__).with_name("golden") / "tiny_networks.json"
COMMAND = "python tests/golden_networks.py"
NEW_TOKENS = 8
QUESTIONS = ("Which emotions does the person feel?", "How is it, and why?")
# Two tokens closer than this could change places on another processor; then other weights are chosen (`salt`).
LEAST_MARGIN = 1e-3

_ALL = ["multi", "audio", "face", "text"]
CASES: dict[str, dict[str, Any]] = {
    "none": {"pre_fusion": "none"},
    "attention": {"pre_fusion": "attention"},
    "bilinear": {"pre_fusion": "bilinear"},
    "gated": {"pre_fusion": "gated"},
    "qformer": {"pre_fusion": "qformer"},
    "attention on projected features": {"pre_fusion": "attention", "fused_features": "projected"},
    "mean of three streams": {
        "pre_fusion": "attention",
        "inputs": ["multi", "audio", "face", "frame", "text"],
        "fused_streams": ["audio", "face", "frame"],
        "branch_compression": "mean",
    },
    "two tokens a branch, layer norm": {"pre_fusion": "attention", "branch_tokens": 2, "feature_norm": "layer"},
    "Q-Former branches": {"pre_fusion": "qformer", "branch_compression": "qformer", "branch_tokens": 2},
    "statistics of features": {"pre_fusion": "attention", "feature_norm": "standard"},
    "Llama": {"pre_fusion": "attention", "language_model": {"name": "tiny-lm", "architecture": "llama"}},
    "text alone": {"pre_fusion": "none", "inputs": ["text"]},
}


def hashed(name: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers in [-1, 1) that follow from a name and their place, the same everywhere: splitmix64 on integers."""
    places = numpy.arange(math.prod(shape), dtype=numpy.uint64) + numpy.uint64(zlib.crc32(name.encode()) << 20)
    mixed = places * numpy.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> numpy.uint64(shift))) * numpy.uint64(factor)
    mixed ^= mixed >> numpy.uint64(31)
    exact = (mixed >> numpy.uint64(40)).astype(numpy.int64) - (1 << 23)
    return torch.from_numpy(exact).double().div(1 << 23).float().reshape(shape)


def fill(part: nn.Module, role: str) -> None:
    """Give every weight of a part its value, by role, last names and order; where else it stands plays no role."""
    seen: Counter[str] = Counter()
    with torch.no_grad():
        for name, weight in part.named_parameters():
            names = [word for word in name.split(".") if not re.fullmatch(r"\d+|default|base_layer", word)]
            last = ".".join(names[-2:])
            values = hashed(f"{role}/{last}/{seen[last]}", tuple(weight.shape))
            seen[last] += 1
            if weight.ndim > 1:
                values *= math.sqrt(3.0 / weight[0].numel())  # the variance of 1 / inputs
            elif name.endswith("weight"):
                values = 1.0 + 0.1 * values  # of a norm
            else:
                values *= 0.1
            weight.copy_(values)


def golden_batch() -> ClipBatch:
    """Four clips of unlike length, in pictures, sound and words, one of them silent."""
    coarse = hashed("pictures", (2, 4, 3, 3, 5, 5)).add(1.0).mul(127.5).to(torch.uint8)
    pictures = coarse.repeat_interleave(8, dim=-1).repeat_interleave(8, dim=-2)
    lengths = torch.tensor([12_000, 9_500, 0, 7_000])
    waveform = 0.5 * hashed("sound", (4, 12_000))
    waveform[torch.arange(12_000) >= lengths.unsqueeze(1)] = 0.0
    mask = torch.tensor([[True, True, True]] * 3 + [[True, True, False]])
    long = "They are late again, and nobody told me, as always, not even you, who knew it since Tuesday morning. And so I wait."
    words = (
        "I won! I won, and you said that nobody ever wins anything in a place like this.",
        long,
        "",
        "今天星期二。",
    )
    wanted = ("The person feels happy.", "The person feels angry and hurt.", "The person feels calm.", "No.")
    return ClipBatch(
        records=[ClipRecord(name=f"clip{index}", corpus="golden", labels=("happy",)) for index in range(4)],
        questions=[QUESTIONS[index % 2] for index in range(4)],
        responses=list(wanted),
        subtitles=list(words),
        streams={
            "face": StreamInput(pictures[0], mask),
            "frame": StreamInput(pictures[1], mask),
            "audio": StreamInput.of_sound(waveform, lengths, 16_000),
        },
    )


def build_network(options: Mapping[str, Any], feature_widths: Mapping[str, int] | None = None) -> AffectGPT:
    """A network of tiny parts, without dropout, not yet filled."""
    given = {"video_encoder": "tiny-video", "audio_encoder": "tiny-audio", "inputs": _ALL, **options}
    language_model = {"name": "tiny-lm", "lora_dropout": 0.0, **options.get("language_model", {})}
    configuration = ModelConfiguration.resolve(**{**given, "language_model": language_model})
    return AffectGPT.from_configuration(configuration, feature_widths)


def trained_parts(network: AffectGPT) -> dict[str, nn.Module]:
    """What trains, by its role."""
    parts: dict[str, nn.Module] = {"language model": network.language_model}
    if network.pre_fusion is not None:
        parts["pre-fusion"] = network.pre_fusion
    for kind, modules in (("branch", network.branches), ("projector", network.projectors)):
        parts |= {f"{kind} {stream}": module for stream, module in modules.items()}
    return {role: part for role, part in parts.items() if any(True for _ in part.parameters())}


def filled(network: AffectGPT, salt: str) -> AffectGPT:
    """The network with the formula's weights."""
    encoders = {key.replace("_", " "): encoder for key, encoder in network.encoders.items()}
    for role, part in {**encoders, **trained_parts(network)}.items():
        fill(part, f"{salt} {role}")
    return network.eval()


@contextmanager
def attention_in(network: AffectGPT, form: str) -> Iterator[None]:
    """Clips of a batch in one row (`packed`), or one a row (`padded`): two ways to the same loss."""
    model = network.language_model
    was, model.attends_clipwise = model.attends_clipwise, form == "packed"  # type: ignore[union-attr]
    try:
        yield
    finally:
        model.attends_clipwise = was


def with_features(network: AffectGPT, batch: ClipBatch) -> ClipBatch:
    """The batch as it comes out of a feature cache: what the encoders give, and neither pictures nor sound."""
    features = network.encode(batch)
    return replace(batch, streams={}, features=features)


def networks(options: Mapping[str, Any], salt: str) -> Iterator[tuple[str, AffectGPT, ClipBatch]]:
    """A case in each form: clips packed, clips padded, and features out of a cache; all have to give the same."""
    batch = golden_batch()
    for form in ("packed", "padded", "cached"):
        network = filled(build_network(options), salt)
        given = batch
        if form == "cached":
            given = with_features(network, batch)
            network = filled(build_network(options, network.feature_widths), salt)
        if options.get("feature_norm") == "standard":
            network.train()
            with torch.no_grad():
                network(given)  # learns the statistics
            network.eval()
        with attention_in(network, "padded" if form == "padded" else "packed"):
            yield form, network, given


def figures(network: AffectGPT, batch: ClipBatch) -> dict[str, Any]:
    """Loss, gradients, the loss after two steps against the gradient, and greedy responses."""
    found: dict[str, Any] = {
        "responses": network.generate(batch, max_new_tokens=NEW_TOKENS),
        "answers": network.answer(batch, QUESTIONS, max_new_tokens=NEW_TOKENS),
    }
    loss = network(batch)
    loss.backward()
    found["loss"] = loss.item()
    found["gradient_norms"] = {role: gradient_norm(part) for role, part in trained_parts(network).items()}
    optimizer = torch.optim.SGD([weight for weight in network.parameters() if weight.requires_grad], lr=0.02)
    for _ in range(2):
        optimizer.step()
        optimizer.zero_grad()
        loss = network(batch)
        loss.backward()
    found["loss_after_two_steps"] = loss.item()
    return found


def gradient_norm(part: nn.Module) -> float:
    """Euclidean norm over all weights of a part that have a gradient."""
    squares = [float(weight.grad.double().square().sum()) for weight in part.parameters() if weight.grad is not None]
    return math.sqrt(math.fsum(squares))


@contextmanager
def margins(network: AffectGPT) -> Iterator[list[float]]:
    """Collects, at each step of a decoding, by how much the likeliest token of a clip leads, at least."""
    seen: list[float] = []

    def look(_head: nn.Module, _inputs: Any, logits: Tensor) -> None:
        best = logits.reshape(-1, logits.shape[-1]).topk(2, dim=-1).values
        seen.append(float((best[:, 0] - best[:, 1]).min()))

    hook = network.language_model.causal_model.get_output_embeddings().register_forward_hook(look)  # type: ignore[operator, union-attr]
    try:
        yield seen
    finally:
        hook.remove()


def least_margin(options: Mapping[str, Any], salt: str) -> float:
    """The least lead of a chosen token over the next in all responses of a case."""
    _, network, batch = next(networks(options, salt))
    with margins(network) as seen:
        network.generate(batch, max_new_tokens=NEW_TOKENS)
        network.answer(batch, QUESTIONS, max_new_tokens=NEW_TOKENS)
    return min(seen)


def write_golden_file() -> None:
    """Choose weights with clear decisions for each case, and write what they give."""
    cases = {}
    for name, options in CASES.items():
        salts = (f"{name} {number}" for number in range(100))
        salt = next(salt for salt in salts if least_margin(options, salt) >= LEAST_MARGIN)
        _, network, batch = next(networks(options, salt))
        cases[name] = {"salt": salt, **figures(network, batch)}
    text = json.dumps({"command": COMMAND, "cases": cases}, indent=1)
    GOLDEN_FILE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_golden_file()
