"""Checks that kinds of parts share: form, options and help of all; of networks padding, batches, gradient, saving and more.

The last one trains a part under FSDP2, in one process with gloo (paper, Appendix C: training on several GPUs). The part
is put into one module whose forward does the whole call and is sharded as the root, as the strategies of this package
do; a language model's blocks are sharded inside it. `inputs.py` makes the variations, `training_checks.py` trains a
part in a network.
Legend: B clips, N feature tokens, D feature width.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn

from affect_lightning.contracts.conformance import check_finite
from affect_lightning.contracts.label_checks import ConformanceError
from affect_lightning.errors import PluginError
from affect_lightning.plugin_loading import find_plugin, load_plugin_class, plugin_options, resolve_choice
from affect_lightning.testing.inputs import PartInputs, PromptInputs
from affect_lightning.testing.subject import (
    HALF,
    CheckNotPossibleError,
    Subject,
    require,
    require_equal_state,
    require_same,
    without_remarks,
)

_NO_TYPE = ("anything", "Any")


def contract_form(subject: Subject) -> str:
    """The name is offered once; the class can be imported, inherits from the contract and has all that it names."""
    try:
        found = load_plugin_class(subject.group, subject.name)
        subject.build()
    except PluginError as error:
        raise ConformanceError("a part that can be loaded and built", str(error)) from error
    listing = find_plugin(subject.group, subject.name)
    return f"{found.__name__} of {listing.distribution} {listing.version}".rstrip()


def options_round_trip(subject: Subject) -> str:
    """Name and plain options, as checkpoints store them, rebuild the same part."""
    resolved = resolve_choice(subject.group, subject.choice)
    try:
        stored = json.loads(json.dumps(resolved))
    except (TypeError, ValueError) as error:
        raise ConformanceError(
            "options that are plain values (null, numbers, texts, lists, mappings)", str(error)
        ) from error
    require(stored == resolved, f"plain options that come back from a file: {resolved}", f"{stored}")
    again = resolve_choice(subject.group, stored)
    require(again == resolved, f"the same options when checked again: {resolved}", f"{again}")
    first, second = subject.build(), subject.build(choice=stored)
    if isinstance(first, nn.Module):
        require_equal_state(first.state_dict(), second.state_dict(), "the weights of a part rebuilt from its options")
        with torch.no_grad():
            inputs = subject.inputs()
            require_same(inputs.outputs(first.eval()), inputs.outputs(second.eval()), "the results of a rebuilt part")
    elif hasattr(first, "identity"):
        _require_same_identity(first, second)
    return f"{len(resolved) - 1} options"


def _require_same_identity(first: Any, second: Any) -> None:
    require(first.identity() == second.identity(), f"the same identity {first.identity()!r}", f"{second.identity()!r}")


def help_text(subject: Subject) -> str:
    """The class has one line of help, and every option a type, a default (or `required`) and a text."""
    listing = find_plugin(subject.group, subject.name)
    require(
        listing.summary(), "a docstring of the class, whose first line is shown by `affect-lightning plugins`", "none"
    )
    options = plugin_options(subject.group, subject.name)
    for option in options:
        require(option.type not in _NO_TYPE, f"a type for the option {option.name}", "none")
        require(option.default, f"a default for the option {option.name}, or `required`", "none")
        require(option.help, f"a line about the option {option.name} under `Args:` in the docstring", "none")
    return f"{len(options)} options"


@torch.no_grad()
def mask_invariance(subject: Subject) -> None:
    """Neither what is in padding nor how much of it there is changes a result."""
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
    """The state is plain tensors that a newly built part loads, to give the same results."""
    part, inputs = subject.frozen_copy(), subject.inputs()
    file = io.BytesIO()
    torch.save(part.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other = subject.build(seed=1).eval()
    found = other.load_state_dict(state, strict=False)
    if found.missing_keys or found.unexpected_keys:
        names = [*found.missing_keys, *found.unexpected_keys]
        raise ConformanceError("a state that a newly built part loads", f"other names of weights: {names[:3]}")
    require_equal_state(state, other.state_dict(), "the state after reloading")
    require_same(inputs.outputs(part), inputs.outputs(other), "the results after reloading")


def compiles(subject: Subject) -> str:
    """torch.compile changes neither the results nor the gradients."""
    part, plain = subject.frozen_copy(), subject.frozen_copy()
    entry = part.loss if subject.group == "language_models" else part
    inputs = subject.inputs()
    torch._dynamo.reset()
    try:
        with without_remarks("torch._dynamo"):
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


def gradients(part: nn.Module) -> list[Tensor]:
    """Gradients of all weights that have one, in order."""
    return [parameter.grad for parameter in part.parameters() if parameter.grad is not None]


class _WholeCall(nn.Module):
    """The part and its call as one module, so that FSDP gathers all weights around it."""

    def __init__(self, part: nn.Module, inputs: PartInputs) -> None:
        super().__init__()
        self.part = part
        self.inputs = inputs

    def forward(self) -> list[Tensor]:
        """The part's results."""
        return self.inputs.outputs(self.part)


def shards(subject: Subject) -> str | None:
    """Sharded by FSDP2 (gloo, one process) the part gives the same results and the same gradients."""
    plain, part = subject.frozen_copy(), subject.frozen_copy()
    if not any(True for _ in part.parameters()):
        return "it has no weights to shard"
    inputs = subject.inputs()
    expected = _results(plain, inputs)
    with _one_process(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about its internals
        from torch.distributed.fsdp import fully_shard

        mesh = distributed.init_device_mesh("cpu", (1,))
        blocks = part.shardable_blocks() if subject.group == "language_models" else ()
        for block in blocks:
            fully_shard(block, mesh=mesh)
        whole = _WholeCall(part, inputs)
        fully_shard(whole, mesh=mesh)
        found = _results(whole, _Called(whole))
        require_same(expected, found, "the results under FSDP2")
        wanted = gradients(plain)
        shown = [gradient.full_tensor() for gradient in gradients(part)]  # type: ignore[attr-defined]  # a DTensor
        require_same(wanted, shown, "the gradients under FSDP2")
    return f"{len(wanted)} gradients, {len(blocks)} blocks"


class _Called:
    """Inputs that are inside the module already."""

    def __init__(self, whole: nn.Module) -> None:
        self.whole = whole

    def outputs(self, part: Any, call: Any = None) -> list[Tensor]:
        return self.whole()


def _results(part: nn.Module, inputs: Any) -> list[Tensor]:
    if any(parameter.requires_grad for parameter in part.parameters()):
        return backward(part, inputs)
    with torch.no_grad():
        return inputs.outputs(part)


@contextmanager
def _one_process() -> Iterator[None]:
    """A process group of this process alone, gone afterwards.

    Raises:
        CheckNotPossibleError: torch has no gloo here, or the process is in a group already.
    """
    if not distributed.is_available() or not distributed.is_gloo_available():
        raise CheckNotPossibleError("this torch has no torch.distributed with gloo")
    if distributed.is_initialized():
        raise CheckNotPossibleError("this process is in a process group already; run the check in a process of its own")
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()
