"""How many attention heads a width gets. Used by `qformer.py` and `gated.py` (paper, Section 3.2: BERT-like layers)."""

from __future__ import annotations

from affect_lightning.errors import ConfigurationError

_BERT_HEAD_WIDTH = 64


def head_count(width: int, requested: int | None, part: str) -> int:
    """Heads that divide the width; on request exactly that many.

    Args:
        width: Of what is attended with.
        requested: None makes heads of about 64 wide, as in BERT.
        part: Who asks, for the message.

    Raises:
        ConfigurationError: The requested number does not divide the width.

    >>> head_count(1024, None, "qformer")
    16
    """
    if requested is None:
        return next(heads for heads in range(max(1, width // _BERT_HEAD_WIDTH), 0, -1) if width % heads == 0)
    if requested < 1 or width % requested:
        raise ConfigurationError(f"num_heads must divide the width {width} of the {part}; got {requested}.")
    return requested
