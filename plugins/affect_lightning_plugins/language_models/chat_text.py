"""ChatText: prompts and token ids of a Hugging Face tokenizer, without the network (paper, Section 3.1).

Processes that read clips get it to tokenise prompts there. `transformers_model.py` uses it for its own methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ChatText:
    """See `contracts.PromptText`.

    Attributes:
        tokenizer: With a chat template and an end token.
        system_prompt: Text of the system turn; None leaves it to the chat template.
        template_options: Values for the chat template, such as `enable_thinking`.
    """

    tokenizer: Any
    system_prompt: str | None = None
    template_options: Mapping[str, Any] = field(default_factory=dict)

    def render_prompt(self, user_text: str) -> str:
        """See `LanguageModel.render_prompt`."""
        turns = [{"role": "user", "content": user_text}]
        if self.system_prompt is not None:
            turns.insert(0, {"role": "system", "content": self.system_prompt})
        rendered: str = self.tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, **self.template_options
        )
        return rendered

    def text_ids(self, text: str) -> list[int]:
        """See `LanguageModel.text_ids`."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def response_ids(self, response: str) -> list[int]:
        """See `LanguageModel.response_ids`."""
        return [*self.text_ids(response), self.tokenizer.eos_token_id]
