"""The two prompts with which a language model names labels and a sentiment (paper, Appendix E).

The paper asks in two steps: emotion words from a free-form response, then the sentiment from those words. The wording
here is ours; a user's own wording is a text or a file. The label extractors `causal-lm` and `openai` ask with it.
`user_turn.py` has what the trained model itself is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affect_lightning.errors import ConfigurationError

RESPONSE_PLACEHOLDER = "{response}"
LABELS_PLACEHOLDER = "{labels}"

DEFAULT_LABELS_PROMPT = """\
You are an experienced psychologist of emotion. Below, between the marks <<< and >>>, stand notes about a person in a \
video, in English or Chinese. They may describe the face, the voice and the words, and draw conclusions.

<<<
{response}
>>>

Which emotional states does the main person have, according to these notes? Name only those that the notes clearly \
state or conclude. Leave out what the notes deny, and what other people feel.
Answer with one JSON list of English emotion words in lower case and with nothing else, for example \
["worried", "sad"]. If no emotional state is clear, answer []."""

DEFAULT_SENTIMENT_PROMPT = """\
You are an experienced psychologist of emotion. These words describe what a person feels: {labels}.

Which sentiment fits these words best as a whole: positive, negative or neutral? Answer with that one word."""

# In the manner of the authors' code, in words of our own: two worked examples a step, a rule who the main character is,
# words without quotation marks. The label extractor `qwen2.5-released` asks with them (docs/label_extractors.md).
RELEASED_LABELS_PROMPT = """\
You are well versed in human emotions. Each input is a note about a video. Collect the words for what the main \
character of the video feels. Where the note speaks of several people, the main character is the one whom it describes \
in most detail. Keep the note's own words for feelings where you can, and add none that it does not state or conclude. \
Write the words in square brackets, with commas between them and without quotation marks. Write [] if there is no \
feeling in the note.

Input: Her voice trembles at first and she keeps looking at the door. When the news comes she laughs out loud. She was \
anxious, and now she is relieved and overjoyed.
Output: [anxious, relieved, overjoyed]

Input: He answers in a flat tone and looks past the others. The woman beside him seems to enjoy the talk. He, though, is \
bored and slightly annoyed, which his short answers confirm.
Output: [bored, slightly annoyed]

Input: {response}
Output:"""

RELEASED_SENTIMENT_PROMPT = """\
You are well versed in human emotions. Each input is a list of words for what one person feels. Say which sentiment the \
list has as a whole: positive, negative or neutral. Write that one word and nothing else.

Input: [hopeful, delighted]
Output: positive

Input: [tired, resentful, ashamed]
Output: negative

Input: [{labels}]
Output:"""


@dataclass(frozen=True)
class ExtractionPrompts:
    """The texts of both steps, checked.

    Attributes:
        labels: Asks for the emotion words of a response, which replaces `{response}`.
        sentiment: Asks for the sentiment of emotion words, which replace `{labels}`.
    """

    labels: str = DEFAULT_LABELS_PROMPT
    sentiment: str = DEFAULT_SENTIMENT_PROMPT

    def __post_init__(self) -> None:
        for option, text, placeholder in (
            ("labels_prompt", self.labels, RESPONSE_PLACEHOLDER),
            ("sentiment_prompt", self.sentiment, LABELS_PLACEHOLDER),
        ):
            if placeholder not in text:
                raise ConfigurationError(_lacks_placeholder(option, text, placeholder))

    def about_response(self, response: str) -> str:
        """The first step's text for one response.

        >>> ExtractionPrompts(labels="Feelings in: {response}").about_response("He {seems} glad.")
        'Feelings in: He {seems} glad.'
        """
        return self.labels.replace(RESPONSE_PLACEHOLDER, response.strip())

    def about_labels(self, labels: Sequence[str]) -> str:
        """The second step's text for one list of emotion words.

        >>> ExtractionPrompts(sentiment="{labels}?").about_labels(["sad", "tired"])
        'sad, tired?'
        """
        return self.sentiment.replace(LABELS_PLACEHOLDER, ", ".join(labels))

    @property
    def sha256(self) -> str:
        """Hash of both texts; a score made with other prompts has another one."""
        digest = hashlib.sha256()
        for text in (self.labels, self.sentiment):
            digest.update(hashlib.sha256(text.encode()).digest())
        return digest.hexdigest()


RELEASED_PROMPTS = ExtractionPrompts(RELEASED_LABELS_PROMPT, RELEASED_SENTIMENT_PROMPT)


def read_extraction_prompts(labels_prompt: str | None = None, sentiment_prompt: str | None = None) -> ExtractionPrompts:
    """Take a user's prompts, or ours where there is none.

    Args:
        labels_prompt: Text with the placeholder `{response}`, or the path of a UTF-8 file with such a text; None means
            ours.
        sentiment_prompt: The same with `{labels}`.

    Raises:
        ConfigurationError: A text lacks its placeholder, or a file cannot be read.
    """
    return ExtractionPrompts(
        text_or_file("labels_prompt", labels_prompt, RESPONSE_PLACEHOLDER) or DEFAULT_LABELS_PROMPT,
        text_or_file("sentiment_prompt", sentiment_prompt, LABELS_PLACEHOLDER) or DEFAULT_SENTIMENT_PROMPT,
    )


def text_or_file(option: str, given: str | None, placeholder: str) -> str | None:
    """The text itself if it has the placeholder, else the content of the file that it names."""
    if given is None or placeholder in given:
        return given
    try:
        text = Path(given).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a text that cannot be a path
        raise ConfigurationError(_lacks_placeholder(option, given, placeholder)) from error
    if placeholder not in text:
        raise ConfigurationError(_lacks_placeholder(f"the file {given} of {option}", text, placeholder))
    return text.strip()


def _lacks_placeholder(option: str, text: str, placeholder: str) -> str:
    shown = text if len(text) <= 80 else f"{text[:80]}..."
    return (
        f"Expected {option} to be a text with the placeholder {placeholder}, or the path of a file with such a text; "
        f"got {shown!r}. Put {placeholder} where the text to judge belongs."
    )
