"""A tiny random language model on disk, in the layout of Hugging Face: for plugins that load their weights from a folder.

Nothing is downloaded: the model is the plugin `tiny-lm` without its adapter, written out. Neighbour: `suite.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affect_lightning.plugin_loading import build_part


def tiny_language_model(folder: str | Path, architecture: str = "qwen2", **options: Any) -> str:
    """Write a causal language model of two layers with random weights, its tokenizer and chat template.

    Args:
        folder: Where to; it is made if it is not there.
        architecture: `qwen2` or `llama`.
        options: Others of the plugin `tiny-lm`, such as `hidden_width`.

    Returns:
        The folder, as text: what an option such as `model` takes.
    """
    choice = {"name": "tiny-lm", "architecture": architecture, "lora_rank": 0, **options}
    part = build_part("language_models", choice)
    part.causal_model.save_pretrained(str(folder))
    part.tokenizer.save_pretrained(str(folder))
    return str(folder)
