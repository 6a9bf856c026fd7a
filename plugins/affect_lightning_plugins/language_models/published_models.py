"""The published families of language models: one table, and a plugin for each row (paper, Section 5 and Figure 4(a)).

`published_models.json` beside this file is the table. A family has its type, its values that all sizes share, and what its
prompts need: a chat template where the tokenizer brings none (Vicuna's is the form that it was trained with), and values
for the template (Qwen3 is told not to think, since responses alone are learnt; Llama 3 gets a fixed date in place of the
day's). A size has its commit on the hub and the values of its configuration that decide how large it is, so that it can
be counted without the hub. Neighbours: `hub_model.py` reads the models; `smollm2.py` is the one out of a pip package.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, Literal

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.language_models.hub_model import HubCausalLM, ModelOrigin


@cache
def published_families() -> dict[str, Any]:
    """The table."""
    text = resources.files(__package__).joinpath("published_models.json").read_text(encoding="utf-8")
    return json.loads(text)


def published_origin(family: str, size: str, model: str | None = None, revision: str | None = None) -> ModelOrigin:
    """Where a published model comes from.

    Args:
        family: Key of the table, such as `qwen2.5`.
        size: One of the family's sizes.
        model: Folder or hub name that replaces the published one; None takes that.
        revision: Commit on the hub; None takes the one that is pinned in the table.

    Raises:
        ConfigurationError: The family has no such size.
    """
    table = published_families()[family]
    if size not in table["sizes"]:
        raise ConfigurationError(f"{family} has the sizes {', '.join(table['sizes'])}; got {size!r}.")
    entry = table["sizes"][size]
    return ModelOrigin(
        model=entry["hub"] if model is None else model,
        revision=entry["revision"] if revision is None and model is None else revision,
        config={"model_type": table["model_type"], **table["shared"], **entry["config"]} if model is None else None,
        model_type=table["model_type"],
        chat_template=table.get("chat_template"),
        template_options=table.get("template_options", {}),
    )


class PublishedModel(HubCausalLM):
    """A model of a published family. Plugins derive from it and say which family, and which sizes it has."""

    def __init__(
        self, family: str, size: str, *, model: str | None = None, revision: str | None = None, **options: Any
    ) -> None:
        """Load the model and attach the adapter.

        Args:
            family: Key of the table.
            size: One of the family's sizes.
            model: Folder that holds it, or another hub name; None takes the published one from the hub.
            revision: Commit on the hub; None takes the one that this package pins for the size.
            options: See `HubCausalLM`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(published_origin(family, size, model, revision), **options)


class Qwen25(PublishedModel):
    """Qwen2.5-Instruct from 0.5B to 72B (the paper's language model is 7B), frozen, with an adapter.

    Args:
        size: Parameters; 7B is the paper's.
        options: See `PublishedModel`.
    """

    def __init__(self, *, size: Literal["0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B"] = "7B", **options: Any):
        super().__init__("qwen2.5", size, **options)


class Qwen3(PublishedModel):
    """Qwen3 from 0.6B to 32B without its thinking part, frozen, with an adapter.

    Args:
        size: Parameters; 8B is our choice, nearest to the paper's 7B.
        options: See `PublishedModel`.
    """

    def __init__(self, *, size: Literal["0.6B", "1.7B", "4B", "8B", "14B", "32B"] = "8B", **options: Any):
        super().__init__("qwen3", size, **options)


class Llama3(PublishedModel):
    """Llama 3 Instruct: 1B and 3B (3.2), 8B (3.1), 70B (3.3), frozen, with an adapter.

    Args:
        size: Parameters; 8B is our choice, nearest to the paper's 7B.
        options: See `PublishedModel`.
    """

    def __init__(self, *, size: Literal["1B", "3B", "8B", "70B"] = "8B", **options: Any):
        super().__init__("llama3", size, **options)


class Vicuna(PublishedModel):
    """Vicuna v1.5 of 7B or 13B, frozen, with an adapter; its hub folder needs sentencepiece to be read.

    Args:
        size: Parameters; 7B is the size of the paper's own model.
        options: See `PublishedModel`.
    """

    def __init__(self, *, size: Literal["7B", "13B"] = "7B", **options: Any):
        super().__init__("vicuna", size, **options)


class SmolLM2FromHub(PublishedModel):
    """SmolLM2-Instruct of 135M, 360M or 1.7B from a folder or the hub, frozen, with an adapter.

    Args:
        size: Parameters; 1.7B is our choice. `smollm2-135m` is the one that needs no hub.
        options: See `PublishedModel`.
    """

    def __init__(self, *, size: Literal["135M", "360M", "1.7B"] = "1.7B", **options: Any):
        super().__init__("smollm2", size, **options)
