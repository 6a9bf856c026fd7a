"""Llama 3 Instruct, one of the language models to swap in (paper, Figure 4(a)).

Neighbours: `published.py` has its sizes and revisions, `loaded.py` reads it, `causal_lm.py` takes any other model.
"""

from __future__ import annotations

from typing import Any, Literal

from affect_lightning_plugins.language_models.loaded import LoadedCausalLM
from affect_lightning_plugins.language_models.published import published_origin

# The template would put the date of the day into every prompt; this is the one that Llama 3.1 falls back on.
_FIXED_DATE = {"date_string": "26 Jul 2024"}


class Llama3(LoadedCausalLM):
    """Llama 3 Instruct: 1B and 3B (3.2), 8B (3.1), 70B (3.3), frozen, with an adapter."""

    def __init__(
        self,
        *,
        size: Literal["1B", "3B", "8B", "70B"] = "8B",
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
        super().__init__(published_origin("llama3", size, model, revision, template_options=_FIXED_DATE), **options)
