"""What a language model is asked to write one description from what was heard, seen and said (paper, Section 2.1).

The wording is ours; a user's own is a text or a file. The clue mergers `openai` and `causal-lm` ask with it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from affect_lightning.errors import ConfigurationError
from affect_lightning.prompting.extraction_prompts import text_or_file

PLACEHOLDERS = ("{audio}", "{visual}", "{subtitle}")
NOTHING = "nothing is known"  # stands where a clue is empty

DEFAULT_MERGING_PROMPT = """\
You are an experienced psychologist of emotion. Three notes about one person in a short video stand between the marks \
<<< and >>>. They may contain mistakes.

Heard in the voice: <<<{audio}>>>
Seen in the picture: <<<{visual}>>>
What the person says: <<<{subtitle}>>>

Write one paragraph of at most 120 words. Say which cues of the voice, the face and the words belong together, and conclude \
what the person feels. Where the notes contradict each other, prefer what two of them support. Add nothing that the notes \
do not have."""


@dataclass(frozen=True)
class MergingPrompt:
    """The text, checked.

    Attributes:
        text: With the placeholders `{audio}`, `{visual}` and `{subtitle}`.

    Raises:
        ConfigurationError: A placeholder is missing.
    """

    text: str = DEFAULT_MERGING_PROMPT

    def __post_init__(self) -> None:
        missing = [placeholder for placeholder in PLACEHOLDERS if placeholder not in self.text]
        if missing:
            raise ConfigurationError(
                f"Put {', '.join(missing)} into the prompt of the merger: expected a text with {', '.join(PLACEHOLDERS)}, or "
                f"the path of a file with one; got {self.text[:80]!r}."
            )

    @classmethod
    def read(cls, given: str | None) -> MergingPrompt:
        """A user's text or file, or ours where there is none."""
        return cls(text_or_file("prompt", given, PLACEHOLDERS[0]) or DEFAULT_MERGING_PROMPT)

    def about(self, audio: str, visual: str, subtitle: str) -> str:
        """The text for one clip.

        >>> MergingPrompt("{audio}|{visual}|{subtitle}").about("loud", "", "I {won}!")
        'loud|nothing is known|I {won}!'
        """
        parts = dict(zip(PLACEHOLDERS, (audio, visual, subtitle), strict=True))
        pieces, rest = [], self.text
        while rest:  # one pass, so that a clue with a placeholder in it stays as it is
            place, found = min(((rest.find(mark), mark) for mark in PLACEHOLDERS if mark in rest), default=(-1, ""))
            if place < 0:
                pieces.append(rest)
                break
            pieces += [rest[:place], " ".join(parts[found].split()) or NOTHING]
            rest = rest[place + len(found) :]
        return "".join(pieces)

    @property
    def sha256(self) -> str:
        """Hash of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()
