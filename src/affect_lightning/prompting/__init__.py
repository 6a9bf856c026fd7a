"""Prompting: the questions, the wanted responses and the prompt with its placeholders (paper, Sections 3.1, 5).

`questions.py` holds what is asked and answered; `user_text.py` puts the streams, the subtitle and the question in
order. `data` asks and answers with it, `model` fills the placeholders. `label_extraction.py` holds what another language
model is asked about a response (Appendix E), `released_extraction.py` the same in the manner of the authors' code.
Imports the standard library only.
"""

from affect_lightning.prompting.label_extraction import ExtractionPrompts, read_extraction_prompts
from affect_lightning.prompting.questions import QUESTION_KINDS, question_text, response_text, sentiment_word
from affect_lightning.prompting.released_extraction import RELEASED_PROMPTS
from affect_lightning.prompting.user_text import (
    FIRST_PLACEHOLDER,
    MAX_PLACEHOLDERS,
    SUBTITLE_STREAM,
    assemble_user_text,
    placeholder,
)

__all__ = [
    "FIRST_PLACEHOLDER",
    "MAX_PLACEHOLDERS",
    "QUESTION_KINDS",
    "RELEASED_PROMPTS",
    "SUBTITLE_STREAM",
    "ExtractionPrompts",
    "assemble_user_text",
    "placeholder",
    "question_text",
    "read_extraction_prompts",
    "response_text",
    "sentiment_word",
]
