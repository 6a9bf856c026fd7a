"""Qwen3, one of the language models to swap in (paper, Figure 4(a)).

Neighbours: `published.py` has its sizes and revisions, `loaded.py` reads it, `causal_lm.py` takes any other model.
"""

from __future__ import annotations

from typing import Any, Literal

from affect_lightning_plugins.language_models.loaded import LoadedCausalLM
from affect_lightning_plugins.language_models.published import published_origin

# The paper trains on responses alone; a model that thinks first would need thoughts to learn from.
_WITHOUT_THINKING = {"enable_thinking": False}


class Qwen3(LoadedCausalLM):
    """Qwen3 from 0.6B to 32B without its thinking part, frozen, with an adapter."""

    def __init__(
        self,
        *,
        size: Literal["0.6B", "1.7B", "4B", "8B", "14B", "32B"] = "8B",
        model: str | None = None,
        revision: str | None = None,
        **options: Any,
    ) -> None:
        """Load the model and attach the adapter.

        Args:
            size: Parameters; 8B is our choice, nearest to the paper's 7B.
            model: Folder that holds it, or another hub name; None takes the published one from the hub.
            revision: Commit on the hub; None takes the one that this package pins for the size.
            options: See `LoadedCausalLM`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(
            published_origin("qwen3", size, model, revision, template_options=_WITHOUT_THINKING), **options
        )
