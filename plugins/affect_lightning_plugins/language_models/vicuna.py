"""Vicuna v1.5, one of the language models to swap in (paper, Figure 4(a)).

Neighbours: `published.py` has its sizes and revisions, `loaded.py` reads it, `causal_lm.py` takes any other model.
"""

from __future__ import annotations

from typing import Any, Literal

from affect_lightning_plugins.language_models.loaded import LoadedCausalLM
from affect_lightning_plugins.language_models.published import published_origin

# The form that Vicuna v1.5 was trained with; its tokenizer brings none.
_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% else %}"
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and "
    "polite answers to the user's questions.{% endif %}"
    "{% for message in messages if message['role'] != 'system' %}"
    "{% if message['role'] == 'user' %}{{ ' USER: ' + message['content'] }}"
    "{% else %}{{ ' ASSISTANT: ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)


class Vicuna(LoadedCausalLM):
    """Vicuna v1.5 of 7B or 13B, frozen, with an adapter; its hub folder needs sentencepiece to be read."""

    def __init__(
        self,
        *,
        size: Literal["7B", "13B"] = "7B",
        model: str | None = None,
        revision: str | None = None,
        **options: Any,
    ) -> None:
        """Load the model and attach the adapter.

        Args:
            size: Parameters; 7B is the size of the paper's own model.
            model: Folder that holds it, or another hub name; None takes the published one from the hub.
            revision: Commit on the hub; None takes the one that this package pins for the size.
            options: See `LoadedCausalLM`.

        Raises:
            ConfigurationError: The model cannot be read or filled completely, or an option is out of range.
        """
        super().__init__(published_origin("vicuna", size, model, revision, chat_template=_TEMPLATE), **options)
