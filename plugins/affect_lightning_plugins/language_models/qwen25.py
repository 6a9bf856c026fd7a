"""Qwen2.5-Instruct, the paper's language model (Section 5: 7B).

Neighbours: `published.py` has its sizes and revisions, `loaded.py` reads it, `causal_lm.py` takes any other model.
"""

from __future__ import annotations

from typing import Any, Literal

from affect_lightning_plugins.language_models.loaded import LoadedCausalLM
from affect_lightning_plugins.language_models.published import published_origin


class Qwen25(LoadedCausalLM):
    """Qwen2.5-Instruct from 0.5B to 72B (the paper's language model is 7B), frozen, with an adapter."""

    def __init__(
        self,
        *,
        size: Literal["0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B"] = "7B",
        model: str | None = None,
        revision: str | None = None,
        **options: Any,
    ) -> None:
        """Load the model and attach the adapter.

        Args:
            size: Parameters; 7B is the paper's.
            model: Folder that holds it, or another hub name; None takes the published one from the hub.
            revision: Commit on the hub; None takes the one that this package pins for the size.
            options: See `LoadedCausalLM`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(published_origin("qwen2.5", size, model, revision), **options)
