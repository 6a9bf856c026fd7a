"""Checks of every part that is a network: padding, batches, number types, gradient, saving, torch.compile.

Neighbours: `inputs.py` makes the variations, `sharding_checks.py` and `training_checks.py` go on.
Legend: B clips, N feature tokens, D feature width.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.contracts.conformance import ConformanceError, check_finite
from affect_lightning.testing.comparing import HALF, require, require_equal_state, require_same
from affect_lightning.testing.inputs import PartInputs, PromptInputs
from affect_lightning.testing.outcomes import CheckNotPossibleError
from affect_lightning.testing.subject import Subject


@torch.no_grad()
def mask_invariance(subject: Subject) -> None:
    """Neither what stands in padding nor how much of it there is changes a result."""
    part, inputs = subject.part, subject.inputs()
    expected = inputs.outputs(part)
    require_same(expected, inputs.with_other_padding().outputs(part), "the content of padding changes nothing")
    require_same(expected, inputs.lengthened().outputs(part), "the length of padding changes nothing")


@torch.no_grad()
def batch_invariance(subject: Subject) -> None:
    """A clip gives the same in any batch, at any place in it."""
    part, inputs = subject.part, subject.inputs()
    expected = inputs.outputs(part)
    turned = inputs.picked([2, 1, 0]).outputs(part)
    require_same(expected, turned[::-1], "the order of the batch changes nothing")
    alone = [inputs.picked([clip]).outputs(part)[0] for clip in range(3)]
    require_same(expected, alone, "a clip alone gives what it gives in a batch")


@torch.no_grad()
def number_types(subject: Subject) -> None:
    """32-bit weights give 32-bit results; in bfloat16, as weights and as autocast, the results stay close to those."""
    part, inputs = subject.frozen_copy(), subject.inputs()
    exact = inputs.outputs(part)
    for values in exact:
        require(values.dtype == torch.float32, "float32 results of float32 weights", values)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = inputs.outputs(part)
    require_same(exact, mixed, "under bfloat16 autocast", HALF)
    halved = inputs.as_type(torch.bfloat16).outputs(part.to(torch.bfloat16))
    require_same(exact, halved, "with bfloat16 weights", HALF)


def gradient_flow(subject: Subject) -> str:
    """Every weight that trains gets a gradient, and so do the inputs behind which something trains; nothing frozen does."""
    part = subject.frozen_copy().train()
    inputs = subject.inputs()
    if isinstance(inputs, PromptInputs):
        inputs = inputs.with_gradient(part)
    taking = inputs.requires_grad()
    results = backward(part, inputs)
    trained = {name: parameter for name, parameter in part.named_parameters() if parameter.requires_grad}
    frozen = {name: parameter for name, parameter in part.named_parameters() if not parameter.requires_grad}
    if not results:
        return "it gives no tokens, so there is nothing to learn"
    for name, parameter in trained.items():
        _require_gradient(parameter, f"the weight {name}, which trains,")
    for name, parameter in frozen.items():
        require(parameter.grad is None, f"no gradient in the frozen weight {name}", "a gradient")
    for name, tensor in taking.items():
        _require_gradient(tensor, name)
    return f"{len(trained)} weights train, {len(frozen)} are frozen"


def _require_gradient(tensor: Tensor, what: str) -> None:
    require(tensor.grad is not None, f"a gradient in {what}", "none: it does not take part in the result")
    assert tensor.grad is not None
    check_finite(tensor.grad, f"gradient in {what}")
    require(bool(tensor.grad.any()), f"a gradient in {what}", "zeros")


def backward(part: nn.Module, inputs: PartInputs, call: Any = None) -> list[Tensor]:
    """Forward and backward from a fixed random weighting of the results.

    Returns:
        The results, or none of them if the part gives no values.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        results = [values for values in inputs.outputs(part, call) if values.numel()]
    generator = torch.Generator().manual_seed(1)
    total = sum((values.float() * torch.randn(values.shape, generator=generator)).sum() for values in results)
    if results:
        require(total.requires_grad, "results that carry a gradient", "results cut off from what trains")  # type: ignore[union-attr]
        total.backward()  # type: ignore[union-attr]
    return results


def stays_frozen(subject: Subject) -> None:
    """A frozen encoder carries no gradient, keeps its weights and statistics, and gives the same again."""
    part, inputs = subject.frozen_copy(), subject.inputs()
    before = {name: value.clone() for name, value in part.state_dict().items()}
    first = inputs.outputs(part)
    for values in first:
        require(
            not values.requires_grad,
            "results without gradient once requires_grad_(False) was called",
            "results that carry one: a weight is no registered parameter of the part",
        )
    require_same(first, inputs.outputs(part), "the same again in eval mode", 0.0)
    require_equal_state(before, part.state_dict(), "weights and statistics unchanged by a forward pass in eval mode")


@torch.no_grad()
def save_and_reload(subject: Subject) -> None:
    """The state is plain tensors that a part built anew takes in, to give the same results."""
    part, inputs = subject.frozen_copy(), subject.inputs()
    file = io.BytesIO()
    torch.save(part.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other = subject.build(seed=1).eval()
    found = other.load_state_dict(state, strict=False)
    if found.missing_keys or found.unexpected_keys:
        names = [*found.missing_keys, *found.unexpected_keys]
        raise ConformanceError("a state that a part built anew takes in", f"other names of weights: {names[:3]}")
    require_equal_state(state, other.state_dict(), "the state after reloading")
    require_same(inputs.outputs(part), inputs.outputs(other), "the results after reloading")


def compiles(subject: Subject) -> str:
    """torch.compile changes neither the results nor the gradients."""
    part, plain = subject.frozen_copy(), subject.frozen_copy()
    entry = part.loss if subject.group == "language_models" else part
    inputs = subject.inputs()
    torch._dynamo.reset()
    try:
        with _without_remarks():
            compiled = torch.compile(entry, backend=subject.compile_backend)
            if any(parameter.requires_grad for parameter in part.parameters()):
                found, expected = backward(part, inputs, compiled), backward(plain, inputs)
            else:
                found, expected = inputs.outputs(part, compiled), inputs.outputs(plain)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        if "compiler" in str(error).lower() and subject.compile_backend == "inductor":
            raise CheckNotPossibleError("inductor finds no C++ compiler; use the backend aot_eager") from error
        raise
    finally:
        torch._dynamo.reset()
    require_same(expected, found, "the results under torch.compile")
    require_same(gradients(plain), gradients(part), "the gradients under torch.compile")
    return f"with the backend {subject.compile_backend}"


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Without torch's own about its internals, such as where a graph was broken."""
    logger = logging.getLogger("torch._dynamo")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def gradients(part: nn.Module) -> list[Tensor]:
    """Gradients of all weights that have one, in order."""
    return [parameter.grad for parameter in part.parameters() if parameter.grad is not None]
