"""Objects as people and models write them beside JSON: JSON5, Python's own forms of objects, and blocks of YAML.

`{emotion: 'sad', // not calm }`, `Emotion(name='sad', score=0.8)`, `OrderedDict([('emotion', 'sad')])` and indented keys become
plain values, which `structure.py` reads as it reads JSON. Text that is none of these gives nothing. Standard library only.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

_DEEPEST = 20  # levels of brackets; our choice
_LONGEST_WORD = 400  # characters of a value without quotes; our choice
_QUOTES = {'"': '"', "'": "'", "“": "”", "”": "”", "‘": "’", "「": "」"}
_COMMENT = re.compile(r"\s+|//[^\n]*|/\*.*?\*/|#[^\n]*", re.DOTALL)
_BETWEEN_VALUES = ",，;；"
_KEY_ENDS = ":：="
_CLASS = re.compile(r"<class '[^']*'>\s*,\s*")
_CALL = re.compile(r"[A-Za-z_][\w.]*\(")
_ONLY_CALLS = re.compile(r"^\s*\[?\s*[A-Za-z_][\w.]*\((?=[\[{(<]|\w+\s*=\s*['\"\d\[{])")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
_CONSTANTS = {"true": True, "false": False, "null": None, "none": None, "undefined": None}
_YAML_LINE = re.compile(
    r"^(?P<indent> *)(?P<item>- +)?(?:(?P<key>[^\W\d_][\w -]{0,40}?|[\"'][^\"']{1,40}[\"']) *[:：](?= |$)(?P<value>.*)"
    r"|(?P<word>.*))$"
)
_YAML_BLOCK = re.compile(
    r"^ *(?:- +)?[^\W\d_][\w ]{0,40}[:：] *\n(?: +(?:- +)?|- +)[^\W\d_][\w ]{0,40}[:：] *\S", re.MULTILINE
)
_SERIES_END = re.compile(r"(?:^|\n|, )(?:Name: [^,\n]+, )?(?:Length: \d+, )?dtype: [\w\[\], ]+\)?\s*$")
_SERIES_ROW = re.compile(r"^\s*(?P<key>\S+(?: \S+)*?)(?:\s{2,}|\t)(?P<value>\S.*?)\s*$")
_FRAME = re.compile(r"^\s*[^\W\d][^\n]*\n0(?:\s{2,}|\t)\S")  # heads, and a first row whose index is 0
_CELLS_BETWEEN = re.compile(r"\s{2,}|\t")

_MOST_VALUES = 100  # objects of one answer that are read; our choice


class _NoObjectError(ValueError):
    """The text is no object."""


def decoded_values(text: str) -> list[Any]:
    """The JSON values of a text that begins with one, or the Python value that it is; empty if it is neither."""
    values: list[Any] = []
    start = 0
    try:
        while start >= 0 and len(values) < _MOST_VALUES:
            value, length = json.JSONDecoder(object_pairs_hook=_with_every_value).raw_decode(text[start:])
            values.append(value)
            start = text.find("{", start + length)
    except (ValueError, RecursionError):
        pass
    if values:
        return values
    closing = max(text.rfind("}"), text.rfind("]"))
    try:
        return [ast.literal_eval(text[: closing + 1])] if closing >= 0 else []
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return []


def _with_every_value(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which a key that stands twice keeps both of its words, where JSON would keep the last one."""
    content: dict[str, Any] = {}
    for key, value in pairs:
        both = key in content and isinstance(value, str | list) and isinstance(content[key], str | list)
        content[key] = [*_listed(content[key]), *_listed(value)] if both else value
    return content


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def loose_values(text: str) -> list[Any]:
    r"""The objects of a text that begins with `{` or `[`, or consists of calls; empty if it is none.

    >>> loose_values("{emotion: 'sad', // not calm\n}"), loose_values("Emotion(name='sad', score=0.8)")
    ([{'emotion': 'sad'}], [{'name': 'sad', 'score': 0.8}])
    >>> loose_values("{happy}"), loose_values("She is sad.")
    ([['happy']], [])
    """
    bare = _CLASS.sub("", text.strip())
    if not bare.startswith(("{", "[")) and not _ONLY_CALLS.match(bare):
        return []
    reader = _Reader(bare)
    found: list[Any] = []
    try:
        reader.skip()
        while not reader.ended and len(found) < _MOST_VALUES:
            found.append(reader.value(0))
            reader.skip(_BETWEEN_VALUES)
            if not reader.ended and not reader.next_is("{[") and not _CALL.match(bare, reader.position):
                break
    except _NoObjectError:
        return []
    return found


