"""What a label extractor returned, checked against its contract, and the error of every such check; without torch.

Scoring saved outputs needs labels and no tensors, and torch takes half a gigabyte. `conformance.py` checks the other parts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, get_args

from affect_lightning.contracts.pipeline_parts import Sentiment
from affect_lightning.errors import ContractError


class ConformanceError(ContractError):
    """A part returned something else than its contract promises.

    Attributes:
        expected: What the contract promises.
        received: What came.
    """

    def __init__(self, expected: str, received: str) -> None:
        super().__init__(expected, received)
        self.expected = expected
        self.received = received

    def __str__(self) -> str:
        return f"expected {self.expected}; got {self.received}"


def described(value: Any) -> str:
    """A value in a few words: type and shape of a tensor, length of a list."""
    # Where nobody imported these modules, nothing is a tensor or a sequence of features.
    torch, streams = sys.modules.get("torch"), sys.modules.get("affect_lightning.contracts.streams")
    if torch is not None and isinstance(value, torch.Tensor):
        return f"a tensor {str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if streams is not None and isinstance(value, streams.FeatureSequence):
        return f"a FeatureSequence with tokens {list(value.tokens.shape)}"
    if isinstance(value, list | tuple):
        kinds = sorted({type(item).__name__ for item in value})
        return f"a {type(value).__name__} of {len(value)} {' and '.join(kinds) or 'items'}"
    if isinstance(value, str | int | float) or value is None:
        return repr(value)[:80]
    return f"an object of type {type(value).__name__}"


def check_labels(found: Any, *, count: int) -> list[list[str]]:
    """Hold what `LabelExtractor.extract` returned against its contract.

    Raises:
        ConformanceError: It is no list of `count` lists of texts.
    """
    expected = f"a list of {count} lists of emotion words, one for each response"
    if not isinstance(found, list) or len(found) != count:
        raise ConformanceError(expected, described(found))
    for words in found:
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
            raise ConformanceError(expected, f"a list with {described(words)}")
    return found


def check_sentiments(found: Any, *, count: int) -> Sequence[Sentiment]:
    """Hold what `LabelExtractor.sentiment` returned against its contract.

    Raises:
        ConformanceError: It is no list of `count` sentiments.
    """
    known = get_args(Sentiment)
    if not isinstance(found, list) or len(found) != count or not all(one in known for one in found):
        shown = next((repr(one) for one in found if one not in known), "") if isinstance(found, list) else ""
        raise ConformanceError(
            f"a list of {count} sentiments from {', '.join(known)}",
            f"{described(found)}{f' with {shown}' if shown else ''}",
        )
    return found
