"""Rewards of a response's form, which need no truth: its format, and its length (AffectGPT-R1, arXiv 2508.01318; ours).

A metric that counts a hit among many labels rewards long lists: the length reward takes that away. `emotion_wheels.py` has
the rewards of what a response says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from affect_lightning.contracts import Reward, SampledResponse
from affect_lightning.errors import ConfigurationError

_REASONING = re.compile(r"\s*<think>(?P<thought>.+?)</think>\s*<answer>(?P<answer>.+?)</answer>\s*", re.DOTALL)
_MARK = re.compile(r"</?(?:think|answer)>")


class FormatReward(Reward):
    """1 for a response in the wanted form with a label in it, else 0."""

    def __init__(self, *, form: Literal["plain", "reasoning"] = "plain") -> None:
        """Keep the option.

        Args:
            form: `plain`: nothing has to be cleaned away. `reasoning`: a thought in <think></think>, then an answer in
                <answer></answer>, each once and nothing around them.
        """
        self.form = form

    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        """See `Reward.score`."""
        return [float(bool(one.labels) and self._is_kept(one)) for one in samples]

    def _is_kept(self, sample: SampledResponse) -> bool:
        if self.form == "plain":
            return sample.answer.strip() == sample.response.strip()
        found = _REASONING.fullmatch(sample.response)
        return found is not None and not any(_MARK.search(text) for text in found.groups() if text)

    def identity(self) -> str:
        """See `Reward.identity`."""
        return f"FormatReward form={self.form}"


class LengthReward(Reward):
    """0 up to a number of labels and of words, then down to -1 at twice as many."""

    def __init__(self, *, most_labels: int | None = 4, most_words: int | None = None) -> None:
        """Keep the options.

        Args:
            most_labels: Labels that cost nothing (4, ours); None for any number.
            most_words: Words of the whole response that cost nothing; None for any number. A sign of Chinese counts as one.

        Raises:
            ConfigurationError: Both are None, or one is below 1.
        """
        given = [limit for limit in (most_labels, most_words) if limit is not None]
        if not given or min(given) < 1:
            raise ConfigurationError(
                f"The reward length needs most_labels or most_words, each 1 or more; got {most_labels} and {most_words}."
            )
        self.most_labels, self.most_words = most_labels, most_words

    def score(self, samples: Sequence[SampledResponse]) -> list[float]:
        """See `Reward.score`; of two limits the one that is passed by more counts."""
        return [
            min(
                _penalty(len(one.labels), self.most_labels),
                _penalty(len(_WORD.findall(one.response)), self.most_words),
            )
            for one in samples
        ]

    def identity(self) -> str:
        """See `Reward.identity`."""
        return f"LengthReward most_labels={self.most_labels} most_words={self.most_words}"


_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+(?:['’-][^\W\u4e00-\u9fff]+)*")


def _penalty(count: int, most: int | None) -> float:
    """From 0 at `most` to -1 at twice as many.

    >>> _penalty(4, 4), _penalty(6, 4), _penalty(20, 4), _penalty(20, None)
    (0.0, -0.5, -1.0, 0.0)
    """
    return 0.0 if most is None else 0.0 - min(1.0, max(0, count - most) / most)
