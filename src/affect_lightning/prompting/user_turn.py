"""A user turn and the text around it: questions, wanted responses, placeholders for the feature tokens, and the prompt's form.

Paper, Sections 2 and 3.1: one question asks for a description with reasons, the other for all states; training draws
one at random each time. The third is ours, for corpora that give a sentiment value and no words. The wording is ours
and short, because every word costs a token in each clip.
The order of a turn is the paper's: fused tokens, audio tokens, face and frame tokens, subtitle, question. A placeholder is
one private-use character, repeated once for each feature token. `model.prompt_assembly` replaces it by the token's
embedding, so nothing is added to a language model's vocabulary. This module knows no streams: the first stream that is
shown has the first placeholder, the second stream the second one.
The form `chat` is ours: the language model's own template around the user turn. `plain` has the shape of the prompts in the
authors' released code: two speakers, a tag around each stream, no template. The words between the tags are ours.
`extraction_prompts.py` has what another language model is asked about a response.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from affect_lightning.errors import ConfigurationError

QUESTION_KINDS = ("describe", "name", "sentiment")

_QUESTIONS = {
    "describe": "How does the person feel, and what shows it?",
    "name": "Which emotions does the person feel?",
    "sentiment": "Does the person feel positive or negative?",
}


def question_text(kind: str) -> str:
    """The question of that kind.

    Args:
        kind: `describe` (a description with reasons), `name` (all states by name) or `sentiment`.

    Raises:
        ConfigurationError: There is no such kind.

    >>> question_text("name")
    'Which emotions does the person feel?'
    """
    _check_kind(kind)
    return _QUESTIONS[kind]


def is_own_question(text: str) -> bool:
    """Whether a text is a question of the user's own: two words or more, so that a misspelt kind is none.

    >>> is_own_question("Does the person hesitate?"), is_own_question("nmae")
    (True, False)
    """
    return len(text.split()) > 1


def asked_text(question: str) -> str:
    """The question that is asked for a kind, or for a text of the user's own.

    Args:
        question: `describe`, `name`, `sentiment`, or any text of two words or more.

    Raises:
        ConfigurationError: It is a single word and no kind, or has a character that stands for a stream.

    >>> asked_text("Does the person hesitate?"), asked_text("name")
    ('Does the person hesitate?', 'Which emotions does the person feel?')
    """
    if question not in QUESTION_KINDS and not is_own_question(question):
        raise ConfigurationError(
            f"There is no question kind {question!r}; expected one of {', '.join(QUESTION_KINDS)}, or a question of your own "
            f"of two words or more."
        )
    if any(FIRST_PLACEHOLDER <= ord(sign) < FIRST_PLACEHOLDER + MAX_PLACEHOLDERS for sign in question):
        raise ConfigurationError(f"Remove the private-use character from the question {question!r}: it means a stream.")
    return question_text(question) if question in QUESTION_KINDS else " ".join(question.split())


def given_question(text: str) -> str:
    """A question that a training set brings, in one line and without characters that stand for a stream.

    >>> given_question("What is  shown? ")
    'What is shown?'
    """
    streams = {FIRST_PLACEHOLDER + position: None for position in range(MAX_PLACEHOLDERS)}
    return " ".join(text.translate(streams).split())


def response_text(kind: str, *, labels: Sequence[str], description: str) -> str:
    """The response that a question of that kind needs.

    Args:
        kind: `describe`, `name` or `sentiment`.
        labels: Open-vocabulary emotion words, used by `name`, or the word of `sentiment_word`, used by `sentiment`.
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


def sentiment_word(value: float) -> str:
    """The word for a sentiment value: its sign is what the sentiment sets are scored by (paper, Section 4).

    >>> sentiment_word(-0.4), sentiment_word(0.0), sentiment_word(2.0)
    ('negative', 'neutral', 'positive')
    """
    return "positive" if value > 0 else "negative" if value < 0 else "neutral"


def _check_kind(kind: str) -> None:
    if kind not in QUESTION_KINDS:
        raise ConfigurationError(f"There is no question kind {kind!r}; expected one of {', '.join(QUESTION_KINDS)}.")


SUBTITLE_STREAM = "text"
_SAYS = re.compile(r'Says: "(.*)"')
# Plane 15 (supplementary private use): private-use characters of the basic plane do turn up in real subtitles.
FIRST_PLACEHOLDER, MAX_PLACEHOLDERS = 0xF0A00, 256


def placeholder(position: int) -> str:
    """The character of the stream that stands at this position among those shown.

    >>> placeholder(2) == chr(0xF0A02)
    True
    """
    return chr(FIRST_PLACEHOLDER + position)


