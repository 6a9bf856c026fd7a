"""The two questions of the paper's training and the responses that are wanted (paper, Sections 2 and 3.1).

One question asks for a description with reasons, the other for all states; training draws one at random each time.
The wording is ours and short, because every word costs a token a clip. Neighbour: `user_text.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from affect_lightning.errors import ConfigurationError

QUESTION_KINDS = ("describe", "name")

_QUESTIONS = {
    "describe": "How does the person feel, and what shows it?",
    "name": "Which emotions does the person feel?",
}


def question_text(kind: str) -> str:
    """The question of that kind.

    Args:
        kind: `describe` (a description with reasons) or `name` (all states by name).

    Raises:
        ConfigurationError: There is no such kind.

    >>> question_text("name")
    'Which emotions does the person feel?'
    """
    _check_kind(kind)
    return _QUESTIONS[kind]


def response_text(kind: str, *, labels: Sequence[str], description: str) -> str:
    """The response that a question of that kind wants.

    Args:
        kind: `describe` or `name`.
        labels: Open-vocabulary emotion words, used by `name`.
        description: The reasoned description, used by `describe`.

    Returns:
        One line of text; empty where the annotation that the kind needs is empty, so the caller can tell.

    Raises:
        ConfigurationError: There is no such kind.

    >>> response_text("name", labels=["nervous", "worried", "anxious"], description="")
    'The person feels nervous, worried and anxious.'
    """
    _check_kind(kind)
    if kind == "describe":
        return " ".join(description.split())
    words = [word for label in labels if (word := " ".join(label.split()))]
    if not words:
        return ""
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"The person feels {listed}."


def _check_kind(kind: str) -> None:
    if kind not in QUESTION_KINDS:
        raise ConfigurationError(f"There is no question kind {kind!r}; expected one of {', '.join(QUESTION_KINDS)}.")
