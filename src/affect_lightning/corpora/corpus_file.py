"""`corpus.json`: what a generated corpus declares of itself, and how many clips a test set must have.

A set that lost clips gives scores that cannot be compared, and nothing else shows it. So the number of clips must be
that of Table 11 of the paper; a generated corpus declares its own in the `corpus.json` next to the folders of its sets.
The file also has the words that its labels use and the best possible scores. The sandbox writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Literal

from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.corpora.sets import MER_UNIBENCH, BenchmarkSet
from affect_lightning.corpora.truths import SplitTruths
from affect_lightning.errors import DataError

ExpectedCount = Literal["official", "any"] | int
CORPUS_FILE = "corpus.json"


def expected_number(folder: Path, item: BenchmarkSet, expected: ExpectedCount) -> tuple[int, str] | None:
    """How many clips the set should have, and who says so; None if any number will do.

    Args:
        folder: The set's folder; a `corpus.json` may be in it or next to it.
        item: The set.
        expected: `official` (what the corpus declares, else the table of the sets), `any`, or a number.

    Raises:
        DataError: `expected` is something else, or the corpus.json is broken.
    """
    if expected == "any":
        return None
    if isinstance(expected, int) and not isinstance(expected, bool) and expected > 0:
        return expected, "the option expected_counts"
    if expected != "official":
        raise DataError(f"expected_counts must be official, any or a positive number; got {expected!r} for {item.key}.")
    declared, path = _declaration(folder)
    number = _declared_number(declared, path, item.key) if path is not None else None
    if number is not None:
        return number, str(path)
    if item.clips is None:
        return None
    return item.clips, "Table 11 of the paper" if item.key in MER_UNIBENCH.sets else "the set's description"


def check_count(item: BenchmarkSet, labels: SplitTruths, wanted: tuple[int, str], present: Set[str]) -> None:
    """Compare the number of labelled clips with the wanted one.

    Args:
        item: The set.
        labels: Its label file, read.
        wanted: What `expected_number` gave.
        present: Names of the clips that have a transcript, a video or a sound file: evidence of what is missing.

    Raises:
        DataError: The numbers differ. The message names the clips that are missing (a transcript or media, but no
            label) and surplus (a label, but neither transcript nor media), as far as the folder tells.
    """
    (number, source), found = wanted, len(labels.truths)
    if found == number:
        return
    missing = sorted(
        name for name in present - labels.truths.keys() - labels.other_names if name.startswith(item.name_prefix)
    )
    surplus = sorted(labels.truths.keys() - present)
    evidence = []
    if missing:
        evidence.append(f"Without a label, but with a transcript or media: {shown(missing)} ({len(missing)}).")
    if surplus:
        evidence.append(f"With a label, but with neither transcript nor media: {shown(surplus)} ({len(surplus)}).")
    if not evidence:
        evidence.append("Labels, transcripts and media agree with each other, so these clips cannot be named.")
    difference = abs(found - number)
    raise DataError(
        f"{labels.path} lists {found} clips of {item.title}; {source} says {number}, so {difference} "
        f"{'is' if difference == 1 else 'are'} {'too many' if found > number else 'missing'}. {' '.join(evidence)} "
        f"Restore the official files, or accept your own number with expected_counts: any, or {{{item.key}: {found}}}."
    )


def declared_training_number(folder: Path, key: str) -> int | None:
    """Clips of a training set as a generated corpus declares them; None for any other folder.

    Args:
        folder: The set's folder; a `corpus.json` may be in it or next to it.
        key: Of the set.

    Raises:
        DataError: The corpus.json is broken.
    """
    training = _declaration(folder)[0].get("training")
    if not isinstance(training, dict) or training.get("corpus") != key:
        return None
    number = training.get("clips")
    return number if isinstance(number, int) else None


def declared_words(folder: Path) -> frozenset[str]:
    """Emotion words that a generated corpus says it uses, some of them on purpose on no wheel; else none.

    Args:
        folder: The set's folder; a `corpus.json` may be in it or next to it.

    Raises:
        DataError: The corpus.json is broken.
    """
    words = _declaration(folder)[0].get("label_words")
    return frozenset(str(word) for word in words) if isinstance(words, list) else frozenset()


def declared_bounds(path: Path) -> Mapping[str, Mapping[str, float]]:
    """The best possible scores of a corpus.json: fractions by set (or `mean`) and subset of the modalities.

    Raises:
        DataError: The file is unreadable, or its bounds have another form.
    """
    bounds = _content(path).get("bounds")
    scores = bounds.get("scores") if isinstance(bounds, dict) else None
    rows = list(scores.values()) if isinstance(scores, dict) else [None]
    if not all(isinstance(row, dict) and all(isinstance(value, int | float) for value in row.values()) for row in rows):
        raise DataError(
            f"{path} has no table `bounds.scores` of fractions by set and subset of the modalities. Generate the corpus "
            f"again with `affect-lightning sandbox`."
        )
    return scores or {}


def is_generated(place: Path, key: str) -> bool:
    """Whether a generated corpus declares that test set as its own.

    Args:
        place: The corpus.json, the folder of all sets or of the set, or a label file in it.
        key: Of the set.

    Raises:
        DataError: The corpus.json is broken.
    """
    places = [place] if place.name == CORPUS_FILE else [above / CORPUS_FILE for above in (place, *place.parents[:2])]
    found = next((path for path in places if path.is_file()), None)
    sets = _content(found).get("test_sets") if found is not None else None
    return isinstance(sets, dict) and key in sets


def _declaration(folder: Path) -> tuple[dict[str, Any], Path | None]:
    """Content and path of the corpus.json in a set's folder or next to it; empty and None where there is none."""
    path = next((path for path in (folder / CORPUS_FILE, folder.parent / CORPUS_FILE) if path.is_file()), None)
    return ({}, None) if path is None else (_content(path), path)


def _content(path: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. Generate the corpus again, or remove the file.") from error
    return content if isinstance(content, dict) else {"test_sets": None}


def _declared_number(content: Mapping[str, Any], path: Path, key: str) -> int | None:
    sets = content.get("test_sets", {})
    declared = sets.get(key) if isinstance(sets, dict) else None
    if declared is None and isinstance(sets, dict):
        return None
    number = declared.get("clips") if isinstance(declared, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise DataError(
            f'{path} should declare the clips of {key} as {{"test_sets": {{"{key}": {{"clips": 20}}}}}}; found '
            f"{declared!r}. Generate the corpus again, or remove the file."
        )
    return number
