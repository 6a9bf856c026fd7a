"""Checks of pre-fusions and branch compressions beside those of every network (paper, Section 3.2, Eq. 3 to 7; Table 5).

Contracts: PreFusion, BranchCompression. Neighbours: `module_checks.py`, `inputs.py`.
Legend: B clips, N feature tokens, D feature width, K fused tokens.
"""

from __future__ import annotations

import torch

from affect_lightning.contracts.conformance import check_features, check_finite
from affect_lightning.errors import ConfigurationError
from affect_lightning.testing.comparing import require
from affect_lightning.testing.inputs import StreamInputs
from affect_lightning.testing.subject import Subject


@torch.no_grad()
def fusion_shapes(subject: Subject) -> str:
    """Fused tokens [B, output_tokens, output_width], all real and finite, for one, two and three streams."""
    widths = subject.stream_widths
    remarks = []
    for streams in (widths, dict(list(widths.items())[:1]), {**widths, "frame": 20}):
        try:
            fusion = subject.build(stream_widths=streams).eval()
        except ConfigurationError as error:  # a fusion may need a certain number of streams if it says so
            require(streams is not widths, f"a part for the streams {list(streams)}", f"ConfigurationError: {error}")
            remarks.append(f"refuses {len(streams)} streams")
            continue
        _check_one(fusion, StreamInputs.random(streams))
    fusion = subject.part
    return "; ".join([f"{fusion.output_tokens} tokens, {fusion.output_width} wide", *remarks])


def _check_one(fusion: torch.nn.Module, inputs: StreamInputs) -> None:
    sizes = (fusion.output_tokens, fusion.output_width)
    require(
        all(isinstance(size, int) and size >= 0 for size in sizes) and (sizes[0] == 0) == (sizes[1] == 0),
        "output_tokens and output_width to be positive ints, or both 0",
        f"{sizes[0]!r} and {sizes[1]!r}",
    )
    for given in (inputs, inputs.picked([0]), inputs.without_tokens(2)):
        clips = len(next(iter(given.streams.values())).mask)
        found = check_features(fusion(given.streams), clips=clips, width=sizes[1], tokens=sizes[0])  # type: ignore[arg-type]
        require(found.mask.all(), "every fused token real", "masked tokens")
        check_finite(found.tokens, "fused tokens, also of a clip whose streams have no real token")


@torch.no_grad()
def branch_shapes(subject: Subject) -> str:
    """Tokens [B, K, output_width], finite, for one and, if the class allows it, three tokens a stream."""
    most = type(subject.part).most_tokens
    for count in (1,) if most == 1 else (1, 3):
        branch = subject.build(tokens=count).eval()
        require(
            branch.output_tokens == count, f"output_tokens to be {count}, as it was asked", f"{branch.output_tokens}"
        )
        inputs = subject.inputs()
        assert isinstance(inputs, StreamInputs)
        for given in (inputs, inputs.picked([0]), inputs.without_tokens(2)):
            for values in given.outputs(branch):
                check_finite(values, "tokens, also of a clip whose stream has no real token")
    return f"{subject.part.output_width} wide"


def masked_gradient(subject: Subject) -> None:
    """NaN in masked tokens reaches neither a result nor a gradient."""
    part, inputs = subject.frozen_copy(), subject.inputs()
    assert isinstance(inputs, StreamInputs)
    for stream in inputs.streams.values():
        stream.tokens[~stream.mask] = float("nan")
    found = torch.stack(inputs.outputs(part))
    check_finite(found, "tokens with NaN in masked ones")
    if found.numel() and found.requires_grad:
        found.sum().backward()
        for name, parameter in part.named_parameters():
            if parameter.grad is not None:
                check_finite(parameter.grad, f"gradient in {name} with NaN in masked tokens")
