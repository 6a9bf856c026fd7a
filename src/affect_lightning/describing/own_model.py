"""The plugin `affectgpt`: a model of ours, from an exported folder, as a describer beside models of others.

Paper: Section 2.1 and Figure 3; with `model.inputs: [audio, text]` or `[face, text]` it is an audio or a video model.
`affect_lightning.model` reads the folder. Clips are read as the folder says. Legend: B clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch

from affect_lightning.contracts import ClipBatch, CueDescriber
from affect_lightning.contracts.describers import Modality
from affect_lightning.describing.digests import digest_of
from affect_lightning.errors import CheckpointError, ConfigurationError
from affect_lightning.model import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.exported_folder import exported_configuration
from affect_lightning.plugin_loading import needed_streams

_DECODING = ("max_new_tokens", "temperature", "top_p", "seed")


class AffectGPTDescriber(CueDescriber):
    """A model trained here, from the folder that `affect-lightning export` wrote."""

    def __init__(self, *, folder: str, max_new_tokens: int | None = None, device: str = "auto") -> None:
        """Read the folder's configuration; the weights are loaded at the first clip.

        Args:
            folder: Exported folder.
            max_new_tokens: Longest response in tokens; None means as the folder says.
            device: Such as `cuda:1` or `cpu`; `auto` is the first GPU if there is one (our choice).

        Raises:
            ConfigurationError: There is no such folder, or it is damaged.
        """
        self._folder, self._device = folder, device
        try:
            configuration, self._options = exported_configuration(folder)
            self._configuration = ModelConfiguration.from_dict(configuration)
        except CheckpointError as error:
            raise ConfigurationError(f"Give a folder of `affect-lightning export` as folder: {error}") from error
        stored = self._options.get("model", {})
        self._decoding = {name: stored[name] for name in _DECODING if name in stored}
        if max_new_tokens is not None:
            self._decoding["max_new_tokens"] = max_new_tokens
        hears, sees = "audio" in self.streams, any(name != "audio" for name in self.streams)
        self.modality: Modality = "both" if hears and sees else "audio" if hears else "video"

    @property
    def streams(self) -> tuple[str, ...]:
        """Streams that the network encodes."""
        return needed_streams(self._configuration.inputs, self._configuration.fused_streams)

    @property
    def reading(self) -> Mapping[str, Any]:
        """As in the training that made the folder."""
        return {name: value for name, value in self._options.get("data", {}).items() if name != "test_question"}

    @cached_property
    def _network(self) -> AffectGPT:
        gpu = torch.cuda.is_available()
        place = ("cuda" if gpu else "cpu") if self._device == "auto" else self._device
        return AffectGPT.from_pretrained(self._folder).to(place)

    def describe(self, batch: ClipBatch) -> list[str]:
        """The network's responses to the clips' questions."""
        network = self._network
        place = next(network.parameters()).device
        return network.generate(batch.to(place), **self._decoding)

    def identity(self) -> str:
        """`affectgpt` with a digest of the folder's files and the options of decoding."""
        options = " ".join(f"{name}={value}" for name, value in sorted(self._decoding.items()))
        return f"affectgpt {digest_of(self._folder)} {options}".rstrip()