class _Reader:
    """Reads values one after another.

    Args:
        text: All of it.
    """

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self.position >= len(self.text)

    def next_is(self, characters: str) -> bool:
        """Whether the next character is one of these."""
        return not self.ended and self.text[self.position] in characters

    def skip(self, more: str = "") -> None:
        """Pass blanks, comments and the characters that are given."""
        while not self.ended:
            comment = _COMMENT.match(self.text, self.position)
            if comment:
                self.position = comment.end()
            elif self.text[self.position] in more:
                self.position += 1
            else:
                return

    def value(self, depth: int) -> Any:
        """The value that begins here."""
        if depth > _DEEPEST or self.ended:
            raise _NoObjectError
        mark = self.text[self.position]
        if mark in "{[(":
            self.position += 1
            return self._inside("}" if mark == "{" else "]" if mark == "[" else ")", depth)
        call = _CALL.match(self.text, self.position)
        if call:
            self.position = call.end()
            return self._called(call[0], self._inside(")", depth))
        return self._quoted() if mark in _QUOTES else self._bare()

    def _called(self, name: str, inner: Any) -> Any:
        """What a call says: its keywords, its pairs as an object, or its one value."""
        values = list(inner.pop("", [])) if isinstance(inner, dict) else inner
        if isinstance(inner, dict) and not values:
            return inner
        value = values[0] if values and isinstance(values[0], dict | list) else values
        is_pairs = isinstance(value, list) and all(isinstance(one, list) and len(one) == 2 for one in value)
        return {str(key): item for key, item in value} if "Dict" in name and is_pairs else value

    def _inside(self, end: str, depth: int) -> Any:
        """An object, or a list where no value has a key; plain values beside keys are under the empty key."""
        keyed: dict[str, Any] = {}
        plain: list[Any] = []
        self.skip(_BETWEEN_VALUES)
        while not self.next_is(end):
            first = self.value(depth + 1)
            self.skip()
            if self.next_is(_KEY_ENDS) and not isinstance(first, dict | list):
                self.position += 1
                self.skip()
                second = self.value(depth + 1)
                known = keyed.get(str(first))
                keyed[str(first)] = second if known is None else [known, second]
            else:
                plain.append(first)
            self.skip(_BETWEEN_VALUES)
            if self.ended:
                raise _NoObjectError
        self.position += 1
        if keyed and plain:
            keyed[""] = plain
        return keyed or plain

    def _quoted(self) -> str:
        """A text between quotes; an apostrophe within a word ends none."""
        quote = _QUOTES[self.text[self.position]]
        start = self.position = self.position + 1
        while not self.ended:
            if self.text[self.position] == "\\":
                self.position += 2
                continue
            if self.text[self.position] == quote and not self._is_within_a_word():
                self.position += 1
                return self.text[start : self.position - 1].replace("\\" + quote, quote).replace("\\n", "\n")
            self.position += 1
        raise _NoObjectError

    def _is_within_a_word(self) -> bool:
        around = self.text[self.position - 1 : self.position + 2]
        return self.text[self.position] in "'’" and len(around) == 3 and around[0].isalnum() and around[2].isalnum()

    def _bare(self) -> Any:
        """A word, a number or a constant without quotes."""
        ends = _BETWEEN_VALUES + _KEY_ENDS + "{}[]()\n"
        start = self.position
        while not self.ended and not self.next_is(ends) and self.position - start <= _LONGEST_WORD:
            if self.text.startswith(("//", "/*"), self.position):
                break
            self.position += 1
        word = self.text[start : self.position].strip()
        if not word:
            raise _NoObjectError
        if word.lower() in _CONSTANTS:
            return _CONSTANTS[word.lower()]
        return float(word) if _NUMBER.fullmatch(word) else word


