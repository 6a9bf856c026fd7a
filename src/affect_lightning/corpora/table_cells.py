"""Cells of tables into what they mean: true emotion words, and sentiment values.

Paper: Appendix C (annotation of MER-Caption+ and of the nine sets). `label_strings.py` and `sentiment_strings.py` read words
and sentiments for both sides of a score; here a cell that holds none is refused with file, row and column.
`annotation_tables.py` reads the rows.
"""

from __future__ import annotations

import math

from affect_lightning.corpora.annotation_tables import TableRow, refuse
from affect_lightning.errors import DataError
from affect_lightning.label_strings import given_words, is_no_word, words_of_object
from affect_lightning.sentiment_strings import sentiment_value


def true_labels(text: str, where: str) -> tuple[str, ...]:
    """Emotion words out of a cell such as `['angry', 'hurt']`, `[angry, hurt]` or `angry; hurt`, each once.

    Split as predictions are (`label_strings.py`); but a truth must be sound, where a prediction may be anything.

    Args:
        text: The cell; empty or `[]` gives no words.
        where: File, row and column, for the message.

    Raises:
        DataError: A bracket is open at one side only, a word has not a single letter, or the cell is `nan` or `None`.

    >>> true_labels("['angry', 'hurt']", "label.csv, line 2, column openset")
    ('angry', 'hurt')
    """
    inner = text.strip()
    unbalanced = inner.startswith("[") != inner.endswith("]")
    return _sound(inner, given_words(inner), where, damaged=unbalanced)


def words_of(row: TableRow, column: str) -> tuple[str, ...]:
    """The emotion words of a cell: a list of texts, or a text; see `true_labels`.

    Raises:
        DataError: It is neither; the message names file, row and column.
    """
    value = row.get(column)
    if isinstance(value, str):
        return true_labels(value, row.where(column))
    objects = words_of_object(value)
    if objects is not None:
        return _sound(str(value), objects, row.where(column), damaged=False)
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        refuse(
            row,
            column,
            f'expected a list of words such as ["angry", "hurt"], found {value!r:.100}. Write the words as a list.',
        )
    empty = next((word for word in value if word.strip() and is_no_word(word)), None)
    return _sound(str(value), given_words(value), row.where(column), damaged=empty is not None)


def _sound(found: str, words: tuple[str, ...], where: str, *, damaged: bool) -> tuple[str, ...]:
    bare = found.strip(" []()'\"")
    says_none = found.startswith("[") and any(map(str.isalpha, bare))  # a list of `none` alone is an empty list
    nothing = (bare and not words and not says_none) or any(is_no_word(word) for word in words)
    if damaged or nothing:
        raise DataError(
            f"{where}: the emotion words cannot be read from {found!r}; expected a list such as \"['angry', 'hurt']\". "
            f"Fix the cell, or leave it empty."
        )
    return tuple(dict.fromkeys(words))


def number_of(row: TableRow, column: str) -> float:
    """The value of a cell: a finite number, or a sentiment in words as 1, -1 or 0.

    Raises:
        DataError: It is neither; the message names file, row and column.
    """
    value = row.get(column)
    number = None if value is None or isinstance(value, bool) else sentiment_value(str(value))
    if number is None or not math.isfinite(number):
        refuse(
            row,
            column,
            f"{value!r:.60} is not a number, nor positive, negative or neutral; expected a value such as -0.4, positive above 0.",
        )
    return number
