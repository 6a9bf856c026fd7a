"""The adapter added to the weights while responses are made, and taken away again exactly (paper, Section 3.1; ours).

An adapter beside a layer costs several small kernels for each layer and token: on a GPU, at 7B, about as long as the layers
themselves (arithmetic; not measured). Added to the weights it costs nothing. peft computes the sum for every kind of adapter
that has one (`merge`). Here it works on a copy, which takes the place of the base's weights for a while: the base itself is
never written to, so what comes back is the same bit for bit, and training goes on from it. The copy is kept for the next
batch, as long as neither the adapter nor the base changes.

In bfloat16 the sum would lose most of a small adapter: it is less than half a step between two numbers, and rounding to the
nearest gives the old number. So the sum is made in 32 bits and rounded at random, up as often as it is far from the lower
number. On average nothing is lost, and the noise is that of any rounding to bfloat16. The draws are the same every time.

`transformers_model.py` uses it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_EXACT = (torch.float32, torch.float64)
_SHARE_OF_FREE_MEMORY = 0.5  # that the copy may take; the rest is for keys and values (our choice)
# How far a merged layer's output may be from the adapter's beside it, relative to the largest: far more than arithmetic
# makes, far less than a wrong merge.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3, torch.bfloat16: 5e-2}
_PROBED_ROWS = 4

_LOG = logging.getLogger(__name__)


class _CannotMergeError(Exception):
    """The reason, in words."""


@dataclass(frozen=True)
class _MergedLayer:
    """A layer of peft, and the weights of its base layer with the adapter added."""

    layer: Any
    weights: dict[str, Tensor]

    def put_in(self) -> dict[str, Tensor]:
        """Put the sum in place of the weights; returns these."""
        base = self.layer.get_base_layer()
        originals = {name: getattr(base, name).data for name in self.weights}
        for name, weight in self.weights.items():
            getattr(base, name).data = weight
        self.layer.merged_adapters.extend(self.layer.active_adapters)
        return originals

    def take_out(self, originals: dict[str, Tensor]) -> None:
        """Put the weights back."""
        base = self.layer.get_base_layer()
        for name, weight in originals.items():
            getattr(base, name).data = weight
        self.layer.merged_adapters.clear()


class MergedAdapter:
    """The merged weights of one language model.

    Attributes:
        wanted: Whether adapters are merged at all.
        reason: Why the adapter of the last call was not; empty if it was.
    """

    def __init__(self, wanted: bool = True) -> None:
        """Hold nothing yet.

        Args:
            wanted: See the class.
        """
        self.wanted, self.reason = wanted, ""
        self._layers: list[_MergedLayer] = []
        self._made_of: tuple[Any, Tensor] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy starts empty."""
        return type(self), (self.wanted,)

    def drop(self) -> None:
        """Free the merged weights."""
        self._layers, self._made_of = [], None

    @contextmanager
    def in_place(self, network: nn.Module) -> Iterator[None]:
        """Let a network compute with merged weights where that is possible; afterwards its weights are the old tensors.

        Args:
            network: The peft model in eval mode, or a model without adapter.
        """
        replaced: list[tuple[_MergedLayer, dict[str, Tensor]]] = []
        try:
            for merged in self._merged_layers(network):
                replaced.append((merged, merged.put_in()))
            yield
        finally:
            for merged, originals in replaced:
                merged.take_out(originals)

    def _merged_layers(self, network: nn.Module) -> list[_MergedLayer]:
        """The layers with their sums: those of last time, new ones, or none."""
        if not self.wanted:
            self.reason = "merge_adapter is false"
            return []
        layers = _adapted_layers(network)
        try:
            _check(network, layers)
            state = _state(layers)
            if self._made_of is None or self._made_of[0] != state[0] or not torch.equal(self._made_of[1], state[1]):
                self.drop()
                _check_memory(layers)
                kind = layers[0].get_base_layer().weight.device.type
                # Not in the 16 bits of autocast, and as tensors that serve outside Lightning's inference mode too.
                with torch.inference_mode(False), torch.no_grad(), torch.autocast(kind, enabled=False):
                    self._layers = [_merge(layer, number) for number, layer in enumerate(layers)]
                self._made_of = state
            self.reason = ""
        except (_CannotMergeError, torch.OutOfMemoryError) as error:
            self.drop()
            reason = str(error) if isinstance(error, _CannotMergeError) else "the device has no memory for a copy"
            if layers and reason != self.reason:
                _LOG.info(
                    "The adapter stays beside the weights while responses are made, which takes longer: %s.", reason
                )
            self.reason = reason
        return self._layers


def _adapted_layers(network: nn.Module) -> list[Any]:
    if not hasattr(network, "peft_config"):
        return []
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [part for part in network.modules() if isinstance(part, BaseTunerLayer)]


