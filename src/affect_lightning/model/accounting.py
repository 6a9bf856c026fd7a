"""What a network is made of and what it takes: parameters, bytes, memory in training, sizes on disk (paper, Table 8).

Works on a network of the meta device, which has shapes and no weights, so a model of 72B is counted on a laptop.
`affectgpt.py` is counted; `affect-lightning summary` prints. Legend: B clips, L tokens a clip in the prompt and
response together, E embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from affect_lightning.model.affectgpt import AffectGPT

_ADAM_STATES = 2  # running means of the gradient and of its square, each as large as the weight
_PARTS = ("feature_scaling", "pre_fusion", "branches", "projectors", "language_model")


@dataclass(frozen=True)
class PartSize:
    """One part of the network.

    Attributes:
        part: Its name in the network.
        kind: Class, or classes.
        total_parameters: All of them.
        trainable_parameters: Those that train.
        bytes: Of parameters and buffers, in the number types that they are held in.
    """

    part: str
    kind: str
    total_parameters: int
    trainable_parameters: int
    bytes: int


@dataclass(frozen=True)
class TrainingMemory:
    """An estimate of what training holds on the device, in bytes; workspaces and fragmentation come on top.

    Attributes:
        weights: Parameters and buffers of all parts that are on the device.
        gradients: Of what trains.
        optimizer: AdamW's two states of what trains.
        activations: What the language model keeps for the backward pass; None where it cannot be counted.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int | None

    @property
    def total(self) -> int:
        """The sum of what is known."""
        return self.weights + self.gradients + self.optimizer + (self.activations or 0)


def part_sizes(network: AffectGPT) -> list[PartSize]:
    """Every part that the network has, in the order of the way of a clip."""
    found = []
    modules = {**dict(network.encoders.items()), **{name: getattr(network, name) for name in _PARTS}}
    for name, module in modules.items():
        if module is None or (isinstance(module, nn.ModuleDict) and not any(True for _ in module.parameters())):
            continue
        parameters = list(module.parameters())
        found.append(
            PartSize(
                part=name,
                kind=_kind(module),
                total_parameters=sum(parameter.numel() for parameter in parameters),
                trainable_parameters=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
                bytes=_bytes([*parameters, *module.buffers()]),
            )
        )
    return found


def _kind(module: nn.Module) -> str:
    if not isinstance(module, nn.ModuleDict):
        return type(module).__name__
    return ", ".join(sorted({type(child).__name__ for child in module.values()}))


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def training_memory(
    network: AffectGPT, *, clips: int, prompt_tokens: int, response_tokens: int, dtype: torch.dtype, cached: bool
) -> TrainingMemory:
    """Estimate what training takes.

    Args:
        network: On the meta device. Its language model is turned into `dtype` by the estimate: count parts before.
        clips: B, clips a step.
        prompt_tokens: Of the prompt, feature tokens included.
        response_tokens: Of the response.
        dtype: In which the arithmetic is done.
        cached: Whether features come from a cache, so that no encoder is on the device.
    """
    parts = [part for part in part_sizes(network) if not (cached and part.part in network.encoders)]
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return TrainingMemory(
        weights=sum(part.bytes for part in parts),
        gradients=_bytes(trained),
        optimizer=_ADAM_STATES * _bytes(trained),
        activations=activation_bytes(network.language_model, clips, prompt_tokens, response_tokens, dtype),
    )


def stored_bytes(network: AffectGPT) -> tuple[int, int]:
    """Tensor bytes of exported weights, and of a checkpoint that training resumes from.

    Returns:
        What `affect-lightning export` writes, and the same with the optimiser's states.
    """
    weights = _bytes(list(network.trainable_state().values()))
    trained = _bytes([parameter for parameter in network.parameters() if parameter.requires_grad])
    return weights, weights + _ADAM_STATES * trained


