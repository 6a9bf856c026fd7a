"""Check that a part trains under FSDP2, in one process with gloo (paper, Appendix C: training on several GPUs).

The part is put into one module whose forward does the whole call and is sharded as the root, as the strategies of this
package do; a language model's blocks are sharded inside it. Neighbours: `module_checks.py`, `suite.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn

from affect_lightning.testing.comparing import require_same
from affect_lightning.testing.inputs import PartInputs
from affect_lightning.testing.module_checks import backward, gradients
from affect_lightning.testing.outcomes import CheckNotPossibleError
from affect_lightning.testing.subject import Subject


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
