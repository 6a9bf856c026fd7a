"""Characters that look like others or like nothing, as copied texts, Chinese keyboards and web pages bring them.

`ｈａｐｐｙ` in full-width letters, `ha<zero width space>ppy` or a byte order mark before a column's name are neither a word nor
a column that anybody knows. Readers of label files, saved outputs and responses ask here before they compare a text with
anything. Punctuation stays as it is: Chinese rules and separators tell `，` from `,`. Standard library only.
"""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = (
    "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"  # soft hyphen, zero width, directions
)
_BLANK = "\u00a0\u2000-\u200a\u202f\u205f\u3000"
# Full-width letters, digits and signs between them; ligatures; letters and digits of mathematics (bold, script ...)
_SHAPED = "\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff0b\uff0d\uff0e\uff3f\ufb00-\ufb06\U0001d400-\U0001d7ff"
_ODD = re.compile(f"[{_INVISIBLE}{_BLANK}{_SHAPED}]")
_GONE = re.compile(f"[{_INVISIBLE}]")


def plain_characters(text: str) -> str:
    r"""The text with plain letters, digits and blanks, and without characters that nobody sees.

    >>> plain_characters("ｈａ\u200bppy，\ufeffｃａｌｍ　１"), plain_characters("café")
    ('happy，calm 1', 'café')
    """
    return text if text.isascii() else _ODD.sub(_plain, text)


def _plain(found: re.Match[str]) -> str:
    return "" if _GONE.match(found[0]) else unicodedata.normalize("NFKC", found[0])
