"""Subject: the plugin under test, how it is chosen and built; and a folder with weights for those that read one.

`tiny_language_model` writes a random language model in the layout of Hugging Face; nothing is downloaded.
Neighbours: `inputs.py`, `suite.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from affect_lightning.contracts.streams import ENCODER_GROUPS
from affect_lightning.plugin_loading import PluginChoice, build_part, split_choice
from affect_lightning.plugin_loading.listing import find_group
from affect_lightning.testing.inputs import (
    BranchInputs,
    PartInputs,
    PromptInputs,
    SoundInputs,
    StepInputs,
    StreamInputs,
)

STREAM_WIDTHS = {"audio": 12, "face": 20}
"""Streams that a pre-fusion under test is built for: two, of different width (our choice)."""

BRANCH_WIDTH = 12
"""Width of the stream that a branch compression under test is built for (our choice)."""

COMPILE_BACKEND = "aot_eager"
"""What torch.compile is tried with: traces forward and backward as `inductor` does, and needs no C++ compiler."""


class Subject:
    """A plugin under test.

    Attributes:
        group: Short name of its group, such as `pre_fusions`.
        name: The plugin's name.
        choice: Name and options, as a user would write them.
        compile_backend: For torch.compile.
    """

    def __init__(
        self,
        group: str,
        choice: PluginChoice,
        *,
        stream_widths: Mapping[str, int] | None = None,
        compile_backend: str = COMPILE_BACKEND,
    ) -> None:
        """Note the choice; nothing is built yet.

        Args:
            group: Short name of the plugin's group.
            choice: Name, or mapping with name and options. Small options make the checks quick.
            stream_widths: For pre-fusions: the streams to build it for; an audio and a face stream by default.
            compile_backend: For torch.compile; `inductor` where there is a C++ compiler.

        Raises:
            PluginError: There is no such group, or the choice is none.
        """
        find_group(group)
        self.group = group
        self.name = split_choice(choice)[0]
        self.choice = choice
        self.stream_widths = dict(STREAM_WIDTHS if stream_widths is None else stream_widths)
        self.compile_backend = compile_backend

    def build(self, seed: int = 0, choice: PluginChoice | None = None, **supplied: Any) -> Any:
        """Build the part again.

        Args:
            seed: Of torch's random state while it is built; that of the caller is left as it was.
            choice: In place of the subject's.
            supplied: In place of what the core supplies.
        """
        if self.group == "pre_fusions":
            supplied = {"stream_widths": self.stream_widths, **supplied}
        if self.group == "branch_compressions":
            supplied = {"stream_width": BRANCH_WIDTH, "tokens": 1, **supplied}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build_part(self.group, self.choice if choice is None else choice, **supplied)

    @cached_property
    def part(self) -> Any:
        """The part, built once, in eval mode; for checks that change nothing in it."""
        part = self.build()
        return part.eval() if isinstance(part, nn.Module) else part

    def frozen_copy(self) -> Any:
        """A new part as the network uses it: encoders frozen, everything in eval mode, trained weights off their start."""
        part = self.build().eval()
        if self.group in ENCODER_GROUPS.values():
            part.requires_grad_(False)
        perturb(part)
        return part

    def inputs(self) -> PartInputs:
        """Generated inputs that fit the part."""
        if self.group == "video_encoders":
            return StepInputs.pictures()
        if self.group == "series_encoders":
            return StepInputs.series(self.part.input_width)
        if self.group == "audio_encoders":
            return SoundInputs.random(self.part.sample_rate)
        if self.group == "pre_fusions":
            return StreamInputs.random(self.stream_widths)
        if self.group == "branch_compressions":
            return BranchInputs.random({"face": BRANCH_WIDTH})
        return PromptInputs.of(self.part)


def perturb(part: nn.Module, seed: int = 0) -> None:
    """Move every weight that trains off its start, so that no zero hides a fault (LoRA starts with a zero matrix)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in part.parameters():
            if parameter.requires_grad:
                size = float(parameter.float().square().mean().sqrt())
                noise = torch.randn(parameter.shape, generator=generator) * (0.1 * size if size else 0.02)
                parameter.add_(noise.to(parameter))


def tiny_language_model(folder: str | Path, architecture: str = "qwen2", **options: Any) -> str:
    """Write a causal language model of two layers with random weights, its tokenizer and chat template.

    Args:
        folder: Where to; it is made if it is not there.
        architecture: `qwen2` or `llama`.
        options: Others of the plugin `tiny-lm`, such as `hidden_width`.

    Returns:
        The folder, as text: what an option such as `model` takes.
    """
    choice = {"name": "tiny-lm", "architecture": architecture, "lora_rank": 0, **options}
    part = build_part("language_models", choice)
    part.causal_model.save_pretrained(str(folder))
    part.tokenizer.save_pretrained(str(folder))
    return str(folder)
