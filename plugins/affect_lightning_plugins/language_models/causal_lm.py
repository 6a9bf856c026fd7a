"""Any Hugging Face causal language model, from a folder or the hub (paper, Figure 4(a): other language models).

Neighbours: `loaded.py` reads it, `adapted.py` does the work; `qwen25.py` is the paper's own, `smollm2.py` the small
embedded default.
"""

from __future__ import annotations

from typing import Any

from affect_lightning_plugins.language_models.loaded import LoadedCausalLM, ModelOrigin


class CausalLM(LoadedCausalLM):
    """Any Hugging Face causal language model by folder or hub name, frozen, with an adapter."""

    def __init__(self, *, model: str, revision: str | None = None, **options: Any) -> None:
        """Load the model and attach the adapter.

        Args:
            model: Folder or hub name.
            revision: Commit on the hub; a hub name needs one, so that a result can be had again.
            options: See `LoadedCausalLM`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(ModelOrigin(model, revision), **options)
