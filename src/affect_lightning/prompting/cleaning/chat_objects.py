"""Answers of chat servers as they come: objects with `role` and `content`, `choices`, `candidates` or `generated_text`.

Who saves what a server sent has the answer in layers around it: OpenAI's `choices`, Gemini's `candidates`, the lines of a
batch, a whole chat, `generated_text` of a pipeline. `responses.py` takes the answer out of a text of JSON, and the reader of
saved outputs out of an object. Standard library and `label_strings` only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from affect_lightning.label_strings import NAMES_EMOTIONS

_LAYERS = (  # keys that hold the answer or a further layer, the outermost first
    "response", "body", "choices", "candidates", "outputs", "output", "message", "messages", "generated_text", "content",
    "parts", "output_text", "text",
)  # fmt: skip
_MARKS = ("role", "choices", "candidates", "generated_text", "parts", "outputs", "body", "status_code")
_PRINTED = re.compile(  # an object of a client, printed instead of its text
    r"(?:(?:Chat)?Completion\w*|Choice|Message|AIMessage|HumanMessage|GenerateContentResponse|Response)?\(?[^'\"]*?"
    r"(?:[\w]+=(?!['\"])[^'\"]*?)*\b(?:content|text)=(?P<quote>['\"])(?P<said>.*?)(?<!\\)(?P=quote)(?=[,)\s]|$)",
    re.DOTALL,
)
_SPEAKERS = ("assistant", "model", "gpt", "bot")
_DEEPEST = 10  # layers; our choice
_LONGEST = 1_000_000  # characters that are tried as JSON; our choice


def text_of_chat(value: Any, depth: int = 0) -> str | None:
    """The answer that an object of a chat server holds; None if it holds none.

    Args:
        value: As JSON gives it.
        depth: Layers around it.

    Returns:
        The text of the first choice, or of the assistant's last turn; of an error, `Error: ` and its message.

    >>> text_of_chat({"choices": [{"message": {"role": "assistant", "content": "sad"}}]})
    'sad'
    >>> text_of_chat([{"role": "user", "content": "Happy?"}, {"role": "assistant", "content": "sad"}])
    'sad'
    >>> text_of_chat({"error": {"message": "overloaded"}}), text_of_chat({"emotion": "sad"})
    ('Error: overloaded', None)
    """
    if isinstance(value, str):
        return value
    if depth > _DEEPEST:
        return None
    if isinstance(value, list):
        return _of_list(value, depth)
    if not isinstance(value, Mapping):
        return None
    error = _error_of(value)
    if error is not None or any(NAMES_EMOTIONS.match(str(key)) for key in value):
        return error  # an object with a key such as `emotion` is an answer itself
    for key in _LAYERS:
        if value.get(key):
            found = text_of_chat(value[key], depth + 1)
            if found is not None:
                return found
    return None


def answers_of_server(value: Any, depth: int = 0) -> int:
    """How many answers (`choices`, `candidates`, `n` above 1) a server sent; 0 where the value is no object of one.

    >>> answers_of_server({"choices": [{"text": "sad"}, {"text": "calm"}]}), answers_of_server({"emotion": "sad"})
    (2, 0)
    """
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return 0
    for key in ("choices", "candidates"):
        if isinstance(value.get(key), list) and all(isinstance(item, Mapping) for item in value[key]):
            return len(value[key])
    return max((answers_of_server(value[key], depth + 1) for key in _LAYERS if key in value), default=0)


def without_chat_object(text: str) -> str:
    """The answer in a text that is nothing but the JSON of a chat server; any other text as it is.

    >>> without_chat_object('{"role": "assistant", "content": "sad"}'), without_chat_object('{"emotion": "sad"}')
    ('sad', '{"emotion": "sad"}')
    """
    bare = text.strip()
    printed = _PRINTED.match(bare) if "content=" in bare or "text=" in bare else None
    if printed:
        return printed["said"].replace("\\n", "\n").replace("\\'", "'")
    if (
        not bare.startswith(("{", "["))
        or len(bare) > _LONGEST
        or not any(f'"{mark}"' in bare for mark in (*_MARKS, "error"))
    ):
        return text
    try:
        value = json.loads(bare)
    except (ValueError, RecursionError):
        return text
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, Mapping) or not (any(mark in first for mark in _MARKS) or _error_of(first)):
        return text
    found = text_of_chat(value)
    return text if found is None else found


def _of_list(value: list[Any], depth: int) -> str | None:
    """The last turn of a chat, the texts of one turn's parts, or the first of several choices."""
    items = [item for item in value if isinstance(item, Mapping)]
    if not value or len(items) < len(value):
        return text_of_chat(value[0], depth + 1) if len(value) == 1 else None
    if all("role" in item for item in items):
        said = [item for item in items if str(item["role"]).lower() in _SPEAKERS]
        return text_of_chat(said[-1], depth + 1) if said else ""
    if all(isinstance(item.get("text"), str) for item in items):
        return "".join(item["text"] for item in items)
    return next((found for item in items if (found := text_of_chat(item, depth + 1)) is not None), None)


def _error_of(value: Mapping[Any, Any]) -> str | None:
    """`Error: ` and the message of a server that failed."""
    told = value.get("error") if value.get("error") else value if value.get("object") == "error" else None
    if not told:
        return None
    message = told.get("message") or told.get("detail") or told.get("code") if isinstance(told, Mapping) else told
    return f"Error: {message or 'unknown'}"
