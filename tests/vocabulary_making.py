"""Derives the built-in vocabulary's `forms.tsv` and `words.tsv` from its `lexicon.tsv`: `python tests/vocabulary_making.py`.

English morphology by rule: adjectives get their adverb, their noun in -ness and short ones their degrees; nouns their
plural; verbs their inflections and the adverbs of their participles. A rule also makes forms that nobody writes, which
do no harm. `test_taxonomy.py` checks that the tables in the repository are what this script makes. The tables are part of the
package, the script is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "src" / "affect_lightning" / "metrics" / "builtin"
_VOWELS = "aeiou"
_IRREGULAR = {  # verbs whose past or participle no rule gives
    "hurt": ("hurt", "hurt"),
    "weep": ("wept", "wept"),
    "withdraw": ("withdrew", "withdrawn"),
    "upset": ("upset", "upset"),
}


def main() -> None:
    """Write both tables beside the lexicon."""
    for name, text in build_tables((FOLDER / "lexicon.tsv").read_text(encoding="utf-8")).items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def build_tables(lexicon: str) -> dict[str, str]:
    """Make the derived tables.

    Args:
        lexicon: Content of `lexicon.tsv`.

    Returns:
        File name to content. A base word that stands in several concepts takes the wheel words of all, in the order of
        the lexicon, and the valence of the first.
    """
    forms: dict[str, dict[str, None]] = {}
    valences: dict[str, str] = {}
    wheel_words: dict[str, dict[str, None]] = {}
    lines = [line for line in lexicon.splitlines() if line and not line.startswith("#")]
    for line in lines[1:]:
        _, valence, words, *columns = line.split("\t")
        for base, derived in _derived([column.split(", ") if column else [] for column in columns]):
            valences.setdefault(base, valence)
            wheel_words.setdefault(base, {}).update(dict.fromkeys(words.split(", ") if words else []))
            for form in derived:
                forms.setdefault(form, {})[base] = None
    form_lines = [f"{form}\t{', '.join(_direct_first(form, bases))}" for form, bases in sorted(forms.items())]
    word_lines = [f"{base}\t{valences[base]}\t{', '.join(words)}" for base, words in sorted(wheel_words.items())]
    return {
        "forms.tsv": "\n".join(["form\tbases", *form_lines, ""]),
        "words.tsv": "\n".join(["base\tvalence\twheel_words", *word_lines, ""]),
    }


def _direct_first(form: str, bases: dict[str, None]) -> list[str]:
    return [form] if form in bases else list(bases)


def _derived(columns: list[list[str]]) -> Iterator[tuple[str, list[str]]]:
    adjectives, nouns, verbs, others = columns
    for adjective in adjectives:
        yield adjective, _unique([adjective, adverb(adjective), *degrees(adjective), quality(adjective)])
    for noun in nouns:
        yield noun, _unique([noun, plural(noun)])
    for verb in verbs:
        yield verb, _unique(conjugation(verb))
    for other in others:
        yield other, [other]


def _unique(forms: list[str]) -> list[str]:
    return list(dict.fromkeys(form for form in forms if form))


def adverb(adjective: str) -> str:
    """The adverb in -ly.

    Examples:
        >>> [adverb(word) for word in ("happy", "gentle", "frantic", "dull", "sad")]
        ['happily', 'gently', 'frantically', 'dully', 'sadly']
    """
    if " " in adjective or adjective.endswith("ly"):
        return ""
    if adjective.endswith("y") and adjective[-2] not in _VOWELS and len(adjective) > 3:
        return f"{adjective[:-1]}ily"
    if adjective.endswith("le") and adjective[-3] not in _VOWELS:
        return f"{adjective[:-1]}y"
    if adjective.endswith("ic"):
        return f"{adjective}ally"
    return f"{adjective}y" if adjective.endswith("ll") else f"{adjective}ly"


def quality(adjective: str) -> str:
    """The noun in -ness.

    Examples:
        >>> quality("happy"), quality("sad")
        ('happiness', 'sadness')
    """
    if " " in adjective:
        return ""
    stem = f"{adjective[:-1]}i" if adjective.endswith("y") and adjective[-2] not in _VOWELS else adjective
    return f"{stem}ness"


def degrees(adjective: str) -> list[str]:
    """Comparative and superlative of short adjectives.

    Examples:
        >>> degrees("angry"), degrees("sad"), degrees("furious")
        (['angrier', 'angriest'], ['sadder', 'saddest'], [])
    """
    if len(adjective) > 6 or adjective.endswith(("ed", "ing", "ous", "ful", "ic", "ive")) or not adjective.isalpha():
        return []
    if adjective.endswith("y") and adjective[-2] not in _VOWELS:
        stem = f"{adjective[:-1]}i"
    elif adjective.endswith("e"):
        stem = adjective[:-1]
    else:
        stem = _doubled(adjective)
    return [f"{stem}er", f"{stem}est"]


def plural(noun: str) -> str:
    """The plural in -s; of a phrase, its last word's.

    Examples:
        >>> plural("worry"), plural("loss"), plural("joy")
        ('worries', 'losses', 'joys')
    """
    if noun.endswith("y") and noun[-2] not in _VOWELS:
        return f"{noun[:-1]}ies"
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    return f"{noun}s"


def conjugation(verb: str) -> list[str]:
    """Inflections of a verb, and the adverbs of its participles; of a phrase, the phrase alone.

    Examples:
        >>> conjugation("worry")
        ['worry', 'worries', 'worried', 'worrying', 'worriedly', 'worryingly']
        >>> conjugation("annoy")[2:4], conjugation("sob")[2:4], conjugation("tease")[2:4]
        (['annoyed', 'annoying'], ['sobbed', 'sobbing'], ['teased', 'teasing'])
    """
    if " " in verb:
        return [verb]
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        past, gerund = f"{verb[:-1]}ied", f"{verb}ing"
    elif verb.endswith("e"):
        past, gerund = f"{verb}d", f"{verb if verb.endswith('ee') else verb[:-1]}ing"
    else:
        past, gerund = f"{_doubled(verb)}ed", f"{_doubled(verb)}ing"
    if verb in _IRREGULAR:
        past, participle = _IRREGULAR[verb]
        return [verb, plural(verb), past, participle, gerund, f"{gerund}ly"]
    return [verb, plural(verb), past, gerund, f"{past}ly", f"{gerund}ly"]


def _doubled(word: str) -> str:
    """Double the last consonant of a word of one short syllable, or of one that is known to be stressed at its end."""
    if len(word) < 3 or word[-1] in f"{_VOWELS}wxy" or word[-2] not in _VOWELS or word[-3] in _VOWELS:
        return word
    one_syllable = sum(letter in f"{_VOWELS}y" for letter in word) == 1
    return word + word[-1] if one_syllable or word in {"regret", "upset", "abhor", "repel", "rebel", "submit"} else word


if __name__ == "__main__":
    main()
