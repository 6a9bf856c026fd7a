"""A vector of a subtitle without any model: counts of its words and pairs of words, hashed into a fixed width.

Our choice: it needs no weights and reads every language. Scripts without blanks between words, such as Chinese, count by
character. `clip_features.py` puts the vectors beside those of the feature cache.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

WIDTH = 256  # our choice: few words of the usual sets of some thousand subtitles share a place
IDENTITY = f"hashed words and pairs of words, width {WIDTH}, rules 1"
_PARTS = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W_]+(?:['\u2019][^\W_]+)*")


def hashed_text(texts: Sequence[str]) -> Tensor:
    """Vectors [N, WIDTH] of length 1; all 0 for a text without words.

    >>> hashed_text(["What a day!", ""]).norm(dim=1).round(decimals=3).tolist()
    [1.0, 0.0]
    """
    vectors = torch.zeros(len(texts), WIDTH)
    for row, text in enumerate(texts):
        parts = [part.casefold() for part in _PARTS.findall(text)]
        counts = Counter([*parts, *(" ".join(pair) for pair in itertools.pairwise(parts))])
        for part, count in counts.items():
            number = int.from_bytes(hashlib.blake2b(part.encode(), digest_size=8).digest(), "little")
            vectors[row, (number >> 1) % WIDTH] += math.sqrt(count) * (1 if number & 1 else -1)
    return torch.nn.functional.normalize(vectors, dim=1)
