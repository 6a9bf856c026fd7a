"""Label lists as texts.

Label files and saved outputs write emotion words as `"['a', 'b']"` or `"[a, b]"`. The rule is that of the
authors' released metric: strip the outer brackets, split at quotes and commas. The functional metrics and the readers
of label files use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"['\",]")

LabelList = str | Iterable[object] | None


def parse_labels(labels: LabelList) -> tuple[str, ...]:
    """Emotion words of a label list, however it is written; case and repeats are kept.

    Args:
        labels: A text such as `"['a', 'b']"`, `"[a, b]"` or `"a, b"`; or an iterable of words; or None.

    Returns:
        The words without surrounding blanks; empty ones are left out.

    Examples:
        >>> parse_labels("['happy', 'a bit shy']")
        ('happy', 'a bit shy')
        >>> parse_labels("[Happy, calm]")
        ('Happy', 'calm')
        >>> parse_labels(["happy ", ""])
        ('happy',)
        >>> parse_labels("[]")
        ()
    """
    if labels is None:
        return ()
    if isinstance(labels, str):
        labels = _SEPARATORS.split(labels.strip().removeprefix("[").removesuffix("]"))
    stripped = (str(word).strip() for word in labels if word is not None)
    return tuple(word for word in stripped if word)
