"""Prompting: the questions, the wanted responses and the prompt with its placeholders (paper, Sections 3.1, 5).

`user_turn.py` holds what is asked and answered, and puts the streams, the subtitle and the question in
order; `prompt_style.py` puts the chat template or plain text around them. `data` asks and answers with it, `model` fills the
placeholders. `extraction_prompts.py` holds what another language model is asked about a response (Appendix E). Imports the
standard library only.
"""

from affect_lightning.prompting.extraction_prompts import RELEASED_PROMPTS, ExtractionPrompts, read_extraction_prompts
from affect_lightning.prompting.prompt_style import PROMPT_FORMS, PromptStyle, assemble_plain_prompt
from affect_lightning.prompting.user_turn import (
    FIRST_PLACEHOLDER,
    MAX_PLACEHOLDERS,
    QUESTION_KINDS,
    SUBTITLE_STREAM,
    assemble_user_text,
    placeholder,
    question_text,
    response_text,
    sentiment_word,
)

__all__ = [
    "FIRST_PLACEHOLDER",
    "MAX_PLACEHOLDERS",
    "PROMPT_FORMS",
    "QUESTION_KINDS",
    "RELEASED_PROMPTS",
    "SUBTITLE_STREAM",
    "ExtractionPrompts",
    "PromptStyle",
    "assemble_plain_prompt",
    "assemble_user_text",
    "placeholder",
    "question_text",
    "read_extraction_prompts",
    "response_text",
    "sentiment_word",
]


def __dir__() -> list[str]:
    return sorted(__all__)
