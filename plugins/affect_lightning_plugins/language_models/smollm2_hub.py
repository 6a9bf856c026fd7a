"""SmolLM2-Instruct from a folder or the hub: small language models (not in the paper).

Neighbours: `published.py` has its sizes and revisions, `loaded.py` reads it, `causal_lm.py` takes any other model.
"""

from __future__ import annotations

from typing import Any, Literal

from affect_lightning_plugins.language_models.loaded import LoadedCausalLM
from affect_lightning_plugins.language_models.published import published_origin


class SmolLM2FromHub(LoadedCausalLM):
    """SmolLM2-Instruct of 135M, 360M or 1.7B from a folder or the hub, frozen, with an adapter."""

    def __init__(
        self,
        *,
        size: Literal["135M", "360M", "1.7B"] = "1.7B",
        model: str | None = None,
        revision: str | None = None,
        **options: Any,
    ) -> None:
        """Load the model and attach the adapter.

        Args:
            size: Parameters; 1.7B is our choice. `smollm2-135m` is the one that needs no hub.
            model: Folder that holds it, or another hub name; None takes the published one from the hub.
            revision: Commit on the hub; None takes the one that this package pins for the size.
            options: See `LoadedCausalLM`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(published_origin("smollm2", size, model, revision), **options)