def series_value(text: str) -> Any:
    r"""What pandas prints of a series or a table: an object, or a list below plain numbers; None for any other text.

    >>> series_value("0    sad\nName: emotion, dtype: object"), series_value("sad    0.8\ncalm   0.1\ndtype: float64")
    (['sad'], {'sad': 0.8, 'calm': 0.1})
    >>> series_value("Series([], dtype: object)"), series_value("sad")
    ([], None)
    >>> series_value("  emotion  score\n0     sad    0.8")
    [{'emotion': 'sad', 'score': 0.8}]
    """
    if _FRAME.match(text):
        return _frame_rows(text)
    end = _SERIES_END.search(text) if "dtype:" in text else None
    if end is None:
        return None
    lines = [line for line in text[: end.start()].splitlines() if line.strip() and not line.startswith("Series([]")]
    rows = [_SERIES_ROW.match(line) for line in lines]
    if len(rows) > 1 and rows[0] is None and rows[1] is not None:
        rows = rows[1:]  # below the name of the index
    pairs = [(row["key"], _plain(row["value"])) for row in rows if row is not None]
    if len(pairs) < len(rows):
        return [line.strip() for line in lines]
    return [value for _, value in pairs] if all(key.isdecimal() for key, _ in pairs) else dict(pairs)


def _frame_rows(text: str) -> list[dict[str, Any]] | None:
    """The rows of a printed table, an object each; None if one has not a cell for each head behind its index."""
    heads, *rows = (
        [cell for cell in _CELLS_BETWEEN.split(line.strip()) if cell] for line in text.strip("\n").splitlines()
    )
    if not all(len(row) == len(heads) + 1 and row[0].isdecimal() for row in rows):
        return None
    return [dict(zip(heads, map(_plain, row[1:]), strict=True)) for row in rows]


def yaml_value(text: str) -> Any:
    r"""The value of indented keys and items, as YAML has them; None for a text without a nested block.

    >>> yaml_value("emotion:\n  name: sad\n  score: 0.8"), yaml_value("emotion: sad")
    ({'emotion': {'name': 'sad', 'score': 0.8}}, None)
    """
    if "\n" not in text or not _YAML_BLOCK.search(text):
        return None
    lines = [line.split(" #")[0].rstrip() for line in text.strip("\n").splitlines()]
    rows = [row for line in lines if line.strip(" -.") and (row := _YAML_LINE.match(line.replace("\t", "  ")))]
    value, position = _block(rows, 0, 0)
    return value if position == len(rows) else None


def _block(rows: list[re.Match[str]], position: int, depth: int) -> tuple[Any, int]:
    """The value of the rows that are indented as the first one is, and where it ends."""
    indent = len(rows[position]["indent"])
    keyed: dict[str, Any] = {}
    items: list[Any] = []
    of_items = bool(rows[position]["item"])
    while position < len(rows) and len(rows[position]["indent"]) >= indent and depth < _DEEPEST:
        row = rows[position]
        if bool(row["item"]) != of_items and len(row["indent"]) == indent:
            break
        if row["item"] and row["key"]:
            value, position = _item(rows, position, depth)
            items.append(value)
            continue
        if row["word"] is not None:
            items.append(row["word"].strip(" \"'"))
            position += 1
            continue
        value = _plain(row["value"])
        position += 1
        if value == "" and position < len(rows) and _is_below(rows[position], indent):
            value, position = _block(rows, position, depth + 1)
        keyed[row["key"].strip("\"'")] = value
    return keyed or items, position


def _item(rows: list[re.Match[str]], position: int, depth: int) -> tuple[dict[str, Any], int]:
    """One item of a list that is an object: its first key behind the dash, the others below it."""
    first = rows[position]
    found: dict[str, Any] = {first["key"].strip("\"'"): _plain(first["value"])}
    position += 1
    inner = len(first["indent"]) + 1
    while position < len(rows) and len(rows[position]["indent"]) >= inner and rows[position]["key"]:
        found[rows[position]["key"].strip("\"'")] = _plain(rows[position]["value"])
        position += 1
    return found, position


def _is_below(row: re.Match[str], indent: int) -> bool:
    return len(row["indent"]) > indent or bool(row["item"])


def _plain(value: str) -> Any:
    word = value.strip().strip("\"'")
    return float(word) if _NUMBER.fullmatch(word) else word
