"""The cells of a table that tell emotions: below a head that says so, beside such a word, ticked, or with the highest numbers.

`structure.py` finds the rows of a table in Markdown.
"""

from __future__ import annotations

from affect_lightning.label_strings import best_words, scored_words
from affect_lightning.prompting.cleaning.chosen_parts import rows_that_count
from affect_lightning.prompting.cleaning.keyed_lines import MEASURE, SENTIMENT, TOLD, is_measure, number_of, worth_of


def cells_that_tell(rows: list[list[str]]) -> list[str]:
    """The cells of a table that tell emotions.

    Args:
        rows: At least one; the first is the head.

    >>> cells_that_tell([["Emotion", "Chosen"], ["calm", ""], ["sad", "x"]])
    ['sad']
    """
    if len(rows) > 1 and all(len(row) == 2 and (MEASURE.search(row[0]) or TOLD.match(row[0])) for row in rows):
        return [value for key, value in rows if TOLD.match(key) and not MEASURE.search(key)]
    head, body = rows[0], rows[1:]
    body = rows_that_count(head, body)
    across = _scores_across(head, body)
    if across is not None:
        return across
    worths = [worth_of(row[1]) if len(row) == 2 else None for row in body]
    if body and None not in worths:
        return best_words((row[0], worth or 0.0) for row, worth in zip(body, worths, strict=True))
    column = next((index for index, cell in enumerate(head) if TOLD.match(cell) and not MEASURE.search(cell)), None)
    if column is None:
        column = next((index for index, cell in enumerate(head) if SENTIMENT.match(cell)), None)
    if column is None:
        beside = [row[1] for row in rows if len(row) > 1 and TOLD.match(row[0])]
        return beside or [row[0] for row in body if row and not any(c.isdigit() for c in row[0])]
    cells = [row[column] for row in body if len(row) > column]
    numbers = next((index for index, cell in enumerate(head) if is_measure(cell)), None)
    if numbers is not None and len(body) > 1:
        scored = scored_words(
            ", ".join(f"{row[column]}: {row[numbers]}" for row in body if len(row) > max(column, numbers))
        )
        cells = list(scored) if scored is not None else cells
    return cells


def tells_emotions(rows: list[list[str]]) -> bool:
    """Whether a table has emotions: a head or a row that says so, or nothing but numbers, yes and no beside words.

    >>> tells_emotions([["Cue", "Value"], ["Face", "smile"]]), tells_emotions([["Emotion", "Cue"], ["happy", "smile"]])
    (False, True)
    """
    heads = [*rows[0], *(row[0] for row in rows[1:] if row)]
    if any((TOLD.match(cell) and not MEASURE.search(cell)) or SENTIMENT.match(cell) for cell in heads):
        return True
    return len(rows) > 1 and all(len(row) > 1 and number_of(row[-1]) is not None for row in rows[1:])


def _scores_across(head: list[str], body: list[list[str]]) -> list[str] | None:
    """The best heads of a table of one row of numbers, an emotion a column; None for any other table."""
    if len(body) != 1 or len(body[0]) != len(head):
        return None
    pairs = [(word, number_of(cell)) for word, cell in zip(head, body[0], strict=True)]
    if pairs[0][1] is None and (MEASURE.search(body[0][0]) or TOLD.match(head[0]) or not head[0]):
        pairs = pairs[1:]
    scored = [(word, number) for word, number in pairs if number is not None and not _names_no_emotion(word)]
    return best_words(scored) if len(scored) == len(pairs) > 1 else None


def _names_no_emotion(word: str) -> bool:
    return bool(not word or MEASURE.search(word) or TOLD.match(word))
