"""What is sent back: OpenAI's chat completion, its chunks, its list of models and its errors, as plain values (ours).

`clip_model.py` has the answers, `web_app.py` sends them. Standard library only.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from affect_lightning.serving.chat_requests import RequestError

if TYPE_CHECKING:
    from affect_lightning.serving.clip_model import Answer, Choice

OWNER = "affect-lightning"
STREAM_END = "data: [DONE]\n\n"


def model_entry(name: str, created: int) -> dict[str, Any]:
    """An entry of the list of models.

    Args:
        name: Of the model.
        created: When it was started, in seconds since 1970.
    """
    return {"id": name, "object": "model", "created": created, "owned_by": OWNER}


def error_body(error: RequestError) -> dict[str, Any]:
    """OpenAI's error object."""
    return {"error": {"message": str(error), "type": error.kind, "param": error.param, "code": error.code}}


def usage_of(choices: Sequence[Choice]) -> dict[str, int] | None:
    """Tokens of the prompt and of all answers; None if the language model does not tell them."""
    prompts, answers = [one.prompt_tokens for one in choices], [one.answer_tokens for one in choices]
    if None in prompts or None in answers:
        return None
    prompt, answered = int(prompts[0] or 0), sum(int(count or 0) for count in answers)
    return {"prompt_tokens": prompt, "completion_tokens": answered, "total_tokens": prompt + answered}


def event(content: dict[str, Any]) -> str:
    """A line of a stream."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


@dataclass(frozen=True)
class Reply:
    """The frame of a reply.

    Attributes:
        model: Name of the model.
        identity: Of the completion.
        created: Seconds since 1970.
    """

    model: str
    identity: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Answer) -> dict[str, Any]:
        """A completion that is sent at once."""
        choices = [
            {
                "index": number,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": None,
                "finish_reason": choice.finish_reason,
            }
            for number, choice in enumerate(answer.choices)
        ]
        return self._framed("chat.completion", choices, answer.missing) | {"usage": usage_of(answer.choices)}

    def chunk(self, number: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        """A piece of a choice.

        Args:
            number: Of the choice.
            delta: Role or text.
            reason: Why the choice ends here; None if it goes on.
        """
        return self._framed(
            "chat.completion.chunk", [{"index": number, "delta": delta, "logprobs": None, "finish_reason": reason}]
        )

    def usage_chunk(self, answer: Answer) -> dict[str, Any]:
        """The piece with the number of tokens, without a choice."""
        return self._framed("chat.completion.chunk", [], answer.missing) | {"usage": usage_of(answer.choices)}

    def _framed(self, kind: str, choices: list[dict[str, Any]], missing: Sequence[str] = ()) -> dict[str, Any]:
        told = {"silence_for": list(missing)} if missing else {}
        return {
            "id": self.identity, "object": kind, "created": self.created, "model": self.model, "choices": choices, **told
        }  # fmt: skip
