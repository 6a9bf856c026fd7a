"""Label lists as texts: the one rule by which truths and predictions are split into emotion words.

Label files and saved outputs write emotion words as `"['a', 'b']"` or `"[a, b]"`. The rule is that of the authors'
released metric, which strips the outer brackets and splits at quotes and commas; the Chinese comma and enumeration
comma split as well, which no official label or saved output contains. Readers of label files, of saved outputs and the
metrics use it. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"""["',，、]""")

LabelList = str | Iterable[object] | None


def parse_labels(labels: LabelList) -> tuple[str, ...]:
    """Emotion words of a label list, however it is written; case and repeats are kept.

    Args:
        labels: A text such as `"['a', 'b']"`, `"[a, b]"` or `"a, b"`; or an iterable of words, which are not split; or
            None.

    Returns:
        The words without surrounding blanks; empty ones are left out.

    Examples:
        >>> parse_labels("['happy', 'a bit shy']")
        ('happy', 'a bit shy')
        >>> parse_labels("[Happy, calm]")
        ('Happy', 'calm')
        >>> parse_labels("高兴，激动")
        ('高兴', '激动')
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
