"""Finds what a step asks of its device, without a device: values are followed from the batch and the weights on.

Everything that is computed from a watched tensor is watched. Asking for a watched value (`item`, `bool`, `tolist`, a
Boolean index, a shape that depends on values) would make the processor wait for a GPU. What the processor knows by
itself, such as lengths and learning rates, may be asked for freely.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

SOURCES = tuple(str(Path(__file__).resolve().parents[1] / folder) for folder in ("src", "plugins"))
ASKING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique", "_unique2", "bincount")
# Those that hand all values to Python without a call that torch's dispatcher sees.
READING = (Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__)


class DeviceWatch(TorchDispatchMode):
    """Collects waits as `file:function what` in `found`: the innermost function of ours, or of a library."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: Any = WeakIdKeyDictionary()
        self.found: list[str] = []
        self._reading = _Reading(self)

    def watch(self, tensors: Iterable[Tensor]) -> None:
        """Take these as values of the device."""
        for tensor in tensors:
            self.watched[tensor] = True

    def is_watched(self, tensors: Iterable[Any]) -> bool:
        return any(isinstance(tensor, Tensor) and tensor in self.watched for tensor in tensors)

    def note(self, what: str) -> None:
        frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(SOURCES)]
        last = frames[-1] if frames else traceback.extract_stack()[-4]
        self.found.append(f"{Path(last.filename).name}:{last.name} {what}")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = tree_leaves((args, kwargs))
        name = func._schema.name.partition("::")[2]
        asked = self.is_watched(inputs)
        by_mask = name in ("index", "index_put", "index_put_", "_unsafe_index") and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in tree_leaves(args[1])
        )
        if by_mask and name.startswith("index_put") and args[2].numel() == 1:
            by_mask = False  # torch fills with one value without looking where
        if asked and (name in ASKING or by_mask):
            self.note("a Boolean index" if by_mask else name)
        result = func(*args, **kwargs)
        if asked:
            self.watch(one for one in tree_leaves(result) if isinstance(one, Tensor))
            mutated = [one for one, declared in zip(args, func._schema.arguments, strict=False) if declared.is_out]
            self.watch(one for one in mutated if isinstance(one, Tensor))
            if name.endswith("_") and not name.endswith("__") and isinstance(args[0], Tensor):
                whole = args[0]._base  # who writes into a part writes into the whole
                self.watch([args[0]] if whole is None else [args[0], whole])
        return result

    def __enter__(self) -> Any:
        entered = super().__enter__()
        self._reading.__enter__()
        return entered

    def __exit__(self, *error: Any) -> None:
        self._reading.__exit__(*error)
        super().__exit__(*error)


class _Reading(TorchFunctionMode):
    def __init__(self, watch: DeviceWatch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in READING and self._watch.is_watched(args[:1]):
            self._watch.note(func.__name__)
        return func(*args, **(kwargs or {}))
