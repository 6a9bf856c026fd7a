"""The published families of language models: hub names, pinned revisions and sizes (paper, Section 5 and Figure 4(a)).

`published_models.json` beside this file holds, for each size, the commit on the hub and the values of its configuration
that decide how large it is, so that it can be counted without the hub. Used by the plugins of the families.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from affect_lightning.errors import ConfigurationError
from affect_lightning_plugins.language_models.loaded import ModelOrigin


@cache
def _families() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("published_models.json").read_text(encoding="utf-8")
    return json.loads(text)


def published_origin(
    family: str,
    size: str,
    model: str | None,
    revision: str | None,
    *,
    chat_template: str | None = None,
    template_options: Mapping[str, Any] | None = None,
) -> ModelOrigin:
    """Where a published model comes from.

    Args:
        family: Key of the table, such as `qwen2.5`.
        size: One of the family's sizes.
        model: Folder or hub name that replaces the published one; None takes that.
        revision: Commit on the hub; None takes the one that is pinned here.
        chat_template: For a tokenizer that brings none.
        template_options: Values for the chat template.

    Raises:
        ConfigurationError: The family has no such size.
    """
    table = _families()[family]
    if size not in table["sizes"]:
        raise ConfigurationError(f"{family} has the sizes {', '.join(table['sizes'])}; got {size!r}.")
    entry = table["sizes"][size]
    return ModelOrigin(
        model=entry["hub"] if model is None else model,
        revision=entry["revision"] if revision is None and model is None else revision,
        config={"model_type": table["model_type"], **table["shared"], **entry["config"]} if model is None else None,
        model_type=table["model_type"],
        chat_template=chat_template,
        template_options=template_options or {},
    )
