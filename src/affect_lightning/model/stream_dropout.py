"""Stream dropout: in training, encoded streams of some clips are hidden, so that none is learnt at the cost of another.

Not in the paper. Two streams that agree most of the time leave a third without gradient until they are learnt; hiding
streams at random (ModDrop, Neverova et al., 2016) gives each of them samples that only it can explain.
`affectgpt.py` applies it between scaling and fusion. Legend: B clips, N feature tokens, D feature width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from affect_lightning.contracts import FeatureSequence


def drop_streams(streams: Mapping[str, FeatureSequence], share: float) -> dict[str, FeatureSequence]:
    """Hide each stream of each clip with a probability, but never all streams of a clip.

    Args:
        streams: Scaled features [B, N, D].
        share: The probability, 0 to 1; a draw that would hide all streams of a clip hides none.

    Returns:
        The same with zeros in the place of hidden features, which after standardisation are the mean.
    """
    clips = len(next(iter(streams.values())).tokens) if streams else 0
    hidden = torch.rand(clips, len(streams)) < share
    hidden &= ~hidden.all(dim=1, keepdim=True)
    dropped = {}
    for position, (name, stream) in enumerate(streams.items()):
        kept = ~hidden[:, position].to(stream.tokens.device)
        dropped[name] = FeatureSequence(stream.tokens * kept[:, None, None].to(stream.tokens.dtype), stream.mask)
    return dropped
