"""Cost of every pre-fusion and branch compression at the paper's widths: parameters and floating-point operations.

Run `python benchmarks/fusions.py`; it prints the table of docs/fusions.md. Operations are counted by torch for one clip
of 8 audio tokens of 1024 and 8 face tokens of 768 (a multiplication and an addition are two), projectors left out.
"""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from affect_lightning.contracts import FeatureSequence
from affect_lightning.plugin_loading import build_part

TOKENS, WIDTHS = 8, {"audio": 1024, "face": 768}  # paper, Appendix B
CHOICES = {
    "`none`": "none",
    "`attention`": "attention",
    "`qformer`, 32 queries": "qformer",
    "`qformer`, 32 queries, `hidden_width: 256`": {"name": "qformer", "hidden_width": 256},
    "`gated`": "gated",
    "`gated`, `hidden_width: 256`": {"name": "gated", "hidden_width": 256},
    "`bilinear`": "bilinear",
    "`attention-released`": "attention-released",
}
BRANCHES = {
    "`mean`": ("mean", 1),
    "`attention`": ("attention", 1),
    "`attention-released`": ("attention-released", 1),
    "`qformer`, 32 tokens": ("qformer", 32),
}


def stream(width: int) -> FeatureSequence:
    """One clip of random tokens."""
    return FeatureSequence(torch.randn(1, TOKENS, width), torch.ones(1, TOKENS, dtype=torch.bool))


def cost(module: torch.nn.Module, given: object) -> tuple[int, int]:
    """Parameters and operations."""
    with FlopCounterMode(
        display=False
    ) as counter:  # with gradients: without, torch takes a fused layer that it does not count
        module.train(False)(given)
    return sum(parameter.numel() for parameter in module.parameters()), counter.get_total_flops()


def rows() -> list[tuple[str, int, int, int]]:
    """Name, tokens, parameters and operations of every part."""
    streams = {name: stream(width) for name, width in WIDTHS.items()}
    found = []
    for name, choice in CHOICES.items():
        fusion = build_part("pre_fusions", choice, stream_widths=WIDTHS)
        found.append((f"pre-fusion {name}", fusion.output_tokens, *cost(fusion, streams)))
    for name, (choice, tokens) in BRANCHES.items():
        branches = [
            build_part("branch_compressions", choice, stream_width=width, tokens=tokens) for width in WIDTHS.values()
        ]
        costs = [cost(branch, streams[key]) for branch, key in zip(branches, WIDTHS, strict=True)]
        found.append((f"branches {name}", tokens, sum(each[0] for each in costs), sum(each[1] for each in costs)))
    return found


def table() -> str:
    """The table of docs/fusions.md."""
    lines = ["| part | tokens | parameters | operations a clip |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {name} | {tokens} | {size:,} | {work / 1e6:,.2f} M |" for name, tokens, size, work in rows()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