def assemble_user_text(
    inputs: Sequence[str], subtitle: str, question: str, token_counts: Mapping[str, int] | None = None
) -> str:
    """Write the user turn of one clip.

    Args:
        inputs: Streams that the prompt shows, in its order.
        subtitle: What is said; shown when `text` is in `inputs`, also when it is empty (nobody speaks).
        question: The question.
        token_counts: Feature tokens a stream; 1 for a stream that is not named, 0 for one that gives none.

    Returns:
        The text with placeholders.
    """
    counts = token_counts or {}
    tokens = "".join(
        placeholder(position) * counts.get(name, 1) for position, name in enumerate(inputs) if name != SUBTITLE_STREAM
    )
    lines = [f"Clip: {tokens}"] if tokens else []
    if SUBTITLE_STREAM in inputs:
        lines.append(f'Says: "{" ".join(subtitle.split())}"')
    return "\n".join([*lines, question])


def taken_apart(text: str) -> tuple[str | None, str]:
    r"""Subtitle and question of a user turn that `assemble_user_text` wrote without feature tokens.

    Args:
        text: Of the turn.

    Returns:
        The subtitle, or None if the first line is none, and the rest.

    >>> taken_apart('Says: "Well, fine."\nHow is he?')
    ('Well, fine.', 'How is he?')
    >>> taken_apart("How is he?")
    (None, 'How is he?')
    """
    first, _, rest = text.lstrip().partition("\n")
    found = _SAYS.fullmatch(first.rstrip())
    return (None, text.strip()) if found is None else (found[1], rest.strip())


PROMPT_FORMS = ("chat", "plain")
# Tag of each stream in the released prompts; face and frame are both the video there.
_TAGS = {"multi": "Multi", "audio": "Audio", "face": "Video", "frame": "Video", SUBTITLE_STREAM: "Subtitle"}


@dataclass(frozen=True)
class PromptStyle:
    """How a clip is put into words.

    Attributes:
        prompt_form: `chat`: the user turn in the language model's chat template (our choice). `plain`: plain text
            between `###Human:` and `###Assistant:` (the form of the authors' released code).
        response_end: Text that a response is taught to end with, before the end token, and at which a generated one is
            cut off; empty for none (our choice). `###` in the authors' released code.

    Raises:
        ConfigurationError: The form is unknown.
    """

    prompt_form: str = "chat"
    response_end: str = ""

    def __post_init__(self) -> None:
        if self.prompt_form not in PROMPT_FORMS:
            raise ConfigurationError(f"`prompt_form` is one of {', '.join(PROMPT_FORMS)}; got {self.prompt_form!r}.")

    @property
    def begins(self) -> bool:
        """True where a prompt to learn from starts with the begin token; plain text has none otherwise."""
        return self.prompt_form == "plain"

    def prompt(
        self,
        render_chat: Callable[[str], str],
        inputs: Sequence[str],
        subtitle: str,
        question: str,
        token_counts: Mapping[str, int] | None = None,
    ) -> str:
        """The text of a whole prompt, up to where the response starts.

        Args:
            render_chat: Puts a user turn into the language model's chat template.
            inputs: Streams that the prompt shows, in its order.
            subtitle: What is said.
            question: The question.
            token_counts: Feature tokens a stream; see `assemble_user_text`.
        """
        if self.prompt_form == "plain":
            return assemble_plain_prompt(inputs, subtitle, question, token_counts)
        return render_chat(assemble_user_text(inputs, subtitle, question, token_counts))

    def wanted(self, response: str) -> str:
        """A response to learn, with what ends it."""
        return response + self.response_end

    def read_answer(self, generated: str) -> str:
        """The answer in a generated text.

        >>> PromptStyle(response_end="###").read_answer("He is glad.###Human:")
        'He is glad.'
        """
        return generated.partition(self.response_end)[0].rstrip() if self.response_end else generated


def assemble_plain_prompt(
    inputs: Sequence[str], subtitle: str, question: str, token_counts: Mapping[str, int] | None = None
) -> str:
    r"""Write one clip as plain text; arguments as in `assemble_user_text`.

    >>> assemble_plain_prompt(["text"], "Well,\n fine.", "How is he?")
    '###Human: <Subtitle>Well, fine.</Subtitle> How is he? ###Assistant: '
    """
    counts = token_counts or {}
    parts = []
    for position, name in enumerate(inputs):
        shown = " ".join(subtitle.split()) if name == SUBTITLE_STREAM else placeholder(position) * counts.get(name, 1)
        tag = _TAGS.get(name, name)
        if shown or name == SUBTITLE_STREAM:
            parts.append(f"<{tag}>{shown}</{tag}>")
    return f"###Human: {' '.join([*parts, question])} ###Assistant: "
