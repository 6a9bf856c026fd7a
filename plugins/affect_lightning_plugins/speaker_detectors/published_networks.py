"""A network and the published file that fills it, which the user gives (ours).

Nothing is downloaded, and nothing in a file is run. `light_asd.py` and `talknet.py` are the callers; `weights_files.py` reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from torch import nn

from affect_lightning.errors import ConfigurationError
from affect_lightning.weights import compare_weights
from affect_lightning_plugins.weights_files import read_weights

Network = TypeVar("Network", bound=nn.Module)


class Classifier(nn.Module):
    """Silent or speaking: logits [..., 2] of features [..., D], under the published name."""

    def __init__(self, width: int) -> None:
        """Make it for features of D = `width`."""
        super().__init__()
        self.FC = nn.Linear(width, 2)


class PublishedNetwork(Generic[Network]):
    """A network whose weights are read when they are needed, once.

    Args:
        build: Makes the network.
        title: Of the network, in messages.
        file: Name of the published file.
        place: Where its authors offer it, as the end of a sentence.
        weights: The user's file; None where the user gave none.
        device: Where the network computes.

    Raises:
        ConfigurationError: There is no file.
    """

    def __init__(
        self, build: Callable[[], Network], title: str, file: str, place: str, weights: str | None, device: str
    ) -> None:
        self._build, self._title, self._published, self._device = build, title, file, device
        self._file = Path(weights or "").expanduser()
        if weights and self._file.is_file():
            return
        found = f"there is no file {weights}" if weights else "no file is given"
        raise ConfigurationError(
            f"Give the file {file} of the {title} repository as `weights` (`--detector.weights FILE`): {found}. It is in {place}."
        )

    @cached_property
    def network(self) -> Network:
        """The network with the weights of the file, in eval mode.

        Raises:
            ConfigurationError: The file is no file of tensors, or has others than the network.
        """
        stored = read_weights(self._file)
        network = self._build()
        differences = compare_weights(stored, network.state_dict())
        remedy = f"Give the published {self._published}."
        differences.refuse(str(self._file), self._title, remedy, ConfigurationError)
        network.load_state_dict(stored)
        return network.eval().to(self._device)

    @cached_property
    def digest(self) -> str:
        """First 12 digits of the file's SHA-256."""
        return hashlib.sha256(self._file.read_bytes()).hexdigest()[:12]
