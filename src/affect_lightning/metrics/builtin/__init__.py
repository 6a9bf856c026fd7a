"""The built-in taxonomy's tables: our own vocabulary on the five published wheels.

`wheels.tsv` lists the wheels' words (facts) and `lexicon.tsv` our vocabulary. `forms.tsv` (word forms by morphology) and
`words.tsv` (base words with valence and wheel words) are derived from it by the repository's `tests/vocabulary_making.py`.
`taxonomy.py` above reads them through this module, and so does the rule-based label extractor, which also uses words that
stand on no wheel.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib import resources

from affect_lightning.metrics.wheels import Wheel

BuiltinTables = tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], tuple[Wheel, ...]]


def read_builtin_tables() -> BuiltinTables:
    """Word form to base words, base word to wheel words (closest first), and the five wheels."""
    forms = {form: tuple(bases.split(", ")) for form, bases in _rows("forms.tsv")}
    words = {base: tuple(wheel_words.split(", ")) for base, _, wheel_words in _rows("words.tsv") if wheel_words}
    wheels: dict[str, list[tuple[str, str, str]]] = {}
    for number, inner, middle, outer in _rows("wheels.tsv"):
        wheels.setdefault(number, []).append((inner, middle, outer))
    kept = {form: placed for form, bases in forms.items() if (placed := tuple(base for base in bases if base in words))}
    return kept, words, tuple(Wheel.from_rows(rows) for rows in wheels.values())


@lru_cache(maxsize=1)
def builtin_valences() -> dict[str, float]:
    """Every word form of the built-in vocabulary, on a wheel or not, with its valence: -1.5 negative to 1 positive."""
    valence_of_base = {base: float(valence) for base, valence, _ in _rows("words.tsv")}
    return {form: valence_of_base[bases.split(", ")[0]] for form, bases in _rows("forms.tsv")}


def _rows(name: str) -> list[list[str]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