def _check(network: nn.Module, layers: Sequence[Any]) -> None:
    """Refuse what peft's `merge` does not do to the weights of linear layers alone."""
    from torch.distributed.tensor import DTensor

    if not layers:
        raise _CannotMergeError("there is no adapter on the layers")
    if any(isinstance(parameter, DTensor) for parameter in network.parameters()):
        raise _CannotMergeError("the weights are sharded over processes")
    names: dict[int, int] = {}
    for _, parameter in network.named_parameters(remove_duplicate=False):
        names[id(parameter)] = names.get(id(parameter), 0) + 1
    for layer in layers:
        base = layer.get_base_layer()
        weights = list(base.parameters())
        if type(base) is not nn.Linear or any(weight.dtype not in _TOLERANCE for weight in weights):
            kinds = ", ".join(sorted({str(weight.dtype).removeprefix("torch.") for weight in weights}))
            raise _CannotMergeError(f"the adapter is on a {type(base).__name__} in {kinds}")
        if any(names[id(weight)] > 1 for weight in weights):
            raise _CannotMergeError("an adapted weight is used in two places")
        if layer.merged or layer.disable_adapters or not layer.active_adapters:
            raise _CannotMergeError("the adapter is merged already, or switched off")
        if any(weight.device.type == "meta" for weight in weights):
            raise _CannotMergeError("the weights have no values")
        if any(torch.is_autocast_enabled(weight.device.type) and weight.dtype in _EXACT for weight in weights):
            raise _CannotMergeError("autocast would round the sum to the nearest number, and lose a small adapter")


def _state(layers: Sequence[Any]) -> tuple[Any, Tensor]:
    """All that the sums depend on: where the base's weights are, how the adapter is used, and its values."""
    used: list[Any] = []
    values: dict[int, Tensor] = {}
    for layer in layers:
        base = layer.get_base_layer()
        own = {id(weight) for weight in base.parameters()}
        used.append([(weight.data_ptr(), weight._version, weight.dtype) for weight in base.parameters()])
        used.append([list(layer.active_adapters), repr(getattr(layer, "scaling", None))])
        for tensor in (*layer.parameters(), *layer.buffers()):
            if id(tensor) not in own:
                values[id(tensor)] = tensor.detach()
    flat = [tensor.reshape(-1).to(torch.float32) for tensor in values.values()]
    return used, torch.cat(flat)


def _check_memory(layers: Sequence[Any]) -> None:
    needed: dict[torch.device, int] = {}
    for layer in layers:
        weight = layer.get_base_layer().weight
        needed[weight.device] = needed.get(weight.device, 0) + weight.nbytes
    for device, size in needed.items():
        free = free_memory(device)
        if free is not None and size > _SHARE_OF_FREE_MEMORY * free:
            raise _CannotMergeError(
                f"a copy of the adapted weights has {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on {device}"
            )


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device; None where nothing says so."""
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None


def _merge(layer: Any, number: int) -> _MergedLayer:
    """The sum for one layer, by peft on copies of the weights, and compared with the adapter beside them."""
    base = layer.get_base_layer()
    originals = {name: weight.data for name, weight in base.named_parameters()}
    probe = _probe(base.weight)
    beside = layer(probe)
    try:
        for name, weight in originals.items():
            kind = weight.dtype if weight.dtype in _EXACT else torch.float32
            getattr(base, name).data = weight.to(kind, copy=True)
        layer.merge()
        if layer.get_base_layer() is not base or not layer.merged:
            raise _CannotMergeError("peft merges it by other means than the weights")
        sums = {name: _rounded(getattr(base, name).data, weight, number) for name, weight in originals.items()}
        for name, weight in sums.items():
            getattr(base, name).data = weight
        merged = layer(probe)
    except (NotImplementedError, ValueError, RuntimeError, AttributeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise _CannotMergeError(f"peft cannot merge it ({' '.join(str(error).split())[:200]})") from error
    finally:
        for name, weight in originals.items():
            getattr(base, name).data = weight
        layer.merged_adapters.clear()
    difference = (merged - beside).abs().max() / beside.abs().max()
    if not difference <= _TOLERANCE[probe.dtype]:
        raise _CannotMergeError(f"merged, a layer gives something else (by {float(difference):.1e} of the largest)")
    return _MergedLayer(layer, sums)


def _probe(weight: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(_PROBED_ROWS, weight.shape[1], generator=generator).to(weight.device, weight.dtype)


def _rounded(sums: Tensor, like: Tensor, seed: int) -> Tensor:
    return sums if sums.dtype == like.dtype else rounded_at_random(sums, seed)


def rounded_at_random(values: Tensor, seed: int) -> Tensor:
    """Values in bfloat16, each rounded up as often as it is far from the lower number: right on average.

    Args:
        values: float32, finite.
        seed: Of the draws, which are the same every time on one kind of device.

    Returns:
        bfloat16 of the same shape. What bfloat16 has already stays as it is.
    """
    generator = torch.Generator(values.device).manual_seed(seed)
    # bfloat16 is the upper half of float32's bits: a number below 2^16 added to the lower half carries into the upper one
    # with the wanted probability, and with the sign in a bit of its own this works below zero too.
    draws = torch.randint(0, 1 << 16, values.shape, generator=generator, device=values.device, dtype=torch.int32)
    bits = values.view(torch.int32).add(draws).bitwise_and(-(1 << 16))
    return bits.view(torch.float32).to(torch.bfloat16)
