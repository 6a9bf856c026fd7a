"""The stage `length`: descriptions in the tails of the distribution of lengths do not stay.

Paper: Section 2, low-level filtering: lengths are about Gaussian, and both tails are dropped. Figure 7 shows them. The
paper gives neither unit nor bounds. Real filtered texts are skewed, so cuts by quantile are the default, and the
quality of the Gaussian is told.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from affect_lightning.annotation.stages import Chunks, Scope, Stage
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.errors import ConfigurationError, DataError

Unit: TypeAlias = Literal["words", "characters", "tokens"]
Language: TypeAlias = Literal["auto", "spaced", "unspaced"]
Cut: TypeAlias = Literal["quantile", "gaussian"]
_UNSPACED = (
    r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana and Chinese characters: no blanks between words
)
_SPACED_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_AUTO_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+(?:['’-](?:(?![{_UNSPACED}])[^\W_])+)*")
_VISIBLE = re.compile(r"\S")
SKEWED = 0.5  # |skew| from which a Gaussian does not fit: the usual rule of thumb for "moderately skewed"


@dataclass(frozen=True)
class LengthOptions:
    """How long a description may be.

    Attributes:
        column: Of the texts.
        unit: `words`, `characters` (visible ones) or `tokens` (parts between blanks).
        language: For words: `spaced` has blanks between words, `unspaced` counts visible characters (Chinese,
            Japanese), `auto` counts each Chinese or Japanese character as a word and the rest by blanks.
        cut: `quantile`, our choice, which makes no assumption; or `gaussian`, as the paper's text suggests.
        low: Part of the clips below the lower cut (quantile); 0.025, our choice.
        high: Part of the clips above the upper cut (quantile); 0.025, our choice.
        deviations: Standard deviations on each side of the mean that stay (Gaussian); 1.96, which drops 5% of a true Gaussian.
    """

    column: str = "description"
    unit: Unit = "words"
    language: Language = "auto"
    cut: Cut = "quantile"
    low: float = 0.025
    high: float = 0.025
    deviations: float = 1.96

    def __post_init__(self) -> None:
        for name, kind in (("unit", Unit), ("language", Language), ("cut", Cut)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigurationError(
                    f"Choose {name} from {', '.join(get_args(kind))}; got {getattr(self, name)!r}."
                )
        if not (0 <= self.low < 1 and 0 <= self.high < 1 and self.low + self.high < 1):
            raise ConfigurationError(
                f"Give parts from 0 to 1 that together leave some clips; got low {self.low:g} and high {self.high:g}."
            )
        if not self.deviations > 0:
            raise ConfigurationError(f"Give a positive number of standard deviations; got {self.deviations:g}.")


def length_of(text: str, unit: Unit = "words", language: Language = "auto") -> int:
    """Length of a text.

    >>> length_of("She doesn't smile."), length_of("她很高兴, happy"), length_of("a  b", "characters")
    (3, 5, 2)
    """
    if unit == "tokens":
        return len(text.split())
    if unit == "characters" or language == "unspaced":
        return len(_VISIBLE.findall(text))
    return len((_SPACED_WORD if language == "spaced" else _AUTO_WORD).findall(text))


def words_in(text: str) -> list[str]:
    """The words that `length_of` counts by default: each Chinese or Japanese character is one.

    >>> words_in("She isn't 她.")
    ['She', "isn't", '她']
    """
    return _AUTO_WORD.findall(text)


@dataclass(frozen=True)
class LengthFit:
    """What the lengths look like, and where they are cut.

    Attributes:
        clips: Descriptions measured.
        mean: Of their lengths.
        deviation: Standard deviation (n - 1).
        skew: Third standardised moment; 0 for a Gaussian.
        excess: Fourth standardised moment less 3; 0 for a Gaussian.
        distance: Largest distance between the shares below a length and those of the Gaussian (Kolmogorov and Smirnov), 0 to 1.
        shortest: Length from which a description stays.
        longest: Length to which it stays.
    """

    clips: int
    mean: float
    deviation: float
    skew: float
    excess: float
    distance: float
    shortest: float
    longest: float

    @property
    def is_skewed(self) -> bool:
        """Whether a Gaussian does not fit."""
        return abs(self.skew) >= SKEWED


def fit_lengths(lengths: Sequence[int], options: LengthOptions) -> LengthFit:
    """Measure lengths and choose the cuts.

    Raises:
        DataError: There are fewer than two lengths.
    """
    if len(lengths) < 2:
        raise DataError(f"A distribution of lengths needs two descriptions or more; got {len(lengths)}.")
    values = np.sort(np.asarray(lengths, dtype=np.float64))
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    spread = float(values.std()) or 1.0
    standard = (values - mean) / spread
    if options.cut == "gaussian":
        shortest, longest = mean - options.deviations * deviation, mean + options.deviations * deviation
    else:
        shortest, longest = (float(cut) for cut in np.quantile(values, [options.low, 1 - options.high]))
    return LengthFit(
        clips=len(values),
        mean=mean,
        deviation=deviation,
        skew=float((standard**3).mean()),
        excess=float((standard**4).mean() - 3) if values[0] < values[-1] else 0.0,
        distance=_distance(values, mean, deviation),
        shortest=shortest,
        longest=longest,
    )


def _distance(values: np.ndarray[Any, np.dtype[np.float64]], mean: float, deviation: float) -> float:
    """Kolmogorov and Smirnov's distance to the fitted Gaussian; whole lengths count from half a unit below to half above."""
    if not deviation:
        return 1.0
    distinct, counts = np.unique(values, return_counts=True)
    below = np.cumsum(counts) / len(values)
    return float(np.abs(below - gaussian_share(distinct + 0.5, mean, deviation)).max())


def gaussian_share(
    values: np.ndarray[Any, np.dtype[np.float64]], mean: float, deviation: float
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Part of a Gaussian below each value."""
    from math import erf

    return np.array([0.5 * (1 + erf((value - mean) / (deviation * 2**0.5))) for value in values])


class LengthStage(Stage[LengthOptions]):
    """Adds the length of each description and whether it stays; clips that earlier filters dropped do not shape the cuts."""

    name = "length"
    fit: LengthFit | None = None
    measured: array[int] | None = None  # lengths of the clips that shape the cuts

    @property
    def scope(self) -> Scope:
        """The cuts follow from the lengths of all clips."""
        return "distribution"

    def prepare(self, chunks: Chunks) -> None:
        """Measure the clips that stayed so far; `fit` has the distribution afterwards."""
        measured = array("i")  # 4 bytes a clip: a million fit into any memory
        for table in chunks():
            kept = zip(self._lengths(table), table.kept(), strict=True)
            measured.extend(length for length, stays in kept if stays)
        self.fit, self.measured = fit_lengths(measured, self.options), measured

    def columns_of(self, table: ClipTable) -> dict[str, Sequence[Any]]:
        """See the contract; `prepare` comes first."""
        if self.fit is None:
            self.prepare(lambda: iter([table]))
        fit = self.fit
        assert fit is not None
        lengths = self._lengths(table)
        return {"length": lengths, "kept.length": [fit.shortest <= length <= fit.longest for length in lengths]}

    def _lengths(self, table: ClipTable) -> list[int]:
        options = self.options
        return [length_of(text, options.unit, options.language) for text in table.texts(options.column)]
