"""The plugin under test, what a check of it is, and comparisons that say what was expected and received.

`Subject` chooses and builds the plugin. For plugins that read weights, `tiny_language_model` writes a random language model
in the layout of Hugging Face; nothing is downloaded. Differences are measured against the size of what is expected.
`inputs.py` makes the inputs, `*_checks.py` define the checks, and `suite.py` runs them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from affect_lightning.contracts.label_checks import ConformanceError, described
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


SAME = 1e-4
"""Largest difference of two 32-bit results that should be the same, as a share of their size (our choice: rounding in
another order of summation is about 1e-6, what a leak changes is rarely below 1e-3)."""

HALF = 0.1
"""The same for 16 bits against 32 (our choice: bfloat16 has 8 bits of precision, and errors add up over layers)."""


def require_same(expected: Sequence[Tensor], received: Sequence[Tensor], why: str, share: float = SAME) -> None:
    """Require equal results, tensor by tensor.

    Args:
        expected: Results of the usual call.
        received: Results of the varied call.
        why: What must not change them, for the message, such as `the content of padding changes nothing`.
        share: Largest root mean square difference as a share of the root mean square of `expected`.

    Raises:
        ConformanceError: They differ in number, shape or value.
    """
    if len(expected) != len(received):
        raise ConformanceError(f"{why}: {len(expected)} results", f"{len(received)} results")
    for position, (wanted, found) in enumerate(zip(expected, received, strict=True)):
        if wanted.shape != found.shape:
            raise ConformanceError(f"{why}: {described(wanted)}", described(found))
        if not wanted.numel():
            continue
        if not bool(torch.isfinite(found).all()):
            raise ConformanceError(f"{why}: finite results", "NaN or infinity")
        size = _size(wanted)
        difference = _size(wanted.detach().double() - found.detach().double())
        if difference > share * size + 1e-7:
            raise ConformanceError(
                f"{why}: a difference of at most {share:g} of the results' size {size:.3g}",
                f"a difference of {difference:.3g}{f' in clip {position}' if len(expected) > 1 else ''}",
            )


def _size(values: Tensor) -> float:
    """Root mean square."""
    return float(values.detach().double().square().mean().sqrt())


def require_equal_state(expected: Mapping[str, Tensor], received: Mapping[str, Tensor], why: str) -> None:
    """Require equal names and equal values of two states, to the bit.

    Raises:
        ConformanceError: They differ.
    """
    if expected.keys() != received.keys():
        names = sorted(expected.keys() ^ received.keys())
        raise ConformanceError(f"{why}: the same names of weights", f"{len(names)} others, such as {names[0]}")
    for name, wanted in expected.items():
        found = received[name]
        if wanted.shape != found.shape or wanted.dtype != found.dtype or not _identical(wanted, found):
            raise ConformanceError(
                f"{why}: the same {name}", "other values" if wanted.shape == found.shape else described(found)
            )


def _identical(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first.detach().cpu().nan_to_num(), second.detach().cpu().nan_to_num())


def require(condition: Any, expected: str, received: Any) -> None:
    """Require a condition.

    Raises:
        ConformanceError: It does not hold.
    """
    if not condition:
        raise ConformanceError(expected, received if isinstance(received, str) else described(received))


Outcome = Literal["passed", "failed", "skipped"]


class CheckNotPossibleError(Exception):
    """The check cannot be made here, for a reason outside the part; the text says which."""


@dataclass(frozen=True)
class Check:
    """One check of the suite.

    Attributes:
        name: Short name, such as `mask-invariance`.
        promise: What the part must hold, in one line; printed as what is expected.
        run: Takes the subject; returns when all is well (with a remark, if there is one), raises ConformanceError when
            the promise is broken and CheckNotPossibleError when that cannot be said here.
    """

    name: str
    promise: str
    run: Callable[[Subject], str | None]


@dataclass(frozen=True)
class CheckResult:
    """What came out of one check.

    Attributes:
        check: Its name.
        outcome: passed, failed or skipped.
        expected: What was expected: the promise, or the part of it that was broken.
        received: What came instead; the reason of a skipped check; a remark on a passed one, or nothing.
        seconds: How long it took.
        error: What was raised, for a failed check.
    """

    check: str
    outcome: Outcome
    expected: str
    received: str
    seconds: float = 0.0
    error: Exception | None = None

    def __str__(self) -> str:
        return f"{self.check}: {self.outcome}. Expected: {self.expected}. Received: {self.received or 'as expected'}."


@contextmanager
def without_remarks(logger_name: str) -> Iterator[None]:
    """Without warnings and a library's remarks about its internals or devices, which are no news about the part."""
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
