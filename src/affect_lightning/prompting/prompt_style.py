"""How a clip is put into words: the chat template or plain text, and what ends a response (paper, Section 3.1).

`chat` is ours: the language model's own template around the user turn. `plain` has the shape of the prompts in the
authors' released code: two speakers, a tag around each stream, no template. The words between the tags are ours.
Neighbours: `user_turn.py` writes the user turn, `model.prompt_assembly` turns the text into token ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from affect_lightning.errors import ConfigurationError
from affect_lightning.prompting.user_turn import SUBTITLE_STREAM, assemble_user_text, placeholder

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