def activation_bytes(
    language_model: Any, clips: int, prompt_tokens: int, response_tokens: int, dtype: torch.dtype
) -> int | None:
    """Bytes that one step of the language model keeps for the backward pass, counted by running it without numbers.

    Every tensor that autograd saves is counted once, weights left out, in one layer and in two: the others are alike.
    Attention counts as with a kernel that keeps no [L, L] matrix, which is what runs on a GPU.

    Args:
        language_model: On the meta device; left in `dtype`.
        clips: B.
        prompt_tokens: Of the prompt.
        response_tokens: Of the response, which alone pass the head.
        dtype: In which the arithmetic is done.

    Returns:
        Bytes, or None for a language model that is not built on one of transformers.
    """
    model = getattr(language_model, "causal_model", None)
    if model is None:
        return None
    language_model.to(dtype)
    base, layers = model.base_model, model.base_model.layers
    counted = []
    try:
        for few in (1, 2):
            base.layers = layers[:few]
            counted.append(_saved_by_a_step(language_model, clips, prompt_tokens, response_tokens, dtype))
    finally:
        base.layers = layers
    return counted[0] + (len(layers) - 1) * (counted[1] - counted[0])


def _saved_by_a_step(
    language_model: Any, clips: int, prompt_tokens: int, response_tokens: int, dtype: torch.dtype
) -> int:
    """Bytes of all tensors that autograd saves from embeddings to loss, but for weights; all clips in one row."""
    model = language_model.causal_model
    weights = {_storage(tensor) for tensor in (*model.parameters(), *model.buffers())}
    saved: dict[int, torch.UntypedStorage] = {}  # storages are kept, so that none is counted under another's number

    def note(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in weights:
            saved[_storage(tensor)] = tensor.untyped_storage()
        return tensor

    length = prompt_tokens + response_tokens
    device = next(model.parameters()).device
    # With a gradient, since there are feature tokens among them.
    row = torch.zeros(1, clips * length, language_model.embedding_width, dtype=dtype, device=device, requires_grad=True)
    # A finished mask: making one would ask for values, which the meta device has not.
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device).expand(1, 1, clips * length, clips * length)
    options = {"attention_mask": mask}
    if getattr(language_model, "attends_clipwise", False):
        options = language_model.row_arguments(
            torch.zeros(clips + 1, dtype=torch.int32, device=device), [length] * clips
        )
    was_training = model.training
    model.train()
    with (
        _LeanAttention(),
        _no_autocast_without_values(),
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
    ):
        output = model.base_model(inputs_embeds=row, use_cache=False, **options)
        states = output.last_hidden_state.unflatten(1, (clips, length))[0, :, prompt_tokens - 1 : -1]
        logits = model.get_output_embeddings()(states.flatten(0, 1))
        targets = torch.zeros(len(logits), dtype=torch.long, device=device)
        loss = nn.functional.cross_entropy(logits.float(), targets)
    model.train(was_training)
    del loss
    return sum(storage.nbytes() for storage in saved.values())


@contextmanager
def _no_autocast_without_values() -> Iterator[None]:
    """Let models switch autocast off on the meta device, which torch has none for; transformers does not ask since 5.0."""
    autocast = torch.autocast

    def switched(device_type: str, *args: Any, **options: Any) -> Any:
        return nullcontext() if device_type == "meta" else autocast(device_type, *args, **options)

    torch.autocast = switched  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        torch.autocast = autocast  # type: ignore[misc]


class _LeanAttention(torch.overrides.TorchFunctionMode):
    """Replaces torch's attention by one that saves what a fused kernel saves."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is nn.functional.scaled_dot_product_attention:
            return _FusedAttention.apply(*args[:3])
        return func(*args, **(kwargs or {}))


class _FusedAttention(torch.autograd.Function):
    """The shape of attention without its numbers: saves queries, keys, values, output and one sum a row."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Output of the queries' shape."""
        output = torch.zeros_like(query)
        ctx.save_for_backward(query, key, value, output, query.new_zeros(query.shape[:-1], dtype=torch.float32))
        return output


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
