"""One clip under two names: with or without an ending, a folder or leading zeros, joined in another way.

Label files and saved outputs come from different hands: `dia0_utt0.mp4` means MELD's `test_dia0_utt0`, `video_0001$_$0002`
(MMSA) means `video_0001_0002`, a spreadsheet has turned `00017` into 17, and a copied name has full-width or invisible
characters. Equal names always win; a form that could mean two clips means none. Neighbours: `own_clips.py` finds media by
it, the scorer joins predictions with truths.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from affect_lightning.errors import DataError
from affect_lightning.plain_characters import plain_characters

MEDIA_SUFFIXES = (
    *(".mp4", ".avi", ".mkv", ".mov", ".flv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"),
    *(".wav", ".flac", ".mp3", ".m4a", ".ogg", ".aac", ".npy"),
)
_NAMES_CLIPS = re.compile(
    r"(?i)(?:(?:clip|file|video|audio|media|sample|utterance|dialogue)s?[ _-]?)?(?:names?|ids?|paths?|files?)"
    r"|clips?|videos?|audios?"
)
_NUMBERING = re.compile(r"(?i)(?:\w*[ _-])?(?:id|idx|index)")
_FROM_A_ROOT = re.compile(r"(?:[A-Za-z]:)?[./~\\]")
_DIGITS = re.compile(r"\d+")
_MELD_SPLIT = re.compile(r"(?i)^(?:train|dev|val|test)[_-]?(?=dia\d+_utt\d+$)")


def names_clips(column: str) -> bool:
    """Whether the name of a column says that it has the names of clips.

    >>> names_clips("Video_Path"), names_clips("id"), names_clips("speaker_id")
    (True, True, False)
    """
    return _NAMES_CLIPS.fullmatch(column.strip()) is not None


def bare_name(name: str) -> str:
    r"""A name without folder and without the ending of a media file.

    >>> bare_name("clips\\a.b.MP4"), bare_name("a.b")
    ('a.b', 'a.b')
    """
    last = name.strip().replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, ending = last.rpartition(".")
    return stem if stem and f"{dot}{ending}".lower() in MEDIA_SUFFIXES else last


def plain_name(name: str) -> str:
    """What the names of one clip have in common.

    >>> plain_name("video_0001$_$0002"), plain_name("test_dia3_utt0"), plain_name("out/00017.mp4")
    ('video_1_2', 'dia3_utt0', '17')
    """
    plain = unicodedata.normalize("NFKC", plain_characters(name))
    joined = _MELD_SPLIT.sub("", bare_name(plain).replace("$_$", "_"))
    return _DIGITS.sub(lambda found: found.group().lstrip("0") or "0", joined)


def same_clips(wanted: Iterable[str], given: Iterable[str]) -> dict[str, str]:
    """Which of the given names mean one of the wanted names, although they are written in another way.

    Args:
        wanted: Such as the names of a label file.
        given: Such as the names in saved outputs.

    Returns:
        Wanted name by given name; equal names, and forms that several names share, are left out.

    >>> same_clips(["001", "a", "b"], ["1", "a.mp4", "b"])
    {'1': '001', 'a.mp4': 'a'}
    """
    wanted, given = list(wanted), list(given)
    equal = {*wanted} & {*given}
    open_wanted = _by_plain_name(name for name in wanted if name not in equal)
    open_given = _by_plain_name(name for name in given if name not in equal)
    return {name: open_wanted[plain] for plain, name in open_given.items() if plain in open_wanted}


def _by_plain_name(names: Iterable[str]) -> dict[str, str]:
    plain = {name: plain_name(name) for name in names}
    counts = Counter(plain.values())
    return {form: name for name, form in plain.items() if counts[form] == 1}


def listed_twice(wanted: Iterable[str], given: Iterable[str]) -> list[tuple[str, str]]:
    """Given names that differ in no more than case, ending or folder, where one wanted name alone is written so.

    Names in two different folders are two clips; so are those of two wanted names, such as `A` and `a`.

    >>> listed_twice(["a", "b"], ["a.mp4", "a", "b", "x/c", "y/c"]), listed_twice(["A", "a"], ["A", "a"])
    ([('a.mp4', 'a')], [])
    """
    forms = Counter(map(_loose_form, wanted))
    found: dict[str, str] = {}
    pairs = []
    for name in given:
        form = _loose_form(name)
        if forms[form] != 1:
            continue
        first = found.setdefault(form, name)
        if first != name and (_folder(first) == _folder(name) or not _folder(first) or not _folder(name)):
            pairs.append((first, name))
    return pairs


def _loose_form(name: str) -> str:
    return bare_name(unicodedata.normalize("NFKC", plain_characters(name))).casefold()


def _folder(name: str) -> str:
    return name.strip().replace("\\", "/").rpartition("/")[0].casefold()


def check_positions(path: Path, column: str, found: Collection[str], names: Collection[str]) -> None:
    """Refuse positions from 0, as `doc_id` of lmms-eval, for clips named 1, 2, 3: each row would go to a neighbour.

    Args:
        path: File of the rows.
        column: Its column that is read as the clip's name.
        found: What the column says.
        names: The clips of the set.

    Raises:
        DataError: The rows are numbered 0 to n - 1, and the set's clips are numbered without a 0.
    """
    if "0" not in found or not all(map(str.isdecimal, names)) or {*found} != {*map(str, range(len(found)))}:
        return
    numbers = {int(name) for name in names}  # `0001` is 1
    if 0 not in numbers and numbers & {*range(len(found))}:
        raise DataError(
            f"The column {column!r} of {path} counts from 0 to {len(found) - 1}, and the set's clips are numbered without a "
            f"clip '0'. These are positions, and each row would go to the wrong clip. Add a column 'name' with the clips' "
            f"names, or say which column has them: --column name=COLUMN."
        )


def check_numbering(path: Path, column: str, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Refuse row numbers beside the paths of clips with other names: numeric clips would be joined with another row.

    Args:
        path: File of the rows.
        column: Its column that is read as the clip's name, unless the user has chosen it.
        kind: Of `--column`, for the message.
        rows: All of them.

    Raises:
        DataError: The column is an id of running whole numbers, and most paths of another column have other stems.
    """
    if not _NUMBERING.fullmatch(column.strip()):
        return
    numbers: list[int] = []  # lowest, highest
    count, differing, example = 0, dict[str, int](), dict[str, str]()
    for count, row in enumerate(rows, start=1):
        name = str(row.get(column)).strip()
        if not name.isdecimal():
            return
        numbers = [min([*numbers, int(name)]), max([*numbers, int(name)])]
        if count == 1:
            differing = {other: 0 for other in row if other != column}
        for other in list(differing):
            cell = row.get(other)
            if cell is None or cell == "":
                continue
            if not _is_path(other, cell):
                del differing[other]
            elif plain_name(cell) != plain_name(name):
                differing[other] += 1
                example.setdefault(other, f"{name} beside {cell}")
        if not differing:
            return
    for other, different in differing.items():
        if count > 1 and numbers[1] - numbers[0] + 1 == count and 2 * different > count:
            raise DataError(
                f"Say which column of {path} has the clips' names: `--column {kind}={other}` or `--column {kind}={column}`. "
                f"{column!r} counts from {numbers[0]} to {numbers[1]} and {other!r} names other clips, such as {example[other]}."
            )


def _is_path(column: str, cell: Any) -> bool:
    """Whether a cell ends as media do, or has folders where `happy/sad` would not stand."""
    if not isinstance(cell, str):
        return False
    text = cell.strip().replace("\\", "/")
    has_folder = "/" in text and (names_clips(column) or _FROM_A_ROOT.match(text) is not None)
    return text.lower().endswith(MEDIA_SUFFIXES) or has_folder
