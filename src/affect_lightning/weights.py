"""A network's weights and mode: do stored weights fill it exactly, are any needed, where are they drawn, eval mode (ours).

A network that is filled in part gives figures that look like results. So every reader of weights asks here:
checkpoints, exported folders, adapters, encoders and language models. Every module may import this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from affect_lightning.errors import AffectLightningError, CheckpointError

_SHOWN = 8  # names in a message; more than two lines of them help nobody
_WAITING: ContextVar[bool] = ContextVar("waiting_for_weights", default=False)


@dataclass(frozen=True)
class WeightDifferences:
    """Names of weights by which stored ones and a network differ; sorted.

    Attributes:
        missing: Of the network, and not stored.
        surplus: Stored, and not of the network.
        reshaped: Of both, with another shape; both shapes behind the name where they are known.
    """

    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    reshaped: tuple[str, ...]

    @classmethod
    def of(cls, missing: Iterable[str], surplus: Iterable[str], reshaped: Iterable[str]) -> WeightDifferences:
        """The differences out of names in any order."""
        return cls(tuple(sorted(missing)), tuple(sorted(surplus)), tuple(sorted(reshaped)))

    def refuse(
        self, source: str, network: str, remedy: str, error: type[AffectLightningError] = CheckpointError
    ) -> None:
        """Raise if there is any difference.

        Args:
            source: Where the stored weights are.
            network: What they were to fill.
            remedy: A sentence: what the user can do.
            error: Kind of the error.

        Raises:
            AffectLightningError: Of that kind; the message lists the names.
        """
        kinds = {"missing": self.missing, "surplus": self.surplus, "of another shape": self.reshaped}
        found = [f"{len(names)} {kind}: {shortened(names)}" for kind, names in kinds.items() if names]
        if found:
            raise error(f"The weights of {source} do not fill {network} exactly. {'; '.join(found)}. {remedy}")


def compare_weights(stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> WeightDifferences:
    """Compare names and shapes of stored weights with those of a network.

    >>> compare_weights({"a": torch.zeros(2), "b": torch.zeros(1)}, {"a": torch.zeros(3)})
    WeightDifferences(missing=(), surplus=('b',), reshaped=('a is [2], not [3]',))
    """
    return WeightDifferences.of(
        missing=wanted.keys() - stored.keys(),
        surplus=stored.keys() - wanted.keys(),
        reshaped=(
            f"{name} is {list(stored[name].shape)}, not {list(wanted[name].shape)}"
            for name in wanted.keys() & stored.keys()
            if wanted[name].shape != stored[name].shape
        ),
    )


def builds_without_weights() -> bool:
    """Whether parts are to be built empty, to be counted: inside `with torch.device("meta")`."""
    return default_device().type == "meta"


def waits_for_weights() -> bool:
    """Whether a part on the meta device is to be whole but for its weights, because another process sends them."""
    return _WAITING.get()


@contextmanager
def waiting_for_weights() -> Iterator[None]:
    """Build on the meta device what another process fills: with tokenizer and settings, not only to be counted."""
    token = _WAITING.set(True)
    try:
        with torch.device("meta"):
            yield
    finally:
        _WAITING.reset(token)


@contextmanager
def drawing_on_the_processor() -> Iterator[None]:
    """Draw initial weights on the processor, wherever they are used: a seed then gives the same ones on every machine.

    Lightning builds a network with the device of the run as torch's default, and every kind of device draws other
    numbers. On the meta device nothing is drawn.
    """
    with nullcontext() if builds_without_weights() else torch.device("cpu"):
        yield


def default_device() -> torch.device:
    """Where torch makes tensors that nobody gives a place."""
    return torch.empty(0).device


def shortened(names: Sequence[str]) -> str:
    """Names in a line; of many, the first ones and how many more.

    >>> shortened([str(number) for number in range(10)])
    '0, 1, 2, 3, 4, 5, 6, 7 and 2 more'
    """
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into eval mode; its mode before comes back at the end."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
