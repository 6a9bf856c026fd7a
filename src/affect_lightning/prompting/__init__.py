"""Prompting: the questions, the wanted responses and the prompt with its placeholders (paper, Sections 3.1, 5).

`user_turn.py` has what is asked and answered, puts the streams, the subtitle and the question in order, and puts the
chat template or plain text around them. `data` asks and answers with it, `model` fills the placeholders.
`extraction_prompts.py` has what another language model is asked about a response (Appendix E), `merging_prompt.py` what it
is asked about clues (Section 2.1), `choice_prompt.py` what it is asked about an answer with a closed set. Imports the standard
library only.
"""

from affect_lightning.prompting.choice_prompt import choice_prompt
from affect_lightning.prompting.extraction_prompts import RELEASED_PROMPTS, ExtractionPrompts, read_extraction_prompts
from affect_lightning.prompting.merging_prompt import MergingPrompt
from affect_lightning.prompting.user_turn import (
    FIRST_PLACEHOLDER,
    MAX_PLACEHOLDERS,
    PROMPT_FORMS,
    QUESTION_KINDS,
    SUBTITLE_STREAM,
    PromptStyle,
    asked_text,
    assemble_plain_prompt,
    assemble_user_text,
    given_question,
    is_own_question,
    placeholder,
    question_text,
    response_text,
    sentiment_word,
    taken_apart,
)

__all__ = [
    "FIRST_PLACEHOLDER",
    "MAX_PLACEHOLDERS",
    "PROMPT_FORMS",
    "QUESTION_KINDS",
    "RELEASED_PROMPTS",
    "SUBTITLE_STREAM",
    "ExtractionPrompts",
    "MergingPrompt",
    "PromptStyle",
    "asked_text",
    "assemble_plain_prompt",
    "assemble_user_text",
    "choice_prompt",
    "given_question",
    "is_own_question",
    "placeholder",
    "question_text",
    "read_extraction_prompts",
    "response_text",
    "sentiment_word",
    "taken_apart",
]


def __dir__() -> list[str]:
    return sorted(__all__)
