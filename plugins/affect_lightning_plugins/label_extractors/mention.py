"""An emotion word in a text, with what stands before and behind it. `mentions.py` and `chinese_mentions.py` find them."""

from __future__ import annotations

from typing import NamedTuple

REACH = 1000  # characters around a mention that are looked at; our choice, far more than MAX_SCOPE words: a response may be pages


class Mention(NamedTuple):
    """An emotion word in a text.

    Attributes:
        word: In lower case, as the vocabulary spells it.
        start: Position of its first character.
        end: Position after its last character.
    """

    word: str
    start: int
    end: int

    def before(self, text: str) -> str:
        """What stands before it, as far as anything looks."""
        return text[max(0, self.start - REACH) : self.start]

    def behind(self, text: str) -> str:
        """What stands behind it, as far as anything looks."""
        return text[self.end : self.end + REACH]
