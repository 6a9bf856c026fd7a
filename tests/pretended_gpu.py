"""A GPU that is not there: tensors without values that say they are on `cuda`, for what would wait for a real one.

torch's fake tensors know shape, type and device. So a question about a value has no answer and is an error, parts on two
devices do not meet, and every copy between processor and device is seen: one that is not `non_blocking` would wait.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from packaging.version import Version
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = "cuda"
FIRST_TORCH = Version("2.15")  # from here on never skipped


class Copies(TorchDispatchMode):
    """Collects copies between devices in `found`: `cpu to cuda`, with ` waiting` where the processor waits."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _is_of_the_processor(args, kwargs or {}):
            with unset_fake_temporarily():  # with values: what the processor has it may ask
                return func(*args, **(kwargs or {}))
        result = func(*args, **(kwargs or {}))
        name = func._schema.name
        if name in ("aten::_to_copy", "aten::copy_"):
            source = args[1] if name == "aten::copy_" else args[0]
            free = args[2] if len(args) > 2 else (kwargs or {}).get("non_blocking", False)
            if source.device.type != result.device.type:
                arrives = free and source.device.type == "cpu"  # what comes back is read, so it is waited for
                self.found.append(f"{source.device.type} to {result.device.type}{'' if arrives else ' waiting'}")
        return result


def _is_of_the_processor(args: Any, kwargs: Any) -> bool:
    """Whether a call has nothing to do with the GPU."""
    inputs = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    devices = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.device)]
    return all(one.type == "cpu" for one in devices) and not any(isinstance(one, FakeTensor) for one in inputs)


class PretendedGpu:
    """Where parts and tensors can be put, and code run."""

    def __init__(self) -> None:
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        if Version(torch.__version__) < FIRST_TORCH:
            self._skip_without_a_driver()

    def _skip_without_a_driver(self) -> None:
        """The fake tensors of torch 2.9 carry small constants to the real device, which is not there."""
        try:
            self.run(lambda: torch.arange(5).to(GPU, non_blocking=True) + 1)
        except RuntimeError as error:
            if "NVIDIA" not in str(error) and "CUDA" not in str(error):
                raise
            pytest.skip("the fake tensors of this torch need a driver")

    def tensor(self, value: Tensor) -> Tensor:
        """A tensor of this shape and type on the GPU."""
        with self._mode:
            return torch.empty(value.shape, dtype=value.dtype, device=GPU)

    def put(self, module: nn.Module) -> None:
        """Put a module's weights and buffers there."""
        for part in module.modules():
            for name, weight in part._parameters.items():
                if weight is not None:
                    part._parameters[name] = nn.Parameter(self.tensor(weight), requires_grad=False)
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = self.tensor(buffer)

    def run(self, call: Callable[[], Any]) -> tuple[Any, list[str]]:
        """What a call returns, and the copies that it makes.

        Raises:
            Exception: It asks for a value, lets two devices meet, or has no kernel for `--trainer.deterministic true`.
        """
        copies = Copies()
        with torch.no_grad(), self._mode, copies, deterministic():
            result = call()
        return result, copies.found


@contextmanager
def deterministic() -> Any:
    """Kernels that give other bits each time are errors, as with Lightning's `trainer.deterministic`."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextmanager
def pinned_as_it_is() -> Any:
    """Pinned memory without a driver: the tensor itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "pin_memory", lambda self, *others: self)
        yield


def devices_of(result: Any) -> set[str]:
    """Kinds of devices of all tensors in a result."""
    return {value.device.type for value in tree_leaves(result) if isinstance(value, Tensor)}
